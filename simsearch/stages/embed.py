"""The embed stage: raw features of every row, by the same bundle and preprocessing that a query uses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.embedder.bundle.canaries import Canaries, count, keep, kept
from simsearch.embedder.bundle.fingerprint import embedder_fingerprint
from simsearch.embedder.bundle.trained import HEAD, WEIGHTS, Features, backbone_of, open_trained, preprocess_of
from simsearch.embedder.networks.proof import LEAST_COSINE, cosines
from simsearch.errors import EmbedderError, ImageError
from simsearch.evaluation.collapse import ROWS as COLLAPSE_ROWS
from simsearch.evaluation.collapse import all_equal, mean_cosine_of
from simsearch.images.loading import in_order, pieces, pixel_batches
from simsearch.images.records import ImageRecord
from simsearch.images.sources.source import Reader, changed
from simsearch.stages.common import BLOCK_ROWS, THREADS, Data, Frozen
from simsearch.stages.step import References, Result, Step

if TYPE_CHECKING:
    from simsearch.vectors.features import FeatureBlocks, FeatureFile

VERSION = 1
MOST_IMAGES = 32  # a batch
# As network input; larger batches fall out of the caches: photos of 224 px went 1.25 times as fast by 8 as by 64.
BATCH_BYTES = 5 << 20
DEVICES = ("cuda", "mps")  # on which torch runs the network; ONNX Runtime's own wheel knows none of them
CHECKED_IMAGES = 64
# Mean cosine: above it, all scores are 1.00000. Heads that find labels were seen at .9997; from .999 on a report warns.
ONE_POINT = 0.999999


class Engine(Protocol):
    """What runs a bundle on many images: in this process (`local`), or wherever else there are cores."""

    def __call__(
        self, bundle: Bundle, blocks: FeatureBlocks, records: Iterable[ImageRecord], progress: Progress
    ) -> None:
        """Write those blocks that are missing of the features of `records`, which come in the order of rows."""


def local(bundle: Bundle, blocks: FeatureBlocks, records: Iterable[ImageRecord], progress: Progress) -> None:
    """Embed in threads of this process."""
    missing = {start for start, _ in blocks.missing()}
    start = 0
    for block in pieces(records, blocks.block_rows):
        if start in missing:
            parts: list[Floats] = []
            for part in in_order(bundle.features, pieces(block, bundle.batch), THREADS):
                parts.append(part)
                progress(start + sum(map(len, parts)), blocks.rows)
            blocks.write(start, np.concatenate(parts))
        start += len(block)


def embed(
    data: Data,
    trained: Artifact,
    frozen: Frozen | None,
    engine: Engine = local,
    *,
    checked: bool = True,
    device: str = "auto",
) -> Step:
    """Return the step that embeds every row by `trained`; with `frozen`, by its head on that backbone's features.

    `checked`: whether these are compared with what images give, as they are for one system of a build. `device`: as in
    [run]; it enters no address.
    """
    inputs: References = {"dataset": data.view("rows"), "train": trained.reference}
    if frozen:
        inputs["features"] = frozen.embedded.reference
    work = partial(write_features, data, trained, frozen, engine, checked, device)
    return Step("embed", "Embedded", VERSION, {}, inputs, work)


def write_features(
    data: Data,
    trained: Artifact,
    frozen: Frozen | None,
    engine: Engine,
    checked: bool,
    device: str,
    space: Workspace,
    progress: Progress,
) -> Result:
    """Write features.h5, resuming from the blocks that an earlier run left.

    With `frozen`, the trained head is applied to that backbone's cached features instead of running both on every
    image; where `checked`, once the least cosine of the two on 64 images is at least 0.9999. A `device` other than the
    CPU embeds once the same was found of it.
    """
    from simsearch.embedder.bundle.runtime import Head
    from simsearch.evaluation.systems import gather
    from simsearch.vectors.features import FeatureBlocks, FeatureFile

    rows = int(data.facts["images"])
    bundle = Bundle(trained, data.reader)
    blocks = FeatureBlocks(space.scratch, rows, bundle.dim, BLOCK_ROWS)
    through, place = "onnxruntime", "cpu"
    head = Head(trained.file(HEAD), threads=THREADS).features if frozen else None

    def on_cached(records: list[ImageRecord]) -> Floats:
        assert frozen is not None
        assert head is not None
        return head(frozen.features(np.array([r.row for r in records], dtype=np.int64)))

    if frozen and head and (not checked or _agrees(data, on_cached, bundle, progress)):
        through = "head on cached features"
        with FeatureFile(frozen.embedded.file("features.h5")) as file:
            for start, stop in blocks.missing():
                blocks.write(start, head(file.read(start, stop)))
                progress(stop, rows)
    elif device in DEVICES and (there := bundle.on(device)):
        if _agrees(data, there.features, bundle, progress):
            bundle, through, place = there, f"torch on {device}", device
        else:
            progress.say(f"{device} gives other features than the ONNX file: embedding without it")
    engine(bundle, blocks, data.records(), progress)
    blocks.join(space.out / "features.h5")
    with FeatureFile(space.out / "features.h5") as file:
        canaries = _canaries(data, trained, frozen, file)
        some = gather(file, np.unique(np.linspace(0, rows - 1, min(rows, COLLAPSE_ROWS)).round().astype(np.int64)))
    keep(space.out, canaries)
    facts = {
        "rows": rows,
        "dim": bundle.dim,
        "through": through,
        "embedder": embedder_fingerprint(trained),
        **({} if place == "cpu" else {"device": place}),
        **({} if (near := mean_cosine_of(some)) is None else {"mean_cosine": round(near, 7)}),
        **({"one_point": True} if all_equal(some) else {}),
    }
    return facts, f"{rows:,} images" + (f", {through}" if through != "onnxruntime" else "")


def refuse_one_point(embedded: Artifact, progress: Progress, *, below_head: bool, trained: bool) -> None:
    """Raise EmbedderError where features are nearly one point and the pictures are not; where these are, say so.

    `below_head`: a head is to be trained on them, which may tell apart what is only nearly equal. Artifacts of an
    earlier version say nothing of it, and pass.
    """
    near, canaries = embedded.facts.get("mean_cosine"), kept(embedded)
    alike = embedded.facts.get("one_point", False) or (not below_head and near is not None and near > ONE_POINT)
    if not alike or canaries is None:
        return
    told = f"the features of all images are nearly equal (mean cosine {near:.5f})"
    if canaries.flat:
        progress.say(f"warning: {told}, as the images themselves are: nothing can be told apart by them")
        return
    hint = "its weights may be damaged, or not its own: --set embedder.weights or embedder.backbone names others"
    if trained:
        hint = "try a smaller training.learning_rate, more epochs or another loss: --set training.learning_rate=0.0001"
    raise EmbedderError(f"{told}, and the images are not: no answer would mean anything", hint=hint)


def _canaries(data: Data, trained: Artifact, frozen: Frozen | None, file: FeatureFile) -> Canaries:
    """Return a few pictures with the features that were just written; pixels are those of the backbone, if one is."""
    from simsearch.evaluation.systems import gather

    shared = kept(frozen.embedded) if frozen else None
    if shared is None:
        preprocess = preprocess_of(trained)
        chosen = data.spread(count(preprocess.size, preprocess.channels))
        rows, pixels = next(pixel_batches(data.reader, chosen, preprocess, batch=len(chosen), threads=THREADS))
    else:
        rows, pixels = shared.rows, shared.pixels
    return Canaries(rows, pixels, gather(file, rows))


class Bundle:
    """The bundle and the preprocessing of a train artifact, run on the images of a source."""

    def __init__(self, trained: Artifact, reader: Reader) -> None:
        self._trained = trained
        self._preprocess = preprocess_of(trained)
        self._reader = reader.under(self._preprocess.decoding)
        self._runtime: Features = open_trained(trained, threads=1)
        self.dim = self._runtime.dim
        self.batch = max(1, min(MOST_IMAGES, BATCH_BYTES // (4 * math.prod(self._runtime.input_shape))))

    def on(self, device: str) -> Bundle | None:
        """Return the same on a device that torch finds; None where there is nothing but the ONNX file of it."""
        holder = backbone_of(self._trained) or self._trained
        if HEAD in self._trained.manifest["files"] or WEIGHTS not in holder.manifest["files"]:
            return None
        from simsearch.embedder.bundle.on_device import OnDevice
        from simsearch.embedder.training.precision import choose_device

        there = copy.copy(self)
        there._runtime = OnDevice(holder.file(WEIGHTS), choose_device(device))
        there.batch = MOST_IMAGES
        return there

    def features(self, records: list[ImageRecord]) -> Floats:
        """Raw features (n, dim) of images; SourceError when one is not what its record says."""
        pixels = np.stack([self._preprocess.fit(self._read(record)) for record in records])
        return self._runtime.features(self._preprocess.normalize(pixels))

    def _read(self, record: ImageRecord) -> Pixels:
        try:
            return self._reader.array(record.image, self._preprocess.at_least, record.sha256)
        except ImageError:
            # It was decoded when the data set was made, so it is the file that has changed.
            raise changed(record.image) from None


def _agrees(data: Data, quicker: Callable[[list[ImageRecord]], Floats], bundle: Bundle, progress: Progress) -> bool:
    """Whether a quicker way to features gives what the bundle gives, on images spread over all rows."""
    step = max(1, int(data.facts["images"]) // CHECKED_IMAGES)
    chosen = list(islice(islice(data.records(), 0, None, step), CHECKED_IMAGES))
    parts: list[Floats] = []
    for part in in_order(bundle.features, pieces(chosen, bundle.batch), THREADS):
        parts.append(part)
        progress.tell(f"comparing with the ONNX file: {sum(map(len, parts)):,} of {len(chosen):,} images")
    other = np.concatenate([quicker(part) for part in pieces(chosen, bundle.batch)])
    return bool((cosines(np.concatenate(parts), other) >= LEAST_COSINE).all())
