"""simsearch/images/montage.py: a picture that shows whole images, whatever their names hold."""

import os

import numpy as np
import pytest
from PIL import Image, ImageFont

from simsearch.errors import SimsearchError
from simsearch.images.montage import BORDER, LINE, MARGIN, PAD, TILE, MontageRow, Tile, montage, printable, shorten


def flat(height, width, value=100):
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_rows_and_columns(tmp_path):
    hits = [Tile(flat(50, 20), ["seven", "0.991"]), Tile(None, ["one", "0.5"]), Tile(np.zeros((8, 8), np.uint8), ["x"])]
    montage([MontageRow(flat(28, 28), "query.png", hits), MontageRow(flat(300, 100), "b", [])], tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 4 * TILE
        assert picture.height > 2 * TILE
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
        below = MARGIN + row * (height + PAD) + TILE + 6
        for left in (MARGIN, MARGIN + PAD + TILE + PAD):
            inked = np.flatnonzero((seen[below : below + LINE, left : left + TILE] != paper).any(axis=0))
            assert inked.size
            assert (inked[0] + inked[-1]) / 2 == pytest.approx(TILE / 2, abs=2)


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
