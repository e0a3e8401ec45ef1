"""simsearch/images/montage.py: a picture that shows whole images, whatever their names hold."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageFont

from simsearch.errors import SimsearchError
from simsearch.images.flow import MARGIN, MOST_PIXELS, PAD, TILES, flow, in_lines
from simsearch.images.montage import (
    BORDER,
    LINE,
    MontageRow,
    Shown,
    Tile,
    montage,
    montage_png,
    printable,
    shorten,
)


def flat(height, width, value=100):
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_rows_and_columns(tmp_path):
    hits = [Tile(flat(50, 20), ["seven", "0.991"]), Tile(None, ["one", "0.5"]), Tile(np.zeros((8, 8), np.uint8), ["x"])]
    montage([MontageRow(flat(28, 28), "query.png", hits), MontageRow(flat(300, 100), "b", [])], tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 4 * TILES[0]
        assert picture.height > 2 * TILES[0]
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert BORDER in colours
    assert os.listdir(tmp_path) == ["out.png"]
    assert os.stat(tmp_path / "out.png").st_mode & 0o777 == 0o644


def test_each_caption_stands_in_the_middle_below_its_own_picture(tmp_path):
    hits = [Tile(flat(96, 96), ["one"])]
    montage([MontageRow(flat(96, 96), "q", hits), MontageRow(flat(96, 96), "r", hits)], tmp_path / "out.png")
    seen = np.asarray(Image.open(tmp_path / "out.png").convert("L")).astype(int)
    paper = seen[0, 0]
    height = (seen.shape[0] - 2 * MARGIN - PAD) // 2
    for row in range(2):
        below = MARGIN + row * (height + PAD) + TILES[0] + 6
        for left in (MARGIN, MARGIN + PAD + TILES[0] + PAD):
            inked = np.flatnonzero((seen[below : below + LINE, left : left + TILES[0]] != paper).any(axis=0))
            assert inked.size
            assert (inked[0] + inked[-1]) / 2 == pytest.approx(TILES[0] / 2, abs=2)


def test_pictures_are_whole(tmp_path):
    wide = flat(10, 200, 0)
    wide[:, 0], wide[:, -1] = (255, 0, 0), (0, 255, 0)
    for image in (wide, wide.transpose(1, 0, 2)):
        montage([MontageRow(np.ascontiguousarray(image), "", [])], tmp_path / "out.png")
        seen = np.asarray(Image.open(tmp_path / "out.png")).astype(int)
        assert ((seen[..., 0] - seen[..., 1]) > 100).any()
        assert ((seen[..., 1] - seen[..., 0]) > 100).any()


def drawn(text, out):
    montage([MontageRow(flat(5, 5), text, [Tile(flat(5, 5), [text] * 5)])], out)
    with Image.open(out) as picture:
        return picture.size, picture.tobytes()


def test_strange_captions(tmp_path):
    size, empty = drawn("", tmp_path / "out.png")
    for text in ("\x1b[31m\n\0", "名前 😀 عربى", "\udcff\udcfe", "x" * 5000, "[bold]", "\u202ertl"):
        assert drawn(text, tmp_path / "out.png")[0] == size, "no caption makes the picture larger"
        assert drawn(text, tmp_path / "out.png")[1] != empty, text


def test_printable_and_shorten():
    font = ImageFont.load_default(12)
    assert printable("a\x1b\n\udcffz", font) == "a???z"
    assert printable("ä名", ImageFont.load_default_imagefont()) == "ä?"
    assert shorten("abcdef", lambda text: len(text) <= 6) == "abcdef"
    assert shorten("abcdefghijkl", lambda text: len(text) <= 8) == "abc...kl"
    assert shorten("abc" * 1000, lambda text: len(text) <= 9) == "abc...abc"
    assert shorten("abcdef", lambda text: False) == "..."
    assert shorten("a" * 150 + "b" * 150, lambda text: True) == "a" * 100 + "..." + "b" * 99


def test_suffix_decides_the_format(tmp_path):
    row = MontageRow(flat(5, 5), "q", [])
    montage([row], tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as picture:
        assert picture.format == "JPEG"
    for name in ("out", "out.xyz", "out.psd"):
        with pytest.raises(SimsearchError, match="unknown suffix"):
            montage([row], tmp_path / name)


def test_what_cannot_be_written(tmp_path):
    row = MontageRow(flat(5, 5), "q", [])
    with pytest.raises(SimsearchError, match="cannot write"):
        montage([row], tmp_path / "none/out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SimsearchError, match="cannot write"):
        montage([row], tmp_path / "folder.png")
    with pytest.raises(SimsearchError, match="no query"):
        montage([], tmp_path / "out.png")
    assert os.listdir(tmp_path) == ["folder.png"]


def boxes(found):
    """The corners of all tiles of a layout."""
    return [corner for query, hits in found.places() for corner in (query, *hits)]


@pytest.mark.parametrize(
    ("queries", "k", "shown"),
    [
        *[(1, 10, 1), (1, 30, 1), (1, 100, 1), (1, 1000, 1), (8, 10, 8), (20, 5, 20), (50, 1, 50), (50, 10, 50)],
        *[(50, 20, 45), (50, 50, 21)],
    ],
)
def test_many_hits_wrap_and_many_queries_flow_into_columns(queries, k, shown):
    found = flow([k] * queries, 40)
    width, height = found.size
    assert max(width, height) <= MOST_PIXELS
    assert 1 / 2 <= width / height <= (4 / 3 if (queries, k) != (1, 10) else 5 / 2), "the shape of a page"
    assert found.queries == shown
    corners = boxes(found)
    assert len(corners) == shown * (k + 1)
    right, bottom = width - MARGIN - found.tile, height - MARGIN - found.cell
    assert all(MARGIN <= left <= right and MARGIN <= top <= bottom for left, top in corners)
    # No two tiles overlap, captions and all: those at one height are a tile apart, others in their columns a cell.
    for one, other in ((a, b) for i, a in enumerate(corners[:300]) for b in corners[i + 1 : 300]):
        assert abs(one[0] - other[0]) >= found.tile + PAD or abs(one[1] - other[1]) >= found.cell + PAD


def test_hits_are_read_from_the_left_and_few_stay_in_one_line():
    for count in (0, 1, 5):
        ((left, top), hits), *_ = flow([count], 40).places()
        assert [y for _, y in hits] == [top] * count
        assert [x for x, _ in hits] == sorted(x for x, _ in hits)
        assert all(x >= left + TILES[0] + PAD for x, _ in hits)
    ((left, top), hits), *_ = flow([7, 2], 40).places()
    assert [y for _, y in hits] == sorted(y for _, y in hits)
    assert len({y for _, y in hits}) == 2
    assert min(x for x, _ in hits) > left + TILES[0], "below a query stands none of its hits"


def test_what_has_no_room_is_left_out_and_said(tmp_path):
    tiles = [Tile(flat(4, 4), ["a"])] * 2000
    assert montage([MontageRow(flat(4, 4), "q", tiles)] * 2, tmp_path / "out.png") == Shown(1, 1260)
    assert montage([MontageRow(flat(4, 4), "q", tiles[:3])] * 2, tmp_path / "out.png") == Shown(2, 3)


def test_nights_are_compared_line_by_line():
    found = in_lines([6, 6, 2], 40)
    assert [len({y for _, y in (query, *hits)}) for query, hits in found.places()] == [1, 1, 1]
    with Image.open(io.BytesIO(montage_png([MontageRow(flat(4, 4), "q", [Tile(flat(4, 4), ["a"])] * 6)] * 2))) as image:
        assert image.size == in_lines([6, 6], 40).size
