"""The embed stage: raw features of every row, by the same bundle and preprocessing that a query uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from simsearch.arrays import Floats
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.embedder.bundle.canaries import Canaries, count, keep, kept
from simsearch.embedder.bundle.embedding import Bundle, embed_images
from simsearch.embedder.bundle.fingerprint import embedder_fingerprint
from simsearch.embedder.bundle.trained import HEAD, model_of, preprocess_of, weights_of
from simsearch.embedder.networks.proof import LEAST_COSINE, cosines
from simsearch.engines.engine import Engine, Job
from simsearch.engines.local import Local
from simsearch.errors import EmbedderError
from simsearch.evaluation.collapse import ROWS as COLLAPSE_ROWS
from simsearch.evaluation.collapse import all_equal, mean_cosine_of
from simsearch.images.loading import pieces, pixel_batches
from simsearch.images.records import ImageRecord, spread
from simsearch.stages.common import THREADS, Data, Frozen
from simsearch.stages.step import References, Result, Step

if TYPE_CHECKING:
    from simsearch.vectors.features import FeatureFile

VERSION = 1
LOCAL = Local()
DEVICES = ("cuda", "mps")  # on which torch runs the network; ONNX Runtime's own wheel knows none of them
CHECKED_IMAGES = 64
# Mean cosine: above it, all scores are 1.00000. Heads that find labels were seen at .9997; from .999 on a report warns.
ONE_POINT = 0.999999


def embed(
    data: Data,
    trained: Artifact,
    frozen: Frozen | None,
    engine: Engine = LOCAL,
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
    """Write features.h5, resuming from the shards that an earlier run left.

    With `frozen`, the trained head is applied to that backbone's cached features instead of running both on every
    image; where `checked`, once the least cosine of the two on 64 images is at least 0.9999. A `device` other than the
    CPU embeds once the same was found of it.
    """
    from simsearch.embedder.bundle.runtime import Head
    from simsearch.evaluation.systems import gather
    from simsearch.vectors.features import FeatureFile

    rows = int(data.facts["images"])
    bundle = Bundle(model_of(trained), data.reader)
    job = Job.of(bundle, data.artifact.path, space.scratch, rows, engine)
    through, place = "onnxruntime", "cpu"
    head = Head(trained.file(HEAD), threads=THREADS).features if frozen else None

    def on_cached(records: list[ImageRecord]) -> Floats:
        assert frozen is not None
        assert head is not None
        return head(frozen.features(np.array([r.row for r in records], dtype=np.int64)))

    if frozen and head and (not checked or _agrees(data, on_cached, bundle, progress)):
        through = "head on cached features"
        with FeatureFile(frozen.embedded.file("features.h5")) as file:
            canaries = on_cached(job.canaries)
            for start, stop in job.shards.missing():
                job.shards.write(start, head(file.read(start, stop)), canaries)
                progress(stop, rows)
    elif device in DEVICES and (there := _on(device, bundle, trained)):
        if _agrees(data, there.features, bundle, progress):
            job, through, place = replace(job, bundle=there), f"torch on {device}", device
        else:
            progress.say(f"{device} gives other features than the ONNX file: embedding without it")
    engine(job, progress)
    job.shards.join(space.out / "features.h5")
    with FeatureFile(space.out / "features.h5") as file:
        pictures = _canaries(data, trained, frozen, file)
        some = gather(file, spread(rows, COLLAPSE_ROWS))
    keep(space.out, pictures)
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


def _on(device: str, bundle: Bundle, trained: Artifact) -> Bundle | None:
    """The bundle on a device that torch finds; None where there is nothing but the ONNX file of it."""
    weights = weights_of(trained)
    if weights is None:
        return None
    from simsearch.embedder.bundle.on_device import OnDevice
    from simsearch.embedder.training.precision import choose_device

    return bundle.through(OnDevice(weights, choose_device(device)))


def _agrees(data: Data, quicker: Callable[[list[ImageRecord]], Floats], bundle: Bundle, progress: Progress) -> bool:
    """Whether a quicker way to features gives what the bundle gives, on images spread over all rows."""
    step = max(1, int(data.facts["images"]) // CHECKED_IMAGES)
    chosen = list(islice(islice(data.records(), 0, None, step), CHECKED_IMAGES))

    def done(images: int) -> None:
        progress.tell(f"comparing with the ONNX file: {images:,} of {len(chosen):,} images")

    own = embed_images(bundle, chosen, THREADS, done)
    other = np.concatenate([quicker(part) for part in pieces(chosen, bundle.batch)])
    return bool((cosines(own, other) >= LEAST_COSINE).all())
