"""One picture of queries and their neighbours: whole pictures, label and score below each, in the shape of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from simsearch.arrays import Pixels
from simsearch.durable import write_durably
from simsearch.errors import SimsearchError
from simsearch.images.encoding import encoded
from simsearch.images.flow import Flow, flow, in_lines
from simsearch.images.formats.pixels import scaled

FONT_SIZE, LINE = 13, 17
LINES = 2
ABOVE = 6  # of the first caption, below its picture
CAPTIONS = ABOVE + LINES * LINE
PAPER, TILE_PAPER, BORDER, INK, PALE = (255, 255, 255), (246, 246, 247), (32, 92, 168), (60, 60, 66), (140, 140, 146)
MARKED, ON_MARK = (178, 34, 34), (255, 255, 255)
ELLIPSIS = "..."

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Tile(NamedTuple):
    """A picture, None where there is none, with the lines below it, and the word over it, if any."""

    picture: Pixels | None
    lines: list[str]
    mark: str = ""


@dataclass(frozen=True)
class MontageRow:
    """A query's picture and caption, and a tile for each of its neighbours."""

    query_picture: Pixels
    query_caption: str
    hits: list[Tile] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """How much a montage has room for: queries, and hits of each of them at most."""

    queries: int
    hits: int


def montage(rows: Sequence[MontageRow], out: Path, *, lines: bool = False) -> Shown:
    """Write one picture, each query left in a frame, its neighbours to the right; whole or not at all.

    Hits wrap and queries flow into columns, so that it has the shape of a page and no side above 4,000 px; with `lines`
    each query has a line of its own, to be compared. Returns what of it there is room for. Raises SimsearchError when
    the suffix of `out` is none that Pillow writes or the file cannot be written.
    """
    name = format_of(out)
    if not rows:
        raise SimsearchError("no query could be shown: the montage would be empty")
    found = (in_lines if lines else flow)([len(row.hits) for row in rows], CAPTIONS)
    drawn = _drawn(rows, found)
    try:
        write_durably(out, encoded(drawn, name))
    except (OSError, ValueError, KeyError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SimsearchError(f"cannot write {str(out)!r}: {why}", hint="name a place that can be written") from None
    return Shown(found.queries, max(found.hits))


def format_of(out: Path) -> str:
    """Return Pillow's name of the format that `out` would be written in.

    Raises SimsearchError for a suffix that Pillow does not write and a folder that is not there: that is a slip, and
    none is made. Those who answer first call it before they do.
    """
    name = Image.registered_extensions().get(out.suffix.lower(), "")
    if name not in Image.SAVE:
        raise SimsearchError(
            f"cannot write a picture to {str(out)!r}: unknown suffix {out.suffix!r}",
            hint="end the name in .png or .jpg",
        )
    try:
        out.parent.stat()
        if out.is_dir():
            raise IsADirectoryError(0, "it is a folder")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SimsearchError(f"cannot write {str(out)!r}: {why}", hint="name a place that can be written") from None
    return name


def montage_png(rows: Sequence[MontageRow]) -> bytes:
    """Return a picture with a line a query, at least one, as the bytes of a PNG file: lines compare."""
    return encoded(_drawn(rows, in_lines([len(row.hits) for row in rows], CAPTIONS)), "PNG")


def _drawn(rows: Sequence[MontageRow], found: Flow) -> Image.Image:
    canvas = Image.new("RGB", found.size, PAPER)
    draw = ImageDraw.Draw(canvas)
    cells = _Cells(canvas, draw, ImageFont.load_default(FONT_SIZE), found.tile)
    for row, ((left, top), places) in zip(rows, found.places(), strict=False):
        cells.draw((left, top), Tile(row.query_picture, [row.query_caption, "query"]))
        draw.rectangle((left - 3, top - 3, left + found.tile + 2, top + found.tile + 2), outline=BORDER, width=3)
        for hit, place in zip(row.hits, places, strict=False):
            cells.draw(place, hit)
    return canvas


@dataclass(frozen=True)
class _Cells:
    """Where tiles are drawn, all of them with the same side."""

    canvas: Image.Image
    on: ImageDraw.ImageDraw
    font: Font
    side: int

    def draw(self, corner: tuple[int, int], shown: Tile) -> None:
        """Draw a picture with its captions, and the word over it."""
        left, top = corner
        right = left + self.side - 1
        self.on.rectangle((left, top, right, top + self.side - 1), fill=TILE_PAPER)
        if shown.picture is None:
            self._text((left, top + self.side // 2 - LINE // 2), "no picture here", PALE)
        else:
            tile = _fit(shown.picture, self.side)
            place = (left + (self.side - tile.width) // 2, top + (self.side - tile.height) // 2)
            self.canvas.paste(tile, place)
        if shown.mark:
            self.on.rectangle((left, top, right, top + LINE + 2), fill=MARKED)
            self._text((left, top + 1), shown.mark, ON_MARK)
        for number, line in enumerate(shown.lines[:LINES]):
            below = top + self.side + ABOVE + number * LINE
            self._text((left, below), line, INK if number == 0 else PALE)

    def _text(self, corner: tuple[int, int], text: str, colour: tuple[int, int, int]) -> None:
        shown = shorten(printable(text, self.font), lambda part: self._width(part) <= self.side)
        left = corner[0] + (self.side - self._width(shown)) / 2
        self.on.text((left, corner[1]), shown, fill=colour, font=self.font)

    def _width(self, text: str) -> float:
        return self.on.textlength(text, font=self.font)


def _fit(picture: Pixels, side: int) -> Image.Image:
    """Return the whole picture as large as a tile; very small ones by whole steps, so that their pixels stay sharp."""
    image = Image.fromarray(picture).convert("RGB")
    longer = max(image.size)
    if longer * 3 <= side:
        step = side // longer
        return image.resize((image.width * step, image.height * step), Image.Resampling.NEAREST)
    return image.resize(scaled(image, side), Image.Resampling.BILINEAR)


def printable(text: str, font: Font) -> str:
    """Return the text with everything that cannot be shown (control characters, lost bytes) as a question mark."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    # Pillow built without FreeType has a Latin-1 font only; every other font draws a box for what it lacks.
    return shown if isinstance(font, ImageFont.FreeTypeFont) else shown.encode("latin-1", "replace").decode("latin-1")


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """Return the text, with as much of its middle replaced by ... as `fits(text) -> bool` asks for."""
    # A caption of a thousand characters never fits: cut it before the font measures it.
    if len(text) > 200:
        text = text[:100] + text[-100:]
    elif fits(text):
        return text
    low, high = 0, len(text) - 1
    while low < high:
        keep = (low + high + 1) // 2
        low, high = (keep, high) if fits(_cut(text, keep)) else (low, keep - 1)
    return _cut(text, low)


def _cut(text: str, keep: int) -> str:
    head = (keep + 1) // 2
    tail = keep - head
    return text[:head] + ELLIPSIS + (text[-tail:] if tail else "")
