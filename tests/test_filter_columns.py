"""Further columns of a list: kept beside each image, filtered by, brought in step by sync; builds without them stay."""

from __future__ import annotations

import csv
import json
import re

import pytest
from conftest import SMALL, artifact_file, picture, retrains, run_cli, snapshot

from simsearch.images.sources import tables
from simsearch.images.sources.extras import LONGEST, Extras

LABELS = ("apple", "pear", "fig")


def write_list(folder, *, change=lambda rows: rows, columns=("path", "label", "price", "Sold by", "note", "image")):
    """A list of 36 images on 3 shelves, and what else is known of each."""
    rows = []
    for number in range(36):
        label, shelf = number % 3, number // 12
        path = folder / "img" / f"shelf-{shelf}" / f"{number:02d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(label, number).save(path)
        price = "" if number == 5 else f"{number / 2:g}"
        seller = "a, b" if number % 2 else "it's"
        rows.append([f"img/shelf-{shelf}/{number:02d}.png", LABELS[label], price, seller, "two\nlines", "x"])
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *change(rows)])
    return folder / "list.csv"


@pytest.fixture
def listed(tmp_path):
    return write_list(tmp_path), tmp_path / "home"


def build(listed, *more, check=0):
    return run_cli("build", listed[0], *SMALL, *more, "--home", listed[1], check=check)


def found(listed, where, *more):
    query = listed[0].parent / "img" / "shelf-0" / "00.png"
    done = run_cli("query", query, "--where", where, "--k", 50, "--json", *more, "--home", listed[1], check=0)
    return {hit["image"][-6:-4] for hit in json.loads(done.stdout)["hits"]}


def numbers(*which):
    return {f"{number:02d}" for number in which}


def test_a_list_with_further_columns(listed):
    build(listed)
    with artifact_file(listed[1], "dataset", "images.csv").open(newline="") as file:
        assert next(csv.reader(file))[7:] == ["sha256", "list:price", "list:Sold by", "list:note"]
    assert found(listed, "price < 2") == numbers(0, 1, 2, 3)
    assert found(listed, "price >= 17") == numbers(34, 35)
    assert found(listed, "price = ''") == numbers(5)
    assert found(listed, "not price >= 0") == numbers(5)
    assert found(listed, "'sold by' = 'a, b' and price <= 1.50") == numbers(1, 3)
    assert found(listed, "label in (apple, fig) and image under 'img/shelf-2/' and price < 13") == numbers(24)
    assert found(listed, "note = 'two\nlines' and price in (1, '2', 3.0)") == numbers(2, 4, 6)
    query = listed[0].parent / "img" / "shelf-0" / "00.png"
    done = run_cli("query", query, "--where", "prize < 3", "--home", listed[1], check=2)
    assert "no column 'prize' (seen: image, label, price, Sold by, note); did you mean 'price'?" in done.stderr
    assert re.search(retrains(*listed, name="list"), done.stderr)
    done = run_cli("query", query, "--where", "note < 3", "--home", listed[1], check=2)
    assert "the column note holds no numbers" in done.stderr


def test_what_changes_in_a_column_makes_another_data_set_and_trains_nothing(listed):
    build(listed)
    before = snapshot(listed[1])
    assert "is up to date" in build(listed).stderr or snapshot(listed[1]) == before
    write_list(listed[0].parent, change=lambda rows: [[*row[:2], "7", *row[3:]] for row in rows])
    build(listed)
    new = {path.split("/")[1] for path in snapshot(listed[1]).keys() - before.keys()}
    assert "dataset" in new
    assert not new & {"train", "embed"}
    assert found(listed, "price = 7") == numbers(*range(36))


def test_the_group_of_a_list_can_be_asked_for_by_both_names(listed):
    columns = ("path", "label", "object", "Sold by", "note", "image")
    write_list(listed[0].parent, columns=columns)
    build(listed, "--set", "dataset.group=object")
    assert found(listed, "object = 3.5") == found(listed, "group = 3.5") == numbers(7)
    assert found(listed, "'Sold by' = \"it's\" and object < 2") == numbers(0, 2)


