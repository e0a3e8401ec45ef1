"""Which pictures may decode otherwise by the present rules than by rules 1, as their first bytes tell."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

HEAD = 4096
MOST = 5_000  # files that are looked into; of more, none of a kind that may differ is cleared
ALIKE = (".jpg", ".jpeg", ".jpe")


def may_differ(root: str, names: Collection[str]) -> list[str]:
    """Return the images below `root` whose transparency or depth the rules may read differently; none is decoded."""
    doubtful = [name for name in names if not name.lower().endswith(ALIKE)]
    if len(doubtful) > MOST:
        return doubtful
    found = []
    for name in doubtful:
        with suppress(OSError), open(os.path.join(root, name), "rb") as file:
            if transparent_or_deep(file.read(HEAD)):
                found.append(name)
    return found


def transparent_or_deep(head: bytes) -> bool:
    """Return whether the first bytes of a file allow for transparency or more than 8 bits; True where they cannot say.

    A PNG states depth, colour type and a transparent colour before its pixels, a WebP its alpha, a BMP its bits.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return False
    if head.startswith(b"\x89PNG"):
        depth, colour = head[24:25], head[25:26]
        before, pixels, _ = head.partition(b"IDAT")
        return depth == b"\x10" or colour in (b"\x04", b"\x06") or b"tRNS" in before or not pixels
    if head.startswith(b"GIF8"):
        control = head.find(b"\x21\xf9\x04")
        return control < 0 or head[control + 3 : control + 4] == b"" or bool(head[control + 3] & 1)
    if head.startswith(b"RIFF") and len(head) > 24:
        if head[12:16] == b"VP8L":
            return bool(int.from_bytes(head[21:25], "little") >> 28 & 1)
        return head[12:16] == b"VP8X" and bool(head[20] & 0x10)
    if head.startswith(b"BM"):
        return int.from_bytes(head[28:30], "little") not in (1, 4, 8, 24)
    return True
