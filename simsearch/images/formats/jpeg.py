"""What of a JPEG is decided before it is decoded: at which scale, and whether one without an end has all its rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import ImageFile

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.formats.bounds import check_size
from simsearch.images.formats.decoding import Decoding

END = b"\xff\xd9"
UNWRITTEN = 16  # zeros at the end that are more than chance
SCALES = (1, 2, 4, 8)
COEFFICIENT_BYTES = 6  # a pixel: what three components without subsampling take, two bytes each
FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, Huffman-coded
FULL_PRECISION = (1 << 64) - 1


def shrink(image: ImageFile.ImageFile, data: bytes, at_least: int | None, decoding: Decoding) -> None:
    """Let an opened JPEG be decoded at the smallest scale that leaves both sides twice `at_least`, or that is allowed.

    Raises ImageError when what is decoded would have too many pixels, or its coefficients take too much memory.
    """
    stored = image.size
    if at_least is not None:
        # Twice the wanted size, so that the antialiased resize that follows still decides how it looks.
        image.draft(None, (2 * at_least, 2 * at_least))
    elif stored[0] * stored[1] > decoding.max_pixels:
        scale = next((n for n in SCALES if stored[0] * stored[1] // n**2 <= decoding.max_pixels), SCALES[-1])
        image.draft(None, (stored[0] // scale, stored[1] // scale))
    check_size(image.size, decoding)
    if stored[0] * stored[1] > decoding.max_pixels:
        needed = next((_coefficient_bytes(frame) for frame in _frames(data)), 0)
        if needed > COEFFICIENT_BYTES * decoding.max_pixels:
            raise ImageError(
                f"too many pixels for a progressive JPEG: {stored[0]:,} x {stored[1]:,} take {needed >> 20:,} MB, "
                f"at most {COEFFICIENT_BYTES * decoding.max_pixels >> 20:,} (images.max_pixels)"
            )


def ends_in_nothing(data: bytes) -> bool:
    """Return whether a JPEG runs out into zeros without an end: a download that stopped, which libjpeg decodes."""
    if not data.endswith(bytes(UNWRITTEN)) or data.rstrip(b"\0").endswith(END):
        return False
    try:
        frame = next(_frames(data, whole=True), None)
    except (IndexError, ValueError):
        return False
    return frame is not None and not frame.ended


def with_end(data: bytes, decoding: Decoding) -> bytes | None:
    """Return a JPEG with the end marker that it lacks, or None when more is missing.

    libjpeg fills what is missing with gray and says nothing, so it is tried: every scan that its kind needs must be
    there, every restart marker, and no bits that might follow may change a pixel.
    """
    try:
        frame = next(_frames(data, whole=True), None)
        if frame is None or not frame.scans or not frame.whole:
            return None
    except (IndexError, ValueError):  # a header that was cut or makes no sense
        return None
    if frame.width * frame.height > decoding.max_pixels:
        return None
    cut = data.rstrip(b"\0")
    if len(data) - len(cut) < UNWRITTEN:  # a few may belong to the picture; a tail of them was never written
        cut = data
    cut = cut[:-1] if cut.endswith(b"\xff") else cut  # half a marker
    mended = cut + END
    first = _pixels(mended)
    # What may follow a scan that was cut off: where all of it is there, nothing that follows changes a pixel.
    guesses = (np.random.default_rng(seed).integers(0, 255, 256, np.uint8).tobytes() for seed in range(4))
    if all(np.array_equal(first, _pixels(cut + guess + END)) for guess in guesses):
        return mended
    return None


@dataclass
class _Frame:
    """What the headers of a JPEG say: its size, (horizontal, vertical) sampling by component, and its scans."""

    kind: int
    width: int
    height: int
    sampling: dict[int, tuple[int, int]]
    restart: int = 0
    scans: list[tuple[int, ...]] = field(default_factory=list)  # the components of each
    coded: dict[int, int] = field(default_factory=dict)  # bits of the 64 coefficients that came at full precision
    restarts_lacking: bool = False
    ended: bool = False

    @property
    def whole(self) -> bool:
        """Whether every coefficient of every component came in some scan, and every restart marker."""
        full = all(self.coded.get(component) == FULL_PRECISION for component in self.sampling)
        return full and self.kind in FRAMES and not self.restarts_lacking

    @property
    def most(self) -> tuple[int, int]:
        """The greatest sampling of a component, across and down."""
        return max(pair[0] for pair in self.sampling.values()), max(pair[1] for pair in self.sampling.values())

    def units(self, components: tuple[int, ...]) -> int:
        """How many units (MCUs) a scan of these components has."""
        most = self.most
        if len(components) > 1:
            return -(-self.width // (8 * most[0])) * -(-self.height // (8 * most[1]))
        across, down = self.sampling[components[0]]
        width, height = -(-self.width * across // most[0]), -(-self.height * down // most[1])
        return -(-width // 8) * -(-height // 8)


def _coefficient_bytes(frame: _Frame) -> int:
    """Memory that all coefficients take, which is held where there is more than one scan."""
    if frame.kind != 0xC2 and frame.scans and len(frame.scans[0]) == len(frame.sampling):
        return 0
    most = frame.most
    units = -(-frame.width // (8 * most[0])) * -(-frame.height // (8 * most[1]))
    return sum(128 * units * across * down for across, down in frame.sampling.values())


def _frames(data: bytes, *, whole: bool = False) -> Iterator[_Frame]:
    """Yield the frame of a JPEG after the header of its first scan, or with `whole` after all that is there."""
    at, frame, restart = 2, None, 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker in (0xFF, 0) or 0xD0 <= marker <= 0xD8 or marker == 1:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            if frame is not None:
                frame.ended = True
            break
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        at += 2 + size
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            sampling = {body[6 + 3 * n]: (body[7 + 3 * n] >> 4, body[7 + 3 * n] & 15) for n in range(body[5])}
            if frame is not None or not sampling or 0 in {side for pair in sampling.values() for side in pair}:
                return
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            frame = _Frame(marker, width, height, sampling)
        elif marker == 0xDD:
            restart = int.from_bytes(body[:2], "big")
        elif marker == 0xDA:
            if frame is None:
                return
            components = tuple(body[1 + 2 * n] for n in range(body[0]))
            if not components or not set(components) <= frame.sampling.keys():
                return
            frame.scans.append(components)
            first, last, precision = body[-3], min(body[-2], 63), body[-1] & 15
            if frame.kind != 0xC2:
                first, last, precision = 0, 63, 0
            if precision == 0:
                bits = ((1 << (last + 1)) - 1) & ~((1 << first) - 1)
                for component in components:
                    frame.coded[component] = frame.coded.get(component, 0) | bits
            if not whole:
                break
            seen, at = _entropy(data, at)
            frame.restarts_lacking |= bool(restart) and seen < -(-frame.units(components) // restart) - 1
    if frame is not None:
        yield frame


def _entropy(data: bytes, at: int) -> tuple[int, int]:
    """Return how many restart markers a scan holds, and where the next other marker is."""
    restarts = 0
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if 0xD0 <= marker <= 0xD7:
            restarts += 1
        elif marker not in (0, 0xFF):
            return restarts, at
        at += 1 if marker == 0xFF else 2
    return restarts, len(data)


def _pixels(data: bytes) -> Pixels:
    from PIL.JpegImagePlugin import JpegImageFile

    image = JpegImageFile(io.BytesIO(data))
    image.load()
    return np.asarray(image)
