"""What decoding had to decide, counted over a data set and said once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from simsearch.images.loading import Surveyed

FLAT, ALIKE = "one flat colour", "equal pixels"
SAY = {  # what one of them does, and what several do
    FLAT: (
        "decodes to one flat colour: like any other of that colour to a search",
        "decode to one flat colour: they are all alike to a search",
    ),
    ALIKE: (
        "has the very pixels of another file, whose bytes are others",
        "have the very pixels of another file, whose bytes are others",
    ),
    "alpha not used": ("with alpha that is nowhere opaque: read without it",) * 2,
    "on black": ("light on a transparent ground: laid on black (images.background)",) * 2,
    "first of several pages": ("of several pages: the first is used",) * 2,
    "no end marker": (
        "JPEG without an end marker: every row is there, so it is used",
        "JPEG without an end marker: every row is there, so they are used",
    ),
}


class Tally:
    """Counts pictures as a survey finds them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._files: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, found: Surveyed) -> None:
        """Count a picture that was decoded."""
        self._counts.update(found.notes)
        self._counts[FLAT] += found.flat
        self._files[found.pixels].add(found.sha256)

    def counts(self) -> dict[str, int]:
        """Return how many pictures each decision was about, those that were."""
        alike = sum(len(files) - 1 for files in self._files.values())
        return {key: count for key, count in sorted({**self._counts, ALIKE: alike}.items()) if count}


def in_words(counts: Mapping[str, int]) -> list[str]:
    """Return a sentence for each count."""
    said = [_sentence(key, count) for key, count in counts.items()]
    depths = sorted(key for key in counts if key.startswith("scaled from"))
    if len(depths) > 1:
        said.append("some depths of bits were told by the pictures alone: images.range = [low, high] makes one for all")
    return said


def _sentence(key: str, count: int) -> str:
    one, several = SAY.get(key, (f"{key} (images.range)",) * 2)
    return f"1 picture {one}" if count == 1 else f"{count:,} pictures {several}"
