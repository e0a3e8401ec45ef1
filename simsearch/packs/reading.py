"""A pack is read from its first byte to its last, each compared with what its list says, before anything parses one."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from simsearch.durable import fsync, reserve, writing
from simsearch.errors import ArtifactError
from simsearch.packs.contents import FORMAT, LIST, MOST_BYTES, Contents, Member, OtherFormatError
from simsearch.packs.layout import LOCAL, first_size, placed, size_of, tail_of
from simsearch.packs.writing import pieces_of

AGAIN = "simsearch export BUILD --format pack --out FILE.pack makes it anew, where the build is"
Tell = Callable[[int, int], None]


def contents_of(path: Path) -> Contents:
    """Return what a pack holds by its list, which is all that is read; ArtifactError where it has none."""
    with _opened(path) as file:
        return _contents(path, file)


def check_pack(path: Path, tell: Tell) -> Contents:
    """Return what a pack holds once every byte of it was compared; ArtifactError for the first that differs."""
    with _opened(path) as file:
        contents = _contents(path, file)
        for _, pieces in _members(path, file, contents, tell):
            for _ in pieces:
                pass
    return contents


def unpack(path: Path, folder: Path, tell: Tell) -> Contents:
    """Write what a pack holds below the new folder `folder`, durably; return its list.

    Raises ArtifactError for a pack that differs anywhere from what its list says, DiskError where there is no room.
    """
    with _opened(path) as file, writing(folder, os.fstat(file.fileno()).st_size):
        contents = _contents(path, file)
        folder.mkdir(parents=True)
        folders = {folder}
        for member, pieces in _members(path, file, contents, tell):
            place = folder / member.path
            place.parent.mkdir(parents=True, exist_ok=True)
            folders |= {folder / one for one in place.relative_to(folder).parents}
            with place.open("xb") as out:
                reserve(out.fileno(), member.size)
                for piece in pieces:
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
            place.chmod(0o444)
        for one in folders:
            fsync(one)
    return contents


def bytes_of(folder: Path, path: str) -> bytes | None:
    """Return a file of a pack that was unpacked into a folder, checked; None where the pack has none of that path.

    Raises ArtifactError where it is damaged, or the list is.
    """
    try:
        contents = Contents.from_bytes((folder / LIST).read_bytes())
        member = next((one for one in contents.members if one.path == path), None)
        data = None if member is None else (folder / path).read_bytes()
        sound = member is None or (data is not None and hashlib.sha256(data).hexdigest() == member.sha256)
    except (OSError, ValueError):
        sound = False
    if not sound:
        raise ArtifactError(f"{folder / path} is damaged", hint=f"move {folder} away: it is unpacked again")
    return data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    # O_NONBLOCK: a FIFO that pretends to be a pack must not hold anything up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _none(path, "no plain file")
        yield file


def _contents(path: Path, file: BinaryIO) -> Contents:
    """Return the list of a pack that is opened at its beginning, where it is left again."""
    size = first_size(file.read(LOCAL.size + len(LIST)))
    if size is None:
        raise _none(path, f"it does not begin with {LIST}")
    if size > MOST_BYTES:
        raise _none(path, f"its {LIST} would have {size:,} bytes")
    try:
        contents = Contents.from_bytes(file.read(size))
    except OtherFormatError as seen:
        raise ArtifactError(
            f"{path} is a pack of another version of simsearch: expected format {FORMAT}, seen {seen}", hint=AGAIN
        ) from None
    except ValueError:
        raise _damaged(path, f"{LIST}, which lists what it holds, is not as it was written") from None
    file.seek(0)
    return contents


def _members(path: Path, file: BinaryIO, contents: Contents, tell: Tell) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Yield each member and its bytes, which have to be read to the end, where they are compared with its sha256."""
    seen, whole = os.fstat(file.fileno()).st_size, size_of(contents)
    if seen != whole:
        raise _damaged(path, f"expected {whole:,} bytes, seen {seen:,}")
    for header, member in placed(contents):
        if file.read(len(header)) != header:
            raise _damaged(path, f"what stands before {member.path} is not as it was written")
        yield member, _checked(path, file, member)
        tell(file.tell(), whole)
    if file.read() != tail_of(contents):
        raise _damaged(path, "its end is not as it was written")


def _checked(path: Path, file: BinaryIO, member: Member) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces_of(file, member.size):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != member.sha256:
        raise _damaged(path, f"the sha256 of {member.path} differs from the one in {LIST}")


def _none(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path} is no pack: {why}", hint=AGAIN)


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path} is damaged: {why}", hint=AGAIN)
