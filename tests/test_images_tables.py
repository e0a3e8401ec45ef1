"""simsearch/images/sources/tables.py: CSV and parquet tables, and paths that try to leave their root."""

import importlib.util
import os

import pytest
from PIL import Image

from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.images.sources.opening import open_source
from simsearch.images.sources.source import SourceImage


@pytest.fixture
def place(tmp_path):
    (tmp_path / "set/sub").mkdir(parents=True)
    for name in ("set/1.png", "set/2.png", "set/sub/3.png", "outside.png"):
        Image.new("L", (2, 2)).save(tmp_path / name)
    return tmp_path / "set"


def opened(place, text, *, root=None, name="table.csv"):
    (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    given = {"home_datasets": place / "unused", "options": {}, "exclude": [], "root": root, "base": place.parent}
    given["memory"] = HashMemory(None)
    return open_source(f"table:{place / name}", **given)


def test_rows_become_images(place):
    source = opened(place, b"\xef\xbb\xbfPath, Label ,split\nsub/3.png,b,test\n1.png, a ,\n./2.png,a,VAL\n\n")
    assert source.images == [
        SourceImage("1.png", "a", "train"),
        SourceImage("2.png", "a", "val"),
        SourceImage("sub/3.png", "b", "test"),
    ]
    assert (source.title, source.root, source.labelled) == ("table", str(place), True)
    assert source.identity == f"table:{place / 'table.csv'}"
    assert source.rejected == source.notes == []
    assert source.reader().array("sub/3.png").shape == (2, 2)


def test_without_any_split_there_is_none(place):
    assert opened(place, "path,label,split\n1.png,a,\n2.png,b,\n").images[0].split is None


@pytest.mark.parametrize("root", ["set", "/absolute"])
def test_root(place, root):
    text = "path,label\n1.png,a\n"
    (place.parent / "tables").mkdir()
    root = str(place) if root == "/absolute" else root
    assert opened(place.parent / "tables", text, root=root).root == str(place)
    with pytest.raises(SourceError, match="is no folder"):
        opened(place, text, root="nowhere")


def test_paths_that_leave_the_root_are_refused(place):
    (place / "out.png").symlink_to(place.parent / "outside.png")
    (place / "missing-out.png").symlink_to("/nowhere/x.png")
    (place / "up").symlink_to("..")
    (place / "in.png").symlink_to("2.png")
    paths = ["../outside.png", str(place.parent / "outside.png"), "out.png", "up/outside.png", "/etc/passwd"]
    paths += ["missing-out.png", "sub/../../outside.png", "..", "../none.png"]
    source = opened(
        place, "path,label\n" + "".join(f"{path},a\n" for path in [*paths, "1.png", "in.png", f"{place}/sub/3.png"])
    )
    assert [image.image for image in source.images] == ["1.png", "2.png", "sub/3.png"]
    assert dict(source.rejected) == dict.fromkeys(paths, f"lies outside of {place}")


def test_a_root_is_no_prefix_of_a_name(place):
    (place.parent / "set2").mkdir()
    Image.new("L", (2, 2)).save(place.parent / "set2/1.png")
    source = opened(place, "path,label\n1.png,a\n../set2/1.png,a\n")
    assert source.rejected == [("../set2/1.png", f"lies outside of {place}")]


def test_rows_that_cannot_be_used(place):
    os.mkfifo(place / "pipe.png")
    rows = [
        "1.png,a",
        "1.png,b",
        "sub/../1.png,a",
        "none.png,a",
        "2.png,",
        ",a",
        "pipe.png,a",
        "sub,a",
        "a\0b,a",
        "1.png/x,a",
    ]
    source = opened(place, "path,label\n" + "\n".join(rows) + "\n")
    assert source.images == [SourceImage("1.png", "a", None)]
    assert sorted(source.rejected) == [
        ("", "no path"),
        ("1.png", "listed twice, with labels 'a' and 'b'"),
        ("1.png/x", "cannot be read: Not a directory"),
        ("2.png", "no label"),
        ("a\0b", "not a usable path"),
        ("none.png", "file is missing"),
        ("pipe.png", "not a regular file"),
        ("sub", "not a regular file"),
        ("sub/../1.png", "listed twice"),
    ]


@pytest.mark.parametrize("text", ["path\n1.png\n2.png\n", "path,label\n1.png,\n2.png\n"])
def test_without_labels(place, text):
    source = opened(place, text)
    assert not source.labelled
    assert [image.label for image in source.images] == ["", ""]
    assert "building without labels" in source.notes[0]


def test_quoted_fields(place):
    name = 'a, "b"\nc.png'
    Image.new("L", (2, 2)).save(place / name)
    source = opened(place, 'path,label\n"a, ""b""\nc.png","x, y"\n')
    assert source.images == [SourceImage(name, "x, y", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column path (seen: nothing)"),
        ("file;label\n1.png;a\n", "has no column path (seen: file, label)"),
        ("path,label\n", "no image can be used of 0 rows"),
        ("path,label\nnone.png,a\n", "'none.png' file is missing"),
        ("path,label\n1.png,a\n2.png,b,c\n", "line 3: 3 fields, the header has 2"),
        ("path,label,split\n1.png,a,train\n2.png,b,tets\n", "line 3: split is 'tets'"),
        (b"path,label\n1.png,\x81\n", "line 2: neither UTF-8 nor cp1252"),
        ('path,label\n1.png,a\n"2.png,b\n', "line 3: unexpected end of data"),
        ("path,label\n" + "x" * 200000 + ",a\n", "field larger than field limit"),
    ],
)
def test_tables_that_cannot_be_read(place, text, said):
    with pytest.raises(SourceError) as caught:
        opened(place, text)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_no_such_table(tmp_path):
    given = {"home_datasets": tmp_path, "options": {}, "exclude": [], "root": None, "base": tmp_path}
    given["memory"] = HashMemory(None)
    with pytest.raises(SourceError, match="no such file"):
        open_source("table:none.csv", **given)


def test_fingerprint_follows_rows_and_files_not_places(place):
    def taken(source):
        with HashMemory(None) as memory:
            return source.fingerprint(memory)

    text = "path,label\n1.png,a\n../outside.png,b\n"
    first = taken(opened(place, text))
    assert [entry[0] for entry in first] == ["", "1.png"]
    assert first == taken(opened(place, "path,label\n../outside.png,b\n1.png,a\n"))
    assert first != taken(opened(place, "path,label\n1.png,b\n../outside.png,b\n"))
    assert first != taken(opened(place, "path,label,split\n1.png,a,test\n../outside.png,b,\n"))
    place.rename(place.parent / "moved")
    assert first == taken(opened(place.parent / "moved", text))


def test_parquet(place):
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(SourceError) as caught:
            opened(place, b"PAR1", name="table.parquet")
        assert "pyarrow" in caught.value.message
        assert "simsearch[parquet]" in caught.value.hint
        return
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"path": ["1.png", "2.png"], "label": [1, 2], "extra": [None, 3]})
    parquet.write_table(table, place / "x.parquet")
    source = opened(place, (place / "x.parquet").read_bytes(), name="table.parquet")
    assert source.images == [SourceImage("1.png", "1", None), SourceImage("2.png", "2", None)]
    with pytest.raises(SourceError, match="cannot be read as parquet"):
        opened(place, b"PAR1", name="broken.parquet")
