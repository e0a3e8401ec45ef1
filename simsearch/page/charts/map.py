"""Maps: points of the plane by their groups, each group with a colour, a shape and its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from simsearch.arrays import Integers, Labels, Numbers
from simsearch.page.charts.drawing import GAP, cut_name, sign, spread, svg
from simsearch.page.html import text

MOST_GROUPS = 8
_FEW = 2  # points of a label: its name stands beside them
_SIZE = 720  # points are rounded to integers: twice as fine as the other charts' units

# One point of a group on a map, drawn from where the point is: dot, square, plus, cross, triangle, diamond, bars.
_GLYPHS = (
    "h0",
    "h0",
    "m-6 0h12m-6-6v12",
    "m-5-5l10 10m0-10l-10 10",
    "m0-6l6 10h-12z",
    "m0-7l6 7l-6 7l-6-7z",
    "m-7 0h14",
    "m0-7v14",
)


def map_chart(identity: str, title: str, points: Numbers, groups: Labels, names: Sequence[str]) -> Markup:
    """Return the chart of `points` (n, 2) coloured by `groups` (n,): 0 to 7 are `names`, the others are gray.

    Each group has a shape of its own and its name at the middle of its points, or beside a point where it has but two.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    size = float(max(high - low)) or 1.0
    places = 20 + (_SIZE - 40) * ((points - (low + high) / 2) / size + 0.5)
    places[:, 1] = _SIZE - places[:, 1]
    whole = np.rint(places).astype(np.int64)
    known = (groups >= 0) & (groups < min(len(names), MOST_GROUPS))
    body = _dots("other", "h0", whole[~known])
    named, middles, asides = [], [], []
    for group, name in enumerate(names[:MOST_GROUPS]):
        inside = whole[known & (groups == group)]
        if len(inside):
            body += _dots(str(group), _GLYPHS[group], inside)
            named.append(cut_name(name))
            few = len(inside) <= _FEW  # the name would hide them
            right = inside[inside[:, 0].argmax()]
            middles.append(right + np.array((0, 8)) if few else np.median(inside, axis=0))
            asides.append(few)
    lines = spread([float(y) for _, y in middles], 34, _SIZE - 12, 2 * GAP)
    for name, (x, _), y, few in zip(named, middles, lines, asides, strict=True):
        half = min(_SIZE / 2, 8 * len(name) + 8)  # kept off the edges: a name is set around its middle
        place, kind = min(max(x, half), _SIZE - half), "name"
        if few:
            after = x + 16 + 2 * half <= _SIZE
            place, kind = (x + 16, "name after") if after else (x - 16, "name before")
        body += f'<text class="{kind}" x="{place:.0f}" y="{y:.0f}">{text(name)}</text>'
    description = f"{len(points):,} points; each label's name stands at the middle of its points, or beside its few."
    return svg(identity, title, description, body, _SIZE, _SIZE, "map")


def key(group: int | None) -> Markup:
    """Return the sign of a map's group for a legend; None: the others."""
    name, shape = ("other", "h0") if group is None else (str(group), _GLYPHS[group])
    return sign(f'<path class="dots d{name}" d="M12 12{shape}"/>')


def _dots(name: str, glyph: str, places: Integers) -> str:
    if not len(places):
        return ""
    path = "".join(f"M{x} {y}{glyph}" for x, y in np.unique(places, axis=0).tolist())
    return f'<path class="dots d{name}" d="{path}"/>'