def test_sync_brings_columns_in_step(listed):
    build(listed)

    def changed(rows):
        picture(1, 99).save(listed[0].parent / "img" / "new.png")
        rows = [
            [*row[:2], "100" if number == 3 else row[2], *row[3:]] for number, row in enumerate(rows) if number != 8
        ]
        return [*rows, ["img/new.png", "pear", "100", "us", "", ""]]

    write_list(listed[0].parent, change=changed)
    done = run_cli("sync", listed[0], "--json", "--home", listed[1], check=0)
    counts = json.loads(done.stdout)
    assert [counts[kind] for kind in ("added", "changed", "moved", "deleted", "relabelled")] == [1, 0, 1, 1, 0]
    assert found(listed, "price >= 100") == {"03", "ew"}
    assert found(listed, "'Sold by' = us") == {"ew"}
    assert found(listed, "price = 4") == set(), "deleted"
    done = run_cli("sync", listed[0], "--json", "--home", listed[1], check=0)
    assert json.loads(done.stdout)["up_to_date"]
    # Most of it goes: all is written anew, as a compaction; a column that the list has no longer is empty.
    write_list(
        listed[0].parent,
        columns=("path", "label", "price"),
        change=lambda rows: [row[:3] for row in rows[:20]],
    )
    done = run_cli("sync", listed[0], "--allow-deletes", "--json", "--home", listed[1], check=0)
    assert json.loads(done.stdout)["compacted"]
    assert found(listed, "price >= 8 and 'Sold by' = ''") == numbers(16, 17, 18, 19)


def test_a_build_of_before_stays_up_to_date_until_it_is_retrained(listed, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(tables, "read_extras", lambda *given: Extras((), {}))
        build(listed)
    old = snapshot(listed[1])
    build(listed)
    assert snapshot(listed[1]).keys() == old.keys(), "nothing is made anew"
    run_cli("sync", listed[0], "--home", listed[1], check=0)
    query = listed[0].parent / "img" / "shelf-0" / "00.png"
    done = run_cli("query", query, "--where", "price < 3", "--home", listed[1], check=2)
    again = f"where the list has that column, {retrains(*listed, name='list')} makes the build anew with it"
    assert re.search(again, done.stderr)
    assert found(listed, "label = apple and image under img/shelf-0") == numbers(0, 3, 6, 9)
    build(listed, "--retrain")
    assert found(listed, "price < 2") == numbers(0, 1, 2, 3)
    new = {path.split("/")[1] for path in snapshot(listed[1]).keys() - old.keys()}
    assert not new & {"train", "embed"}, "what is trained does not depend on it"


def test_columns_that_are_not_kept(listed):
    columns = ("path", "label", "Price", "price", "", "blob")
    change = lambda rows: [[*row[:2], row[2], "9", "y", "z" * (LONGEST + 1)] for row in rows]  # noqa: E731
    write_list(listed[0].parent, columns=columns, change=change)
    done = build(listed)
    assert f"the column blob is not kept: a cell of it has {LONGEST + 1:,} characters" in done.stderr
    assert found(listed, "price < 2") == numbers(0, 1, 2, 3), "of two with one name the first"


def test_parquet(listed):
    pyarrow = pytest.importorskip("pyarrow")
    from datetime import date

    from pyarrow import parquet

    with listed[0].open(newline="") as file:
        head, *rows = csv.reader(file)
    data = {name: [row[at] for row in rows] for at, name in enumerate(head[:2])}
    data |= {
        "price": [None if row[2] == "" else float(row[2]) for row in rows],
        "stock": list(range(36)),
        "taken": [date(2026, 1 + number // 3, 1) for number in range(36)],
        "bytes": [b"\x89PNG"] * 36,
        "list": [[1, 2]] * 36,
    }
    parquet.write_table(pyarrow.table(data), listed[0].parent / "list.parquet")
    listed = listed[0].parent / "list.parquet", listed[1]
    build(listed)
    assert found(listed, "price < 2 and stock > 1") == numbers(2, 3)
    assert found(listed, "price = ''") == numbers(5)
    assert found(listed, "taken >= 2026-12-01") == numbers(33, 34, 35)
    done = run_cli(
        "query", listed[0].parent / "img" / "shelf-0" / "00.png", "--where", "bytes = 1", "--home", listed[1]
    )
    assert "no column 'bytes' (seen: image, label, price, stock, taken)" in done.stderr
