"""Packs as files: what is written is a plain zip with one spelling, and any other byte is refused before it is used."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
import zipfile
import zlib
from contextlib import nullcontext

import pytest

from simsearch.artifacts import canonical_json, digest_of
from simsearch.errors import ArtifactError
from simsearch.packs import Contents, Member, check_pack, contents_of, layout, unpack, write_pack
from simsearch.packs.contents import MOST_BYTES

DIGEST = "ab" * 32
FILES = {
    f"artifacts/index/{DIGEST}/index.faiss": bytes(range(256)) * 40,
    f"artifacts/index/{DIGEST}/manifest.json": b"{}",
    f"artifacts/train/{DIGEST}/empty": b"",
    "artifacts/left-out.json": b"{}",
    "builds/shelf.json": b'{"a": 1}',
}


def silent(done, whole):
    """Progress that nobody sees."""


def packed(path, files=FILES, build="shelf"):
    write_pack(path, build, {name: (data, None) for name, data in files.items()}, silent)
    return path


def raw(path, members, build="shelf", **more):
    """A pack whose list says what its writer would never say, all else being right; members: (path, data)."""
    listed = [[name, len(data), hashlib.sha256(data).hexdigest(), zlib.crc32(data)] for name, data in members]
    whole = {"format": 1, "build": build, "members": listed} | more
    return written(path, {**whole, "seal": digest_of(whole)}, members)


def written(path, document, members=()):
    data = canonical_json(document)
    with path.open("wb") as file:
        for name, content in (("pack.json", data), *members):
            member = Member(name, len(content), "", zlib.crc32(content))
            file.write(layout._local(member) + content)
    return path


@pytest.fixture
def pack(tmp_path):
    return packed(tmp_path / "shelf.pack")


def refused(path, tmp_path, *words):
    """A file that is refused with a line that says `words`; nothing of it is written but below its folder."""
    place = tmp_path / "inside" / "home"
    with pytest.raises(ArtifactError) as error:
        unpack(path, place, silent)
    assert "\n" not in error.value.message
    assert str(path) in error.value.message
    for word in words:
        assert word in error.value.message
    assert {one.name for one in tmp_path.iterdir()} <= {path.name, "inside", "shelf.pack"}
    assert not (tmp_path / "inside").exists() or os.listdir(tmp_path / "inside") in ([], ["home"])
    shutil.rmtree(tmp_path / "inside", ignore_errors=True)
    with pytest.raises(ArtifactError):
        check_pack(path, silent)


def test_any_tool_reads_it(pack, tmp_path):
    with zipfile.ZipFile(pack) as file:
        assert file.testzip() is None
        assert file.namelist() == ["pack.json", *sorted(FILES)]
        assert {name: file.read(name) for name in FILES} == FILES
        file.extractall(tmp_path / "by hand")
    contents = unpack(pack, tmp_path / "by us", silent)
    assert contents == contents_of(pack) == check_pack(pack, silent)
    assert hashlib.sha256((tmp_path / "by hand" / "pack.json").read_bytes()).hexdigest() == contents.digest
    for name, data in FILES.items():
        assert (tmp_path / "by us" / name).read_bytes() == (tmp_path / "by hand" / name).read_bytes() == data


def test_the_same_files_are_the_same_bytes(pack, tmp_path):
    again = packed(tmp_path / "again.pack", dict(reversed(FILES.items())))
    assert again.read_bytes() == pack.read_bytes()
    assert pack.stat().st_size == layout.size_of(contents_of(pack))


@pytest.mark.parametrize("limit", [1000, 11_000, 10**7])
def test_more_than_a_plain_zip_holds(tmp_path, monkeypatch, limit):
    small = packed(tmp_path / "small.pack").stat().st_size
    # What is over the limit is written as the largest number, behind which the true one stands.
    monkeypatch.setattr(layout, "is_over", lambda *values: max(values) >= limit)
    path = packed(tmp_path / "large.pack")
    assert (path.stat().st_size > small) == (limit < 10**7)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in FILES} == FILES
    assert check_pack(path, silent).build == "shelf"


def test_every_flipped_bit_is_found(pack, tmp_path):
    data = pack.read_bytes()
    damaged = tmp_path / "damaged.pack"
    chosen = random.Random(0)
    ends = [*range(200), *range(len(data) - 900, len(data))]  # headers and lists, and some of the rest
    for place in ends[::7] + [chosen.randrange(len(data)) for _ in range(60)]:
        damaged.write_bytes(data[:place] + bytes([data[place] ^ 1 << chosen.randrange(8)]) + data[place + 1 :])
        with pytest.raises(ArtifactError, match=r"is damaged|is no pack|another version"):
            check_pack(damaged, silent)
    refused(damaged, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.001, 0.5, 0.9999])
def test_cut_off(pack, tmp_path, share):
    data = pack.read_bytes()
    pack.write_bytes(data[: int(len(data) * share)])
    refused(pack, tmp_path)


def test_more_than_it_should_be(pack, tmp_path):
    pack.write_bytes(pack.read_bytes() + b"x")
    refused(pack, tmp_path, "damaged", "bytes, seen")


@pytest.mark.parametrize(
    "name",
    [
        "../x", "/tmp/x", "builds/../../x", "artifacts/index/../../../x", "artifacts/index/.." , ".lock",
        f"artifacts/index/{DIGEST}/../x", f"artifacts/index/{DIGEST}/..", f"artifacts/index/{DIGEST}/a/b",
        f"artifacts/index/{DIGEST}/.hidden", f"artifacts/../{DIGEST}/x", "builds/other.json", "builds\\shelf.json", "x",
        f"artifacts/index/{DIGEST}/a\0b", f"artifacts/index/{DIGEST}/a\nb", "builds/shelf/report.html/x", "",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere(tmp_path, name):
    members = sorted([("builds/shelf.json", b"{}"), (name, b"evil")])
    refused(raw(tmp_path / "x.pack", members), tmp_path, "damaged", "pack.json")


def test_doubled_unsorted_and_missing_members(tmp_path):
    one = ("builds/shelf.json", b"{}")
    refused(raw(tmp_path / "x.pack", [one, one]), tmp_path, "damaged")
    refused(raw(tmp_path / "x.pack", [one, ("artifacts/left-out.json", b"{}")]), tmp_path, "damaged")
    refused(raw(tmp_path / "x.pack", [("artifacts/left-out.json", b"{}")]), tmp_path, "damaged")
    refused(raw(tmp_path / "x.pack", []), tmp_path, "damaged")


def test_members_that_differ_from_the_list(pack, tmp_path):
    data = pack.read_bytes()
    short = raw(tmp_path / "x.pack", [("builds/shelf.json", b"{}")])
    refused(short, tmp_path, "bytes, seen")  # the end of the file is missing
    other = data.replace(b'{"a": 1}', b'{"a": 2}')
    assert other != data
    (tmp_path / "x.pack").write_bytes(other)
    refused(tmp_path / "x.pack", tmp_path, "sha256 of builds/shelf.json differs")


@pytest.mark.parametrize("how", ["link", "deflated", "doubled", "slip", "comment"])
def test_what_else_a_zip_can_hold(pack, tmp_path, how):
    """Made by another tool with the very list of a sound pack, and something that no list has."""
    other = tmp_path / "x.pack"
    told = pytest.warns(UserWarning, match="Duplicate") if how == "doubled" else nullcontext()
    with zipfile.ZipFile(pack) as old, zipfile.ZipFile(other, "w") as new, told:
        for info in old.infolist():
            deflate = how == "deflated" and info.filename.endswith("faiss")
            new.writestr(info, old.read(info), zipfile.ZIP_DEFLATED if deflate else None)
        if how == "comment":
            new.comment = b"hello"
        elif how != "deflated":
            info = zipfile.ZipInfo({"slip": "../../evil", "doubled": "builds/shelf.json"}.get(how, "builds/link"))
            info.external_attr = (0o120777 if how == "link" else 0o100644) << 16
            new.writestr(info, "/etc/passwd")
    refused(other, tmp_path, "damaged")
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("size", [10**12, 2**40, 2**63 - 1, 2**64, -1, 1.0, True, "8", None])
def test_sizes_that_cannot_be(tmp_path, size):
    """No room is asked for before the file is known to be as long."""
    whole = {"format": 1, "build": "shelf", "members": [["builds/shelf.json", size, DIGEST, 0]]}
    started = time.monotonic()
    refused(written(tmp_path / "x.pack", {**whole, "seal": digest_of(whole)}), tmp_path, "damaged")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "document",
    [
        [], None, 1, {}, {"format": 1}, {"format": 1, "build": "shelf", "members": [], "seal": DIGEST},
        {"format": 1, "build": "../x", "members": []}, {"format": 1, "build": 3, "members": []},
        {"format": 1, "build": "shelf", "members": [[1]]}, {"format": 1, "build": "shelf", "members": {"a": 1}},
    ],
)  # fmt: skip
def test_a_list_that_is_none(tmp_path, document):
    if isinstance(document, dict) and "members" in document and "seal" not in document:
        document = {**document, "seal": digest_of(document)}
    refused(written(tmp_path / "x.pack", document), tmp_path)


def test_other_versions(tmp_path):
    whole = {"format": 2, "build": "shelf", "files": "as it then is"}
    refused(written(tmp_path / "x.pack", whole), tmp_path, "another version", "expected format 1, seen 2")


def test_what_is_no_pack_at_all(tmp_path):
    path = tmp_path / "x.pack"
    for data in (b"", b"PK", b"not a zip", b"PK\3\4" + bytes(100), bytes(10**6)):
        path.write_bytes(data)
        refused(path, tmp_path, "is no pack")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "a zip of something")
    refused(path, tmp_path, "is no pack")
    nested = b'{"format":' + b"[" * 10**6
    path.write_bytes(layout._local(Member("pack.json", len(nested), "", 0)) + nested)
    refused(path, tmp_path, "damaged")
    path.write_bytes(layout._local(Member("pack.json", MOST_BYTES + 1, "", 0)))
    refused(path, tmp_path, "is no pack", "would have")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.pack")
    with pytest.raises(ArtifactError, match="no plain file"):
        contents_of(tmp_path / "x.pack")


def test_a_file_that_changes_is_not_packed(tmp_path):
    file = tmp_path / "index.faiss"
    file.write_bytes(b"as it is")
    sources = {"builds/shelf.json": (b"{}", None), f"artifacts/index/{DIGEST}/index.faiss": (file, DIGEST)}
    with pytest.raises(ArtifactError, match="differs from the recorded one"):
        write_pack(tmp_path / "x.pack", "shelf", sources, silent)

    def change(done, whole):
        file.write_bytes(b"other")

    sources = {"artifacts/left-out.json": (b"{}", None), f"artifacts/train/{DIGEST}/x": (file, None)} | sources
    sources[f"artifacts/index/{DIGEST}/index.faiss"] = (b"", None)
    with pytest.raises(ArtifactError, match="changed while it was read"):
        write_pack(tmp_path / "y.pack", "shelf", sources, change)


def test_contents_are_what_they_were():
    contents = Contents("shelf", (Member("builds/shelf.json", 3, DIGEST, 7),))
    assert Contents.from_bytes(contents.to_bytes()) == contents
    assert contents.size == 3
