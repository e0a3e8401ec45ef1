"""What people read of a night, each a pure function of its `Story`: terminal, markdown, JUnit XML, a trend page."""

from simsearch.bench.outputs.junit import junit_xml
from simsearch.bench.outputs.markdown import nightly_markdown
from simsearch.bench.outputs.terminal import terminal_table
from simsearch.bench.outputs.trend_page import trend_page

__all__ = ["junit_xml", "nightly_markdown", "terminal_table", "trend_page"]
