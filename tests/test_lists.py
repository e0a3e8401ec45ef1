"""Lists as other programs write them: separators, encodings, padding, foreign paths, columns of other names."""

import codecs
import hashlib
import json
import unicodedata

import pytest
from conftest import SMALL, picture, run_cli
from PIL import Image

from simsearch.errors import RecipeError, SourceError
from simsearch.hashing import HashMemory
from simsearch.images.formats.decoding import FIRST
from simsearch.images.sources.opening import open_source
from simsearch.images.sources.source import SourceImage
from simsearch.recipe.files import find_recipe

NFC, NFD = (unicodedata.normalize(form, "Bébé") for form in ("NFC", "NFD"))
PLAIN = [SourceImage("img/a/1.png", "a", None), SourceImage("img/b/2.png", "b", None)]


@pytest.fixture
def place(tmp_path):
    for name in ("img/a/1.png", "img/b/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / name)
    return tmp_path


def opened(place, text, *, name="list.csv", **more):
    (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    given = {"home_datasets": place / "unused", "options": {}, "exclude": [], "root": None, "base": place}
    return open_source(f"table:{place / name}", **given, memory=HashMemory(None), **more)


ROWS = "path,label\nimg/a/1.png,a\nimg/b/2.png,b\n"


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", "|"),
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\r"),
        "sep=;\n" + ROWS.replace(",", ";"),
        '\ufeff"SEP=;"\r\n' + ROWS.replace(",", ";").replace("\n", "\r\n"),
        "sep=|\n" + ROWS.replace(",", "|").replace("path|label", "path|label|a,b;c"),
        "label;path;note, with commas, three\na;img/a/1.png\nb;img/b/2.png\n",
        codecs.BOM_UTF8 + ROWS.encode(),
        ROWS.encode("utf-16"),
        codecs.BOM_UTF16_BE + ROWS.encode("utf-16-be"),
        ROWS.encode("utf-16-le"),
        ROWS.encode("utf-16-be"),
        ROWS.encode("utf-32-le"),
        ROWS.encode("utf-32-be"),
        ROWS.replace(",", "\t").encode("utf-32"),
        "\n , \n,,\npath,label\n\n,\n  ,  \nimg/a/1.png,a,,\nimg/b/2.png,b\n,,,\n\n",
        " Path , LABEL \n img/a/1.png , a \nimg/b/2.png , b\n",
        'path, label\n"img/a/1.png", "a"\nimg/b/2.png, "b"\n',
        "path,label\r\nimg\\a\\1.png,a\r\n.\\img\\b\\2.png,b\r\n",
        "path,label\n./img/a/1.png,a\n./img//b/2.png,b\n",
        ROWS + "\x1a",
    ],
)
def test_lists_as_programs_write_them(place, text):
    source = opened(place, text)
    assert source.images == PLAIN
    assert source.rejected == source.notes == []


def test_what_is_there_under_its_literal_name_is_meant(place):
    for name in ("img\\a\\1.png", " 3.png"):
        Image.new("L", (2, 2)).save(place / name)
    source = opened(place, "path;label\nimg\\a\\1.png;a\n 3.png;b\n")
    assert [image.image for image in source.images] == [" 3.png", "img\\a\\1.png"]


@pytest.mark.parametrize(("on_disk", "listed"), [(NFC, NFD), (NFD, NFC)])
def test_names_are_found_in_either_normal_form_and_opened_by_their_own(place, on_disk, listed):
    (place / on_disk).mkdir()
    for name in (f"{on_disk}/{NFC}.png", f"{on_disk}/é.png"):
        Image.new("L", (2, 2)).save(place / name)
    source = opened(place, f"path,label\n{listed}\\{NFD}.png,a\n{on_disk}/é.png,b\n")
    assert {image.image for image in source.images} == {f"{on_disk}/{NFC}.png", f"{on_disk}/é.png"}
    assert source.reader().array(f"{on_disk}/{NFC}.png").shape == (2, 2)


