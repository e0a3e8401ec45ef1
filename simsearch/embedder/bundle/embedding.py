"""Pictures to features by the bundle that a query uses: the work of a shard, wherever it is done."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.embedder.bundle.trained import Features, Model, open_model
from simsearch.errors import ImageError, SimsearchError
from simsearch.images.loading import in_order, pieces
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord
from simsearch.images.sources.source import Reader, changed

MOST_IMAGES = 32  # a batch
# As network input; larger batches fall out of the caches: photos of 224 px went 1.25 times as fast by 8 as by 64.
BATCH_BYTES = 5 << 20


class Bundle:
    """A model and its preprocessing, run on the images of a source.

    Raises EmbedderError for a model that cannot be used, RecipeError for preprocessing that is not known here.
    """

    def __init__(self, model: Model, reader: Reader) -> None:
        self.model = model
        self.preprocess = Preprocess.from_json(model.preprocessing)
        self.reader = reader.under(self.preprocess.decoding)
        self._features: Features = open_model(model, threads=1)
        self.dim = self._features.dim
        self.batch = max(1, min(MOST_IMAGES, BATCH_BYTES // (4 * math.prod(self._features.input_shape))))

    def through(self, features: Features) -> Bundle:
        """Return the same with its network run by something else."""
        there = copy.copy(self)
        there._features = features
        there.batch = MOST_IMAGES
        return there

    def features(self, records: Sequence[ImageRecord]) -> Floats:
        """Raw features (n, dim) of images; SourceError when one is not what its record says."""
        pixels = np.stack(list(self.reader.each(self._read, records)))
        return self._features.features(self.preprocess.normalize(pixels))

    def _read(self, record: ImageRecord) -> Pixels:
        try:
            return self.preprocess.fit(self.reader.array(record.image, self.preprocess.at_least, record.sha256))
        except ImageError:
            # It was decoded when the data set was made, so it is the file that has changed.
            raise changed(record.image) from None


def embed_canaries(bundle: Bundle, records: Sequence[ImageRecord], threads: int = 1) -> Floats:
    """Return raw features (n, dim) float32 of images, each by itself; NaN of one that cannot be embedded.

    What is wrong with that one is told where it is not a canary.
    """

    def one(record: ImageRecord) -> Floats:
        try:
            return bundle.features([record])
        except SimsearchError:
            return np.full((1, bundle.dim), np.nan, np.float32)

    return np.concatenate(list(in_order(one, records, threads)))


def embed_images(
    bundle: Bundle, records: Sequence[ImageRecord], threads: int = 1, done: Callable[[int], None] | None = None
) -> Floats:
    """Return raw features (n, dim) float32 of images, from so many threads; `done` hears how many there are so far.

    Raises SourceError that names an image whose bytes are not those of its record.
    """
    parts: list[Floats] = []
    for part in in_order(bundle.features, pieces(records, bundle.batch), threads):
        parts.append(part)
        if done is not None:
            done(sum(map(len, parts)))
    return np.concatenate(parts)
