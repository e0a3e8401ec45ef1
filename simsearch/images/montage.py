"""One picture of queries and their neighbours: a row a query, whole pictures, label and score below each."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from simsearch.arrays import Pixels
from simsearch.durable import write_durably
from simsearch.errors import SimsearchError
from simsearch.images.formats.pixels import scaled

TILE, PAD, MARGIN = 144, 12, 20
FONT_SIZE, LINE = 13, 17
LINES = 2
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


def montage(rows: Sequence[MontageRow], out: Path) -> None:
    """Write one picture, the query left in a frame, its neighbours to the right; whole or not at all.

    Raises SimsearchError when the suffix of `out` is none that Pillow writes or the file cannot be written.
    """
    name = Image.registered_extensions().get(out.suffix.lower(), "")
    if name not in Image.SAVE:
        raise SimsearchError(
            f"cannot write a picture to {str(out)!r}: unknown suffix {out.suffix!r}",
            hint="end the name in .png or .jpg",
        )
    drawn = _drawn(rows)
    try:
        out.parent.stat()  # a folder that is not there is a slip, and is not made
        write_durably(out, _encoded(drawn, name))
    except (OSError, ValueError, KeyError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SimsearchError(f"cannot write {str(out)!r}: {why}", hint="name a place that can be written") from None


def montage_png(rows: Sequence[MontageRow]) -> bytes:
    """Return the same picture as the bytes of a PNG file."""
    return _encoded(_drawn(rows), "PNG")


def _encoded(canvas: Image.Image, format_name: str) -> bytes:
    file = io.BytesIO()
    canvas.save(file, format_name)
    return file.getvalue()


def _drawn(rows: Sequence[MontageRow]) -> Image.Image:
    if not rows:
        raise SimsearchError("no query could be shown: the montage would be empty")
    columns = 1 + max(len(row.hits) for row in rows)
    cell_height = TILE + 6 + LINES * LINE
    width = 2 * MARGIN + columns * TILE + (columns - 1) * PAD + PAD
    canvas = Image.new("RGB", (width, 2 * MARGIN + len(rows) * cell_height + (len(rows) - 1) * PAD), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(FONT_SIZE)
    for number, row in enumerate(rows):
        top = MARGIN + number * (cell_height + PAD)
        _cell(canvas, draw, font, (MARGIN, top), Tile(row.query_picture, [row.query_caption, "query"]))
        draw.rectangle((MARGIN - 3, top - 3, MARGIN + TILE + 2, top + TILE + 2), outline=BORDER, width=3)
        for place, hit in enumerate(row.hits, start=1):
            _cell(canvas, draw, font, (MARGIN + PAD + place * (TILE + PAD), top), hit)
    return canvas


def _cell(canvas: Image.Image, draw: ImageDraw.ImageDraw, font: Font, corner: tuple[int, int], shown: Tile) -> None:
    left, top = corner
    draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), fill=TILE_PAPER)
    if shown.picture is None:
        _text(draw, font, (left, top + TILE // 2 - LINE // 2), "no picture here", PALE)
    else:
        tile = _fit(shown.picture)
        canvas.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
    if shown.mark:
        draw.rectangle((left, top, left + TILE - 1, top + LINE + 2), fill=MARKED)
        _text(draw, font, (left, top + 1), shown.mark, ON_MARK)
    for number, line in enumerate(shown.lines[:LINES]):
        _text(draw, font, (left, top + TILE + 6 + number * LINE), line, INK if number == 0 else PALE)


def _fit(picture: Pixels) -> Image.Image:
    """Return the whole picture as large as a tile; very small ones by whole steps, so that their pixels stay sharp."""
    image = Image.fromarray(picture).convert("RGB")
    longer = max(image.size)
    if longer * 3 <= TILE:
        step = TILE // longer
        return image.resize((image.width * step, image.height * step), Image.Resampling.NEAREST)
    return image.resize(scaled(image, TILE), Image.Resampling.BILINEAR)


def _text(
    draw: ImageDraw.ImageDraw, font: Font, corner: tuple[int, int], text: str, colour: tuple[int, int, int]
) -> None:
    shown = shorten(printable(text, font), lambda part: _width(draw, font, part) <= TILE)
    left = corner[0] + (TILE - _width(draw, font, shown)) / 2
    draw.text((left, corner[1]), shown, fill=colour, font=font)


def _width(draw: ImageDraw.ImageDraw, font: Font, text: str) -> float:
    return draw.textlength(text, font=font)


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