def test_labels_are_compared_in_one_form_where_the_rules_are_new(place):
    text = f"path,label\nimg/a/1.png,{NFC}\nimg/b/2.png,{NFD}\n"
    source = opened(place, text)
    assert [image.label for image in source.images] == [NFC, NFC]
    assert source.notes == [f"1 label is written in ways that look the same, as {NFC!r}: taken as one"]
    before = opened(place, text, decoding=FIRST)
    assert [image.label for image in before.images] == [NFC, NFD]
    with HashMemory(None) as memory:
        assert source.fingerprint(memory) != before.fingerprint(memory), "it is another data set"


def test_builds_by_the_first_rules_read_a_list_as_they_did(place):
    foreign = opened(place, ROWS + "img\\a\\1.png,a\nC:\\2.png,b\n", decoding=FIRST)
    assert foreign.rejected == [("C:\\2.png", "file is missing"), ("img\\a\\1.png", "file is missing")]
    assert opened(place, ROWS + ",\n", decoding=FIRST).rejected == [("", "no path")]
    assert opened(place, 'path,label\nimg/a/1.png, "a"\n', decoding=FIRST).images[0].label == '"a"'


def test_what_is_not_utf8_is_read_as_cp1252_and_said(place):
    Image.new("L", (2, 2)).save(place / "é.png")
    source = opened(place, "path;label\r\nimg/a/1.png;a\r\né.png;Blé\r\n".encode("cp1252"))
    assert source.images[1] == SourceImage("é.png", "Blé", None)
    assert source.notes == [
        "list.csv is not UTF-8: read as cp1252 (Western European), as 'é.png;Blé' in line 3; "
        "if that looks wrong, save it as UTF-8"
    ]


def test_a_name_that_is_no_utf8_on_the_disk_either(place):
    Image.new("L", (2, 2)).save(place / "\udce9.png")
    source = opened(place, "path,label\né.png,a\n".encode("latin-1"))
    assert [image.image for image in source.images] == ["\udce9.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\nimg/a/1.png,é\nimg/b/2.png,".encode() + b"\xe9\n", "line 3: not UTF-8 text, as other lines are"),
        (b"path,label\r\nimg/a/1.png,a\r\n\x8f\x90,b\r\n", "line 3: neither UTF-8 nor cp1252"),
        (b"path,label\rimg/a/1.png,\x81\r", "line 2: neither"),
        (ROWS.encode("utf-16")[:-1], "line 3: not UTF-16-LE text (truncated data)"),
        (b"PK\x03\x04rest", "is a workbook"),
        ("path;label\n1.png;a;b\n", "line 2: 3 fields, the header has 2"),
        ("sep=;\n\npath;label\n;;\n1.png;a\n1.png;a;b\n", "line 6: 3 fields, the header has 2"),
        ("path,label\nC:\\img\\1.png,a\n", "'C:\\\\img\\\\1.png' file is missing: an absolute path of Windows"),
        ("path,label\n\\\\server\\img\\1.png,a\n", "file is missing: an absolute path of Windows"),
        ("path,label\nhttps://host/1.png,a\n", "file is missing: an address, no path"),
        ("path,label\n..\\..\\1.png,a\n", "lies outside of"),
    ],
)
def test_reasons_and_their_lines(place, text, said):
    with pytest.raises(SourceError) as caught:
        opened(place, text)
    assert said in caught.value.message
    if "missing" in said or "outside" in said:
        assert "dataset.root" in caught.value.hint


def test_paths_that_are_found_nowhere_name_the_root(place):
    with pytest.raises(SourceError) as caught:
        opened(place, "path,label\nelsewhere/1.png,a\n")
    assert caught.value.hint == f"its paths start at {place}; --set dataset.root=FOLDER starts them elsewhere"


