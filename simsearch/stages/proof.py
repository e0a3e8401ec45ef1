"""Proof that a backbone sees the pixels, and gives the features, that its own library does: on pictures of the corpus.

It is made where a network with weights of others is made, before anything is embedded or trained by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.console import Progress, safe
from simsearch.embedder.networks.family import Spec, Theirs
from simsearch.embedder.networks.proof import (
    LEAST_COSINE,
    MEAN,
    MOST,
    Gap,
    cosines,
    drawn_card,
    for_proof,
    gap_of,
    key_words,
    likely_cause,
    otherwise,
    shown,
    value_words,
)
from simsearch.errors import EmbedderError, ImageError
from simsearch.images.loading import in_order, pieces, pixel_batches
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord
from simsearch.images.sources.source import changed
from simsearch.recipe import Recipe
from simsearch.recipe.tables import Images
from simsearch.stages.common import THREADS, Data

PICTURES = 16
BATCH = 4  # of a large network as little as that is gigabytes
Network = Callable[[Floats], Floats]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Looked:
    """Pictures of the corpus as both sides see them, (N, C, S, S) float32 each, and what is known of that.

    `against`: what gives their features; None where ours are compared with those of the network that it was written
    from, both on `ours`.
    """

    ours: Floats
    theirs: Floats
    against: Network | None
    facts: Facts


def prove_pixels(data: Data, recipe: Recipe, preprocess: Preprocess, progress: Progress) -> Looked:
    """Return pictures of the corpus, proved to be prepared as the library of the model's weights does.

    At the model's own settings both are compared; what the recipe sets otherwise is said. Where nothing is known of
    them, pictures are prepared as in the build. Raises EmbedderError, with the likely cause, where they differ.
    """
    spec, chosen = recipe.embedder.spec, data.spread(PICTURES)
    theirs = spec.theirs() if spec.theirs and recipe.embedder.weights == "default" else None
    if theirs is None:
        pixels = preprocess.normalize(_prepared(data, preprocess, chosen))
        return Looked(pixels, pixels, None, {"pictures": len(chosen)})
    progress.tell(f"comparing pixels with {theirs.library}")
    ours, seen, gap = _same_pixels(data, recipe.images, spec, theirs, chosen)
    other = otherwise(preprocess_keys(preprocess), theirs.settings)
    if other:
        progress.say(_otherwise_words(spec, other))
    facts = {
        "pictures": len(chosen),
        "library": theirs.library,
        "most": round(gap.most, 3),
        "mean": round(gap.mean, 4),
        "otherwise": {key: [_plain(one) for one in pair] for key, pair in other.items()},
    }
    if theirs.features is None or theirs.settings["size"] != preprocess.size:
        pixels = preprocess.normalize(_prepared(data, preprocess, chosen))
        return Looked(pixels, pixels, None, facts)
    return Looked(ours, seen, theirs.features, facts)


def prove_features(looked: Looked, spec: Spec, ours: Network, module: Network, progress: Progress) -> Facts:
    """Return all that is known now: the features of `ours`, which embeds, are those of the library's own model.

    Where that cannot be asked they are those of `module`, which ours was written from. Threads share `ours`. Raises
    EmbedderError where they are not the same.
    """
    progress.tell("comparing features")
    found = np.concatenate(list(in_order(ours, map(np.stack, pieces(looked.ours, BATCH)), THREADS)))
    wanted = np.concatenate([(looked.against or module)(np.stack(piece)) for piece in pieces(looked.theirs, BATCH)])
    least = float(cosines(found, wanted).min())
    other = looked.facts["library"] if looked.against else "the network that it was written from"
    if not least >= LEAST_COSINE:
        raise EmbedderError(
            f"{safe(spec.shown)}: on the same pictures its features are not those of {other}: least cosine "
            f"{least:.5f} (expected at least {LEAST_COSINE})",
            hint="the network was not written as it is: export it again, or take another version of its library",
        )
    return {**looked.facts, "compared": other, "cosine": round(least, 7)}


def preprocess_keys(preprocess: Preprocess) -> dict[str, Any]:
    """Return the keys of [images] of a preprocessing."""
    return {key: value for key, value in vars(preprocess).items() if key not in ("channels", "decoding")}


def _same_pixels(
    data: Data, images: Images, spec: Spec, theirs: Theirs, chosen: list[ImageRecord]
) -> tuple[Floats, Floats, Gap]:
    """Return our pixels at the model's own settings, theirs, and how far they are apart: no more than rounding."""
    settings = theirs.settings
    preprocess = for_proof(settings, spec.channels)
    ours, seen = _both(data, preprocess, theirs, chosen)
    card = drawn_card(preprocess.size, preprocess.crop_share)
    on_card = gap_of(_fit(preprocess, [card]), _seen(theirs, [card]), settings["std"])
    gap = gap_of(ours, seen, settings["std"])
    if not (gap.small and on_card.small):
        said = _as_said(images, settings, spec.channels)
        if said is None or not gap_of(_fit(said, [card]), _seen(theirs, [card]), settings["std"]).small:
            _refuse_pixels(images, spec, theirs, max(gap, on_card, key=lambda one: one.most))
        ours, seen = _both(data, said, theirs, chosen)  # the recipe says it right, where we read it wrong
        gap = gap_of(ours, seen, settings["std"])
        if not gap.small:
            _refuse_pixels(images, spec, theirs, gap)
    return ours, seen, gap


