"""What a pack holds: pack.json, the first file in it, lists every other one with its size and sha256.

The list is canonical JSON and sealed, so that the same build has the same bytes, and the digest of these names it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from simsearch.artifacts import LEFT_OUT, canonical_json, digest_of
from simsearch.names import is_name

FORMAT = 1
LIST = "pack.json"
MOST_BYTES = 16 << 20  # of the list
MOST_MEMBERS = 10_000
KEYS = ("format", "build", "members", "seal")
SHA256 = re.compile("[0-9a-f]{64}")
PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"  # of a path: none is hidden, none leads up
PATHS = (
    rf"artifacts/{re.escape(LEFT_OUT)}|artifacts/[a-z_]{{1,40}}/[0-9a-f]{{64}}/{PART}"
    r"|builds/%s\.json|builds/%s/(?:report\.json|report\.html|places\.npz)"
)


class Member(NamedTuple):
    """A file in a pack: its path below the home that the pack becomes, its bytes, and their digests."""

    path: str
    size: int
    sha256: str
    crc32: int  # which the headers of a zip bear


class OtherFormatError(ValueError):
    """A list that another version of simsearch wrote."""


@dataclass(frozen=True)
class Contents:
    """The name of the build in a pack, and the members, sorted by their paths."""

    build: str
    members: tuple[Member, ...]

    def to_bytes(self) -> bytes:
        """Return pack.json."""
        whole = {"format": FORMAT, "build": self.build, "members": [list(member) for member in self.members]}
        return canonical_json({**whole, "seal": digest_of(whole)})

    @property
    def digest(self) -> str:
        """What names the pack: sha256 of the list, which fixes all of its bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of the members."""
        return sum(member.size for member in self.members)

    @classmethod
    def from_bytes(cls, data: bytes) -> Contents:
        """Return what a list holds; OtherFormatError for another version, ValueError for what is none of ours."""
        try:
            found = json.loads(data)
            if type(found["format"]) is int and found["format"] != FORMAT:
                raise OtherFormatError(found["format"])
            contents = cls(found["build"], tuple(Member(*one) for one in found["members"]))
            sound = found.keys() == set(KEYS) and isinstance(contents.build, str) and is_name(contents.build)
            sound = sound and _sound(contents) and contents.to_bytes() == data
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError, UnicodeError):
            sound = False
        if not sound:
            raise ValueError("not the list of a pack")
        return contents


def _sound(contents: Contents) -> bool:
    """Whether every member lies where a home has such a file, once, and its facts are of their types."""
    allowed = re.compile(PATHS.replace("%s", re.escape(contents.build)))
    paths = [member.path for member in contents.members]
    ordered = 0 < len(paths) <= MOST_MEMBERS and all(a < b for a, b in pairwise(paths))
    named = ordered and all(allowed.fullmatch(path) for path in paths) and f"builds/{contents.build}.json" in paths
    return named and all(
        _whole(member.size, 63) and _whole(member.crc32, 32) and SHA256.fullmatch(member.sha256) is not None
        for member in contents.members
    )


def _whole(value: Any, bits: int) -> bool:
    return type(value) is int and 0 <= value < 1 << bits