@pytest.mark.parametrize(
    ("header", "columns", "hint"),
    [
        ("Filename,Class", None, """--set 'dataset.columns={path="Filename", label="Class"}'"""),
        ("Index;Image Path;label", None, """--set 'dataset.columns={path="Image Path"}'"""),
        ("nr;x;target", None, """--set 'dataset.columns={path="x", label="target"}'"""),
        ("path,class", {"label": "klass"}, """--set 'dataset.columns={label="class"}'"""),
        ("file,class", {"path": "nope", "label": "class"}, """--set 'dataset.columns={path="file", label="class"}'"""),
        ("Datei;Kategorie", None, """--set 'dataset.columns={path="Datei", label="Kategorie"}'"""),
        ("Datei;Was", None, """--set 'dataset.columns={path="Datei", label="Was"}'"""),
        ("Datei;Was", {"path": "Datei", "label": "Wass"}, """--set 'dataset.columns={path="Datei", label="Was"}'"""),
        ("a/1.png,apple", None, "seems to be no header: put one above it, as path,label"),
        ("My photos", None, "its first line has one field, 'My photos': the header, as path,label, is expected there"),
        ("Photos;;", None, "its first line has one field, 'Photos': the header"),
        ("a/1.png 0", None, "parted by , ; | or tab"),
    ],
)
def test_a_column_that_is_not_there_gets_the_very_setting(place, header, columns, hint):
    separator = ";" if ";" in header else ","
    cells = header.split(separator)
    row = ["1", "img/a/1.png", "a"][-len(cells) :] if all(cells) and cells != ["My photos"] else ["1"]
    with pytest.raises(SourceError) as caught:
        opened(place, f"{header}\n{separator.join(row)}\n", columns=columns)
    assert f"(seen: {', '.join(cells)})" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "it is empty: expected a header, as path,label"),
        ("My photos\n" + ROWS, "its first line has one field, 'My photos': the header"),
        ("# by me, at home\n" + ROWS, "its first line seems to be a title or a comment: the header"),
        ("Photos, of us\n" + ROWS, "its first line seems to be a title or a comment: the header"),
        (f'{ROWS}"{"x" * 131_073}",a\n', "a field holds at most 131,072 characters"),
    ],
)
def test_hints_that_help(place, text, hint):
    with pytest.raises(SourceError) as caught:
        opened(place, text)
    assert hint in caught.value.hint


def test_columns_that_are_there_twice_and_one_for_both_are_said(place):
    source = opened(place, "path,label,LABEL\nimg/a/1.png,a,x\n")
    assert source.images[0].label == "a"
    assert source.notes == ["warning: 2 columns are called label: the first is taken for label"]
    both = opened(place, ROWS, columns={"path": "path", "label": "path"})
    assert both.notes == ["warning: the column path is taken for both path and label"]


def test_an_image_listed_twice_with_two_labels_says_both(place):
    source = opened(place, ROWS + "img/a/1.png,c\nimg/b/2.png,b\n")
    twice = "listed twice"
    assert source.rejected == [("img/a/1.png", f"{twice}, with labels 'a' and 'c'"), ("img/b/2.png", twice)]
    rows = [("1", "a", "a"), ("1", "c", "a"), ("2", "b", "b"), ("2", "b", "b")]
    lines = [["row", f"img/{folder}/{name}.png", label, ""] for name, label, folder in rows]
    lines += [["rejected", name, twice] for name in ("img/a/1.png", "img/b/2.png")]
    old = hashlib.sha256("\n".join(map(json.dumps, lines)).encode()).hexdigest()
    assert source.rows == (4, old), "the same data set as before its reason said so"


def test_labels_of_a_list_that_look_the_same_are_said(place):
    source = opened(place, "path,label\nimg/a/1.png,fig\nimg/b/2.png,fi\u200bg\n")
    assert source.notes == [
        "differ in spaces or invisible characters alone, and are labels of their own: 'fig' and 'fi\\u200bg'"
    ]


