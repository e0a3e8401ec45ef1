"""The one room for charts: static SVG that needs no script, in the colours of the page around it, a kind a file."""

from simsearch.page.charts.drawing import MOST_SERIES, Series
from simsearch.page.charts.map import MOST_GROUPS, key, map_chart
from simsearch.page.charts.nights import Frame, Lane, Line, line_chart
from simsearch.page.charts.recall import recall_chart
from simsearch.page.charts.roc import roc_chart
from simsearch.page.charts.standalone import svg_file
from simsearch.page.charts.training import training_chart
from simsearch.page.charts.tuning import tuning_chart

__all__ = [
    "MOST_GROUPS",
    "MOST_SERIES",
    "Frame",
    "Lane",
    "Line",
    "Series",
    "key",
    "line_chart",
    "map_chart",
    "recall_chart",
    "roc_chart",
    "svg_file",
    "training_chart",
    "tuning_chart",
]
