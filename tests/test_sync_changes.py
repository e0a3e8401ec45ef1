"""Two states compared by content, against a slow and plain account of what happened; the files that sync writes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from conftest import picture
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch.changes.compare import Changes, compare
from simsearch.changes.state import State
from simsearch.errors import ArtifactError
from simsearch.images.quarantine import SetAside, read_quarantine, write_quarantine
from simsearch.images.records import ImageRecord, RecordTable, extend_records, read_names, read_records, write_records
from simsearch.images.sources.source import SourceImage
from simsearch.images.thumbnails import MORE, ThumbnailReader, encode_thumbnail, extend_thumbnails, write_thumbnails

NAMES = ["a/1", "a/2", "b/1", "b/2", "b/3"]
CONTENTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("xyz"))


def state_of(files: dict[str, str], deleted=(), aside=()) -> State:
    names = sorted(files)
    labels = [name.split("/")[0] for name in names]
    gone = np.array(sorted(deleted), dtype=np.int64)
    return State(names, labels, [files[name] for name in names], gone, {one.image: one for one in aside})


def here(name: str, label: str | None = None) -> SourceImage:
    return SourceImage(name, label or name.split("/")[0], None)


def changes(before: State, now: dict[str, str]) -> Changes:
    return compare([(here(name), now[name]) for name in sorted(now)], [], before)


@given(CONTENTS, CONTENTS)
@settings(max_examples=150, deadline=None)
def test_following_the_changes_leads_to_the_source_of_now(before, now):
    state = state_of(before)
    found = changes(state, now)
    rows = {row: (state.images[row], state.digests[row]) for row in range(len(state.images))}
    for row in found.gone:
        del rows[row]
    for move in found.moved:
        assert rows[move.row] == (move.old, move.now.sha256), "nothing is moved whose content is another"
        rows[move.row] = move.now.image, move.now.sha256
    after = [*rows.values(), *((one.image, one.sha256) for one in found.fresh)]
    assert sorted(after) == sorted(now.items())
    # Nothing is embedded that the build has, under a name that is not there any more.
    unused = {before[name] for name in before if name not in now or now[name] != before[name]}
    unused -= {move.now.sha256 for move in found.moved}
    assert not unused & {one.sha256 for one in found.fresh}
    assert found.same == sum(now.get(name) == content for name, content in before.items())
    assert {one.image for one in found.added} == {one.image for one in found.fresh} - set(before)
    assert (found.count == 0) == (before == now)


def test_each_kind():
    before = {"a/1": "x", "a/2": "y", "b/1": "z", "b/2": "w"}
    found = changes(state_of(before), {"a/1": "x", "a/2": "other", "b/9": "z", "b/3": "new"})
    assert [one.image for one in found.added] == ["b/3"]
    assert [one.image for one in found.changed] == ["a/2"]
    assert [(move.old, move.now.image) for move in found.moved] == [("b/1", "b/9")]
    assert found.deleted == ["b/2"]
    assert found.gone == [1, 3]


def test_a_file_moved_over_another_one():
    found = changes(state_of({"a/1": "x", "a/2": "y"}), {"a/2": "x"})
    assert ([(m.row, m.now.image) for m in found.moved], found.gone, found.fresh) == ([(0, "a/2")], [1], [])


def test_deleted_rows_are_not_there_and_come_back_as_new():
    state = state_of({"a/1": "x", "a/2": "y"}, deleted=[0])
    assert changes(state, {"a/2": "y"}).count == 0
    assert [one.image for one in changes(state, {"a/1": "x", "a/2": "y"}).added] == ["a/1"]


def test_a_new_label_of_the_same_name_is_a_move():
    found = compare([(here("a/1", "other"), "x")], [], state_of({"a/1": "x"}))
    assert [(move.row, move.old, move.now.label) for move in found.moved] == [(0, "a/1", "other")]


def test_what_cannot_be_read_is_set_aside_and_its_row_gone():
    state = state_of({"a/1": "x", "a/2": "y"}, aside=[SetAside("b/1", "truncated", "bad")])
    denied = PermissionError(13, "Permission denied")
    found = compare([(here("a/1"), denied), (here("a/2"), "y"), (here("b/1"), "bad")], [("c", "no label")], state)
    assert sorted(found.set_aside) == [
        ("a/1", "cannot be read: Permission denied", ""),
        ("b/1", "truncated", "bad"),
        ("c", "no label", ""),
    ]
    assert (found.gone, found.deleted, found.fresh) == ([0], ["a/1"], [])


def test_a_digest_tells_changes_apart():
    state = state_of({"a/1": "x", "a/2": "y"})
    others = [{"a/1": "x"}, {"a/2": "y"}, {"a/1": "x", "a/2": "z"}, {"a/1": "x", "b/2": "y"}, {"a/1": "x", "b/1": "y"}]
    assert len({changes(state, now).digest() for now in others}) == len(others)
    assert changes(state, others[2]).digest() == changes(state, dict(others[2])).digest()


def record(row, image="a/1", label="a"):
    return ImageRecord(row, image, label, True, False, True, False, hashlib.sha256(repr(image).encode()).hexdigest())


def test_an_extended_table_is_the_table_written_anew(tmp_path):
    """Names with commas, quotes, line ends and bytes that are no text; rows replaced by longer and shorter lines."""
    odd = ['a,b"c', "line\nend", "\udcff\udcfe", "plain", "é", ""]
    old = [record(row, f"{name}/{row}", name) for row, name in enumerate(odd * 5)]
    replaced = {row: replace(old[row], image=f"new\n{'x' * row}", label='"') for row in (0, 7, 8, 29)}
    added = [record(30 + i, f"more{i},\n") for i in range(3)]
    for folder in ("old", "plain", "spliced"):
        (tmp_path / folder).mkdir()
    write_records(tmp_path / "old", old)
    whole = [replaced.get(r.row, r) for r in old] + added
    write_records(tmp_path / "plain", whole)
    extend_records(tmp_path / "old", tmp_path / "spliced", replaced, added)
    for name in ("images.csv", "images.offsets.npy"):
        assert (tmp_path / "spliced" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    table = RecordTable(tmp_path / "spliced")
    assert [table[row] for row in range(len(table))] == whole == list(read_records(tmp_path / "spliced"))
    *names, groups = read_names(tmp_path / "spliced")
    assert list(zip(*names, strict=True)) == [(r.image, r.label, r.sha256) for r in whole]
    assert groups is None


def test_extended_thumbnails_share_their_bulk(tmp_path):
    pictures = [encode_thumbnail(np.asarray(picture(label, 0))) for label in range(7)]
    for folder in ("first", "second", "third"):
        (tmp_path / folder).mkdir()
    with write_thumbnails(tmp_path / "first") as writer:
        for one in pictures[:3]:
            writer(one)
    extend_thumbnails(tmp_path / "first", tmp_path / "second", pictures[3:5])
    extend_thumbnails(tmp_path / "second", tmp_path / "third", pictures[5:])
    for folder, count in (("first", 3), ("second", 5), ("third", 7)):
        with ThumbnailReader(tmp_path / folder) as reader:
            assert [reader[row] for row in range(len(reader))] == pictures[:count]
    assert (tmp_path / "third" / "thumbnails.bin").samefile(tmp_path / "first" / "thumbnails.bin")
    with (tmp_path / "third" / MORE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match="damaged"):
        ThumbnailReader(tmp_path / "third")


def test_a_quarantine_of_an_earlier_version_knows_no_digests(tmp_path):
    bad = [SetAside("b", "why, then", "d" * 64), SetAside("\udcff", "line\nend")]
    write_quarantine(tmp_path, bad)
    assert list(read_quarantine(tmp_path)) == bad
    (tmp_path / "quarantine.csv").write_text("image,reason\r\nb,why\r\n")
    assert list(read_quarantine(tmp_path)) == [("b", "why", "")]
