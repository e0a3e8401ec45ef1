"""Pictures that are sent, before anything of them is decoded: how large, how slow, and how many large ones at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from simsearch.errors import ImageError
from simsearch.images.formats.decode import stored_size
from simsearch.images.formats.formats import sniff
from simsearch.server.limits import ALONE_PIXELS, LARGE_PIXELS, SCANNED_PIXELS, Limits
from simsearch.server.problems import Problem, problem_of

ALONE = ("JPEG 2000",)  # whose decoder lets no other thread run: 100 million pixels held all requests up for 5 s
SCAN, PROGRESSIVE = b"\xff\xda", b"\xff\xc2"  # markers of a JPEG, which its data cannot hold


class Pictures:
    """What may be decoded; several threads may use it."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.pixels
        self._large = threading.Lock()

    @contextmanager
    def decoding(self, *pictures: bytes) -> Iterator[None]:
        """Let pictures be decoded in the block, called in a thread: 32 MB of headers take a while to read.

        Raises Problem for one of more pixels or scans than are decoded here, for bytes that are no picture (what is
        wrong with other bytes decoding tells), and (503) for a large one while another is decoded: of 100 million
        pixels a PNG takes 1 to 1.6 GB.
        """
        large = sum(map(self._is_large, pictures)) > 0  # each is looked at
        with ExitStack() as held:
            if large:
                if not self._large.acquire(blocking=False):
                    raise Problem(503, "another large picture is being decoded", "try again, or send less").after(2)
                held.callback(self._large.release)
            yield

    def _is_large(self, data: bytes) -> bool:
        try:
            size, kind = stored_size(data), sniff(data).name
        except ImageError as error:
            raise problem_of(error) from None
        if size is None:
            return False
        pixels, seen = size[0] * size[1], f"{size[0]:,} x {size[1]:,} pixels"
        most = min(self._most, ALONE_PIXELS) if kind in ALONE else self._most
        if pixels > most:
            raise Problem(413, f"the picture has {seen}, at most {most:,} are taken", "send it smaller")
        if kind != "JPEG":
            return pixels > LARGE_PIXELS
        scans = data.count(SCAN)
        if pixels * scans > SCANNED_PIXELS:
            what = f"the picture has {scans:,} scans of {seen}, at most {SCANNED_PIXELS:,} in all are taken"
            raise Problem(413, what, "save it as a JPEG that is not progressive")
        return pixels > LARGE_PIXELS and PROGRESSIVE in data  # others are decoded at a reduced size, row by row
