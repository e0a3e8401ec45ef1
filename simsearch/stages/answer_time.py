"""How long one picture takes to be answered by an opened build: read, decoded, embedded and searched for."""

from __future__ import annotations

import time
from itertools import islice
from statistics import median

from simsearch.artifacts import Artifact
from simsearch.embedder.bundle.trained import open_trained, preprocess_of
from simsearch.errors import ImageError, SourceError
from simsearch.stages.common import THREADS, Data
from simsearch.vectors.index import Index, set_threads
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search

PICTURES = 12
K = 10


def milliseconds_of_a_picture(data: Data, trained: Artifact, index: Index, search: Search) -> float | None:
    """Return the median milliseconds of one picture of the gallery, asked alone as `simsearch query` asks.

    Twelve are asked, spread over all rows, after one that warms up; opening the build is not counted. None where the
    pictures cannot be read now.
    """
    preprocess = preprocess_of(trained)
    reader = data.reader.under(preprocess.decoding)
    runtime = open_trained(trained, threads=THREADS)
    set_threads(1)

    def answer(image: str) -> None:
        pixels = preprocess.fit(reader.array(image, preprocess.at_least))
        embedding = normalize(runtime.features(preprocess.normalize(pixels[None])))
        index.search(embedding, min(K, index.ntotal), search)

    step = max(1, int(data.facts["images"]) // PICTURES)
    names = [record.image for record in islice(islice(data.records(), 0, None, step), PICTURES)]
    taken = []
    try:
        answer(names[0])
        for name in names:
            started = time.perf_counter()
            answer(name)
            taken.append(1000 * (time.perf_counter() - started))
    except (ImageError, SourceError):
        return None
    return float(f"{median(taken):.3g}")
