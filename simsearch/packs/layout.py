"""The bytes of a pack around its members: those of an uncompressed zip, so that any tool shows and unpacks it.

All of them follow from the list of the members, to the last one: whoever reads a pack compares them, and believes no
header. So there is one spelling of a pack; what a zip could hold beside it (other names, links, compressed or doubled
members, a comment) is a difference, and never looked at.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from simsearch.packs.contents import LIST, Contents, Member

LIMIT = 0xFFFFFFFF  # from here on a zip holds sizes and places in a further field
STORED, ZIP64, DATE, MODE = 20, 45, (1 << 5) | 1, 0o100644 << 16  # 1980-01-01, a plain file
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s2B5H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
UNIX = 3


class Placed(NamedTuple):
    """A member, and the bytes that stand before it."""

    header: bytes
    member: Member


def list_of(contents: Contents) -> tuple[Member, bytes]:
    """Return the list of a pack as its first member, and its bytes."""
    data = contents.to_bytes()
    return Member(LIST, len(data), contents.digest, zlib.crc32(data)), data


def placed(contents: Contents) -> Iterator[Placed]:
    """Yield every member behind its header, in order; the list is the first."""
    for member in (list_of(contents)[0], *contents.members):
        yield Placed(_local(member), member)


def tail_of(contents: Contents) -> bytes:
    """Return what stands behind the members: the directory of a zip, and its end."""
    place, entries = 0, []
    for header, member in placed(contents):
        entries.append(_central(member, place))
        place += len(header) + member.size
    return b"".join([*entries, _end(len(entries), sum(map(len, entries)), place)])


def size_of(contents: Contents) -> int:
    """Return how many bytes a pack has."""
    return sum(len(header) + member.size for header, member in placed(contents)) + len(tail_of(contents))


def _local(member: Member) -> bytes:
    name, size, more = member.path.encode("ascii"), member.size, b""
    version = STORED
    if is_over(size):
        more, size, version = _extra(size, size), LIMIT, ZIP64
    head = LOCAL.pack(b"PK\3\4", version, 0, 0, 0, DATE, member.crc32, size, size, len(name), len(more))
    return head + name + more


def _central(member: Member, place: int) -> bytes:
    name, size, more = member.path.encode("ascii"), member.size, b""
    version = STORED
    if is_over(size, place):
        more, size, place, version = _extra(size, size, place), LIMIT, LIMIT, ZIP64
    facts = (version, UNIX, version, 0, 0, 0, DATE, member.crc32, size, size, len(name), len(more), 0, 0, 0)
    return CENTRAL.pack(b"PK\1\2", *facts, MODE, place) + name + more


def is_over(*values: int) -> bool:
    """Whether one of some sizes and places is more than a plain zip can hold."""
    return max(values) >= LIMIT


def _extra(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def _end(count: int, size: int, place: int) -> bytes:
    whole = b""
    if is_over(size, place):
        whole = END64.pack(b"PK\6\6", END64.size - 12, ZIP64, ZIP64, 0, 0, count, count, size, place)
        whole += LOCATOR.pack(b"PK\6\7", 0, place + size, 1)
        size, place = min(size, LIMIT), LIMIT
    return whole + END.pack(b"PK\5\6", 0, 0, count, count, size, place, 0)


def first_size(header: bytes) -> int | None:
    """Return the size that the first header of a pack gives for the list; None where it is no such header."""
    if len(header) != LOCAL.size + len(LIST):
        return None
    size = int(LOCAL.unpack(header[: LOCAL.size])[7])
    crc32 = int(LOCAL.unpack(header[: LOCAL.size])[6])
    return size if header == _local(Member(LIST, size, "", crc32)) else None
