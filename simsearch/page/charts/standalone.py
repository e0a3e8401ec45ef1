"""A chart as a file of its own: any browser or viewer shows it, light or dark as its reader likes."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from markupsafe import Markup

_TIMES = 2  # as large as it is drawn: the charts are drawn for a phone


def svg_file(chart: Markup) -> str:
    """Return a chart as an SVG file's text: it names its kind of XML, and brings its colours and their ground along."""
    width, height = (int(size) for size in re.findall(r'viewBox="0 0 (\d+) (\d+)"', chart)[0])
    head, end, rest = str(chart).partition("</desc>")
    head = head.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{_TIMES * width}" '
                        f'height="{_TIMES * height}" ', 1)  # fmt: skip
    ground = '<path class="ground" d="M0 0h100000v100000h-100000z"/>'
    return f"{head}{end}<style>{_styles()}</style>{ground}{rest}\n"


@cache
def _styles() -> str:
    """Return the charts' styles with the colours of a light page, then those of a dark one: few viewers know var()."""
    room = files("simsearch.page")
    rules = room.joinpath("charts/charts.css").read_text(encoding="utf-8")
    rules = re.sub(r"/\*.*?\*/|display: block; width: 100%; max-width: 32rem; height: auto;|\n", "", rules)
    rules += ".ground { fill: var(--bg); }"
    sheets = []
    for block in re.findall(r":root \{(.*?)\}", room.joinpath("colours.css").read_text(encoding="utf-8"), re.S):
        sheet = rules
        for name, colour in re.findall(r"--([\w-]+): (#\w{6})", block):
            sheet = sheet.replace(f"var(--{name})", colour)
        sheets.append(sheet)
    light, dark = sheets
    return f"{light}@media (prefers-color-scheme: dark) {{{dark}}}"
