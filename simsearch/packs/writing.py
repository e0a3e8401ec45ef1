"""A pack is written from files whose digests are known, each read twice: what changed meanwhile is found."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from simsearch.durable import reserve, writing
from simsearch.errors import ArtifactError
from simsearch.hashing import CHUNK_BYTES
from simsearch.packs.contents import Contents, Member
from simsearch.packs.layout import list_of, placed, size_of, tail_of

Source = Path | bytes


def write_pack(
    out: Path, build: str, sources: Mapping[str, tuple[Source, str | None]], tell: Callable[[int, int], None]
) -> Contents:
    """Write the pack of a build to the new file `out`; return what it holds. The caller makes it durable.

    `sources`: by its path in the pack, each file or its bytes, and its sha256 where that is recorded; `tell` hears how
    many bytes of how many were written. Raises ArtifactError for a file that is not what was recorded, DiskError.
    """
    members = [_member(path, *sources[path]) for path in sorted(sources)]
    contents = Contents(build, tuple(members))
    assert Contents.from_bytes(contents.to_bytes()) == contents, "what is written can be read"
    whole, done = size_of(contents), 0
    with writing(out, whole), out.open("xb") as file:
        reserve(file.fileno(), whole)
        for header, member in placed(contents):
            file.write(header)
            source = sources[member.path][0] if member.path in sources else list_of(contents)[1]
            digest, seen = hashlib.sha256(), 0
            for piece in _pieces(source):
                digest.update(piece)
                seen += len(piece)
                file.write(piece)
            if (seen, digest.hexdigest()) != (member.size, member.sha256):
                raise ArtifactError(f"{member.path} changed while it was read", hint="run the same command again")
            done += seen
            tell(done, contents.size)
        file.write(tail_of(contents))
    return contents


def _member(path: str, source: Source, recorded: str | None) -> Member:
    digest, crc32, size = hashlib.sha256(), 0, 0
    for piece in _pieces(source):
        digest.update(piece)
        crc32 = zlib.crc32(piece, crc32)
        size += len(piece)
    if recorded not in (None, digest.hexdigest()):
        raise ArtifactError(
            f"{path} is damaged: its sha256 differs from the recorded one",
            hint="simsearch index verify BUILD tells more",
        )
    return Member(path, size, digest.hexdigest(), crc32)


def _pieces(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        yield from pieces_of(file)


def pieces_of(file: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file (None: all that are left) in pieces; fewer where it ends before."""
    while size is None or size > 0:
        piece = file.read(CHUNK_BYTES if size is None else min(size, CHUNK_BYTES))
        if not piece:
            return
        size = None if size is None else size - len(piece)
        yield piece
