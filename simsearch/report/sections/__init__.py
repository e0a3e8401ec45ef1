"""report.html: its sections, charts and styles, and the document that holds them."""

from simsearch.report.sections.document import render_page

__all__ = ["render_page"]
