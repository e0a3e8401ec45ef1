"""The size of a JPEG XL picture, from the first bits of its codestream (ISO/IEC 18181-1, SizeHeader)."""

from __future__ import annotations

from simsearch.errors import ImageError

SIGNATURE = b"\xff\x0a"
LARGE = (9, 13, 18, 30)  # bits of a side, by a selector of two bits
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def jxl_size(data: bytes) -> tuple[int, int]:
    """Return width and height as they are stored, before any turn; raises ImageError when there is no size."""
    stream = data if data.startswith(SIGNATURE) else _codestream(data)
    if not stream.startswith(SIGNATURE):
        raise ImageError("cannot decode this JPEG XL: it holds no codestream")
    bits = int.from_bytes(stream[2:18].ljust(16, b"\0"), "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return (1 + take(5)) * 8 if small else 1 + take(LARGE[take(2)])

    height = side()
    ratio = take(3)
    if ratio:
        over, under = RATIOS[ratio - 1]
        return height * over // under, height
    return side(), height


def _codestream(data: bytes) -> bytes:
    """The first bytes of the first box that holds the codestream."""
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if kind == b"jxlc":
            return data[at + head : at + head + 64]
        if kind == b"jxlp":
            return data[at + head + 4 : at + head + 68]
        if size < head:
            break
        at += size
    return b""