def test_columns_of_other_names(place):
    text = "FILE;Class;Serial;Part\nimg/a/1.png;a;x;TRAIN\nimg/b/2.png;b;y; Test \n"
    source = opened(place, text, columns={"path": "file", "label": "class", "split": "part"}, group="serial")
    assert source.images == [
        SourceImage("img/a/1.png", "a", "train", "x"),
        SourceImage("img/b/2.png", "b", "test", "y"),
    ]
    note = opened(place, text, columns={"path": "file"}).notes[0]
    assert """--set 'dataset.columns={path="file", label="Class"}' takes Class""" in note
    with pytest.raises(SourceError, match=r"dataset\.columns is for table:FILE"):
        open_source(
            f"folder:{place}", home_datasets=place, options={}, exclude=[], root=None, base=place,
            memory=HashMemory(None), columns={"path": "file"},
        )  # fmt: skip


def test_columns_of_parquet(place):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"File": ["img\\a\\1.png", "img/b/2.png"], "class": [f" {NFC}", NFD], "x": [1, 2]})
    parquet.write_table(table, place / "x.parquet")
    data = (place / "x.parquet").read_bytes()
    source = opened(place, data, name="list.parquet", columns={"path": "file", "label": "class"})
    assert [image.label for image in source.images] == [NFC, NFC]
    with pytest.raises(SourceError) as caught:
        opened(place, data, name="list.parquet")
    assert """dataset.columns={path="File", label="class"}""" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{path="file", lable="class"}', "expected path, label, split or group"),
        ("{path=1}", "seen 1"),
        ("file", "expected a table"),
    ],
)
def test_columns_that_are_none(place, value, said):
    (place / "list.csv").write_text(ROWS)
    with pytest.raises(RecipeError) as caught:
        find_recipe(str(place / "list.csv"), [f"dataset.columns={value}"])
    assert said in caught.value.message


def test_the_group_of_columns_is_dataset_group(place):
    (place / "list.tsv").write_text(ROWS)
    columns = 'dataset.columns={path="file", group="serial"}'
    recipe = find_recipe(str(place / "list.tsv"), [columns]).recipe
    assert (recipe.dataset.columns, recipe.dataset.group) == ({"path": "file"}, "serial")
    with pytest.raises(RecipeError, match="leave one out"):
        find_recipe(str(place / "list.tsv"), [columns, "dataset.group=series"])


def test_a_list_of_windows_is_built_and_synced(tmp_path):
    home, rows = tmp_path / "home", ["sep=;", "Datei;Klasse"]
    for label in range(2):
        (tmp_path / "Bilder" / f"Ärzte {label}").mkdir(parents=True)
        for number in range(6):
            picture(label, number).save(tmp_path / "Bilder" / f"Ärzte {label}" / f"{number}.png")
            rows.append(f"Bilder\\Ärzte {label}\\{number}.png;Ä{label}")
    path = tmp_path / "liste.csv"
    path.write_bytes(("\r\n".join(rows[:-1]) + "\r\n;\r\n").encode("cp1252"))
    refused = run_cli("build", path, *SMALL, "--home", home, check=2)
    assert "no column path (seen: Datei, Klasse)" in refused.stderr
    assert """--set 'dataset.columns={path="Datei", label="Klasse"}'""" in refused.stderr
    columns = ["--set", 'dataset.columns={path="Datei", label="Klasse"}']
    done = run_cli("build", path, *SMALL, *columns, "--home", home, check=0)
    assert "liste: 11 images, 2 labels" in done.stderr
    assert "read as cp1252" in done.stderr
    path.write_bytes(("\r\n".join(rows) + "\r\n").encode("cp1252"))
    assert "1 added" in run_cli("sync", path, "--home", home, check=0).stderr
    path.write_text(
        "path,label\n" + "".join(f"gone{number}.png,a\n" for number in range(9)) + "Bilder/Ärzte 0/1.png,a\n"
    )
    told = run_cli("build", path, *SMALL, "--home", home, "--name", "other", check=2).stderr
    assert "mend or remove these rows" in told
    assert "dataset.exclude" not in told