def _as_said(images: Images, settings: Any, channels: int) -> Preprocess | None:
    """Return the preprocessing of the recipe itself, pictures decoded whole; None where it has another side."""
    if images.size != settings["size"] or images.mean is None or images.std is None:
        return None
    said = {"size": images.size, "resize": images.resize, "mean": images.mean, "std": images.std, **images.later()}
    return for_proof(said, channels)


def _both(data: Data, preprocess: Preprocess, theirs: Theirs, chosen: list[ImageRecord]) -> tuple[Floats, Floats]:
    """Return (N, C, S, S) float32 of the same pictures, decoded whole by our reader: by us, and by their library."""
    ours: list[Floats] = []
    seen: list[Floats] = []
    for picture in _pictures(data, preprocess, chosen):
        ours.append(_fit(preprocess, [picture])[0])
        seen.append(_seen(theirs, [picture])[0])
    return np.stack(ours), np.stack(seen)


def _pictures(data: Data, preprocess: Preprocess, chosen: list[ImageRecord]) -> Iterator[Pixels]:
    """Yield the decoded pictures, (H, W, 3) each, a few at a time."""
    reader = data.reader.under(preprocess.decoding)

    def read(record: ImageRecord) -> Pixels:
        try:
            return shown(reader.array(record.image, None, record.sha256))
        except ImageError:
            raise changed(record.image) from None

    yield from in_order(read, chosen, THREADS)


def _prepared(data: Data, preprocess: Preprocess, chosen: list[ImageRecord]) -> Pixels:
    """Return (N, S, S, C) uint8 as the build itself prepares pictures."""
    return next(pixel_batches(data.reader, chosen, preprocess, batch=len(chosen), threads=THREADS))[1]


def _fit(preprocess: Preprocess, pictures: list[Pixels]) -> Floats:
    return preprocess.normalize(np.stack([preprocess.fit(picture) for picture in pictures]))


def _seen(theirs: Theirs, pictures: list[Pixels]) -> Floats:
    return np.stack([np.asarray(theirs.prepare(picture), dtype=np.float32) for picture in pictures])


def _refuse_pixels(images: Images, spec: Spec, theirs: Theirs, gap: Gap) -> NoReturn:
    cause = likely_cause(theirs.settings, theirs, spec.channels)
    told = (
        f"{safe(spec.shown)}: its pictures are not prepared as {theirs.library} prepares them: they differ "
        f"{gap.words} (expected at most {MOST:.0f} and {MEAN})"
    )
    if cause is None:
        raise EmbedderError(told, hint="check the model's own settings; --set embedder.backbone names another model")
    fits = otherwise(cause, theirs.settings)
    said = {**images.settings(), **images.later()}
    missing = [(key, pair[0]) for key, pair in otherwise(cause, said).items()]
    raise EmbedderError(
        f"{told}; they would be the same with {key_words((key, pair[0]) for key, pair in fits.items())}",
        hint=" ".join(f"--set images.{key}={value_words(value)}" for key, value in missing) or None,
    )


def _otherwise_words(spec: Spec, other: dict[str, tuple[Any, Any]]) -> str:
    keys = ", ".join(
        f"images.{key}={value_words(said)} (its own {value_words(own)})" for key, (said, own) in other.items()
    )
    return f"Pictures are prepared otherwise than for {safe(spec.shown)} itself: {keys}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
