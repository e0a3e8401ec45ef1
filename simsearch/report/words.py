"""What people read where report.json has the key of a system: `recipe/index` is "your search".

Keys stay in JSON, in queries.npz and in options; whoever shows one to people asks here. Needs no numpy.
"""

from __future__ import annotations

NAMES = {
    "recipe/index": "your search",
    "recipe/cosine": "your search, exact",
    "recipe/raw-l2": "yours, distance",
    "recipe/raw-ip": "yours, product",
    "baseline/cosine": "baseline, angle",
    "baseline/raw-l2": "baseline, distance",
    "baseline/raw-ip": "baseline, product",
}
BASELINE = "the same network trained by plain softmax, its features left at their own length"
MEANINGS = {
    "recipe/index": "what simsearch query answers: your features at length 1, through the index",
    "recipe/cosine": "the same without the index: every image is looked at",
    "recipe/raw-l2": "your features at their own length, by their distance",
    "recipe/raw-ip": "your features at their own length, by their inner product",
    "baseline/cosine": "the baseline's features at length 1, by their angle: normalization alone",
    "baseline/raw-l2": "the baseline's features, by their distance",
    "baseline/raw-ip": "the baseline's features, by their inner product",
}


def system_words(key: str) -> str:
    """Return a system's name for people, at most 18 characters of those that we know; another key as it is."""
    return NAMES.get(key, key)
