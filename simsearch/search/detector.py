"""Detector: picture -> how far it is from normal ones, and whether that is a defect, as values.

As a query, it imports neither torch nor pydantic; scikit-learn is needed to fit and not to score.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

import numpy as np

from simsearch.arrays import Pixels
from simsearch.defects.conformal import Calibration, drift_p
from simsearch.defects.looks import Looks
from simsearch.defects.pooled import POOLED, Pooled
from simsearch.embedder.bundle.fingerprint import check_embedder
from simsearch.embedder.bundle.trained import Features
from simsearch.errors import ArtifactError, ImageError, RecipeError, VectorsError
from simsearch.home import Build, Home
from simsearch.home.again import home_words
from simsearch.images.loading import in_order
from simsearch.images.preprocess import Preprocess
from simsearch.search.closing import while_open
from simsearch.search.opening import open_embedder
from simsearch.search.pictures import Picture, load, several
from simsearch.vectors.blas import one_blas_thread
from simsearch.versions import usable_cores

LEAST_DRIFT = 20  # pictures, of which a rank test can tell something
Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Scored:
    """A picture's defect score, higher is worse, and what it means.

    `p_value`: at most this share of normal pictures scores as much; `defective`: the score is at least `threshold`.
    """

    score: float
    threshold: float
    defective: bool
    p_value: float
    method: str

    def to_json(self, image: str) -> dict[str, Any]:
        """Return the line of `defects score --json`."""
        return {"image": image, **asdict(self)}


class Scorer(Protocol):
    """What turns one picture into a defect score, and where it `draws`, into a picture of its places.

    `at_least`: the side in pixels that a picture is decoded at, None for that of the embedder.
    """

    at_least: int | None
    draws: bool

    def score(self, pixels: Pixels) -> float:
        """Return the defect score of a picture (H, W) or (H, W, 3) uint8."""

    def look(self, pixels: Pixels, threshold: float) -> tuple[float, Pixels]:
        """Return the defect score, and (H, W, 3) uint8: where in the picture it is from."""


class ByFeature:
    """The defect score of a picture's one feature."""

    at_least: int | None = None
    draws = False

    def __init__(self, pooled: Pooled, preprocess: Preprocess, network: Features) -> None:
        self._pooled, self._preprocess, self._network = pooled, preprocess, network

    def score(self, pixels: Pixels) -> float:
        """One at a time: what a network makes of a picture may differ in its last bits with what stands beside it."""
        batch = self._preprocess.normalize(self._preprocess.fit(pixels)[None])
        return float(self._pooled.scores(self._network.features(batch))[0])

    def look(self, pixels: Pixels, threshold: float) -> tuple[float, Pixels]:
        """It knows no places."""
        raise NotImplementedError


class Detector:
    """The defect scores of an opened build; several threads may use it until `close`."""

    def __init__(self, build: Build) -> None:
        """Open a build that `simsearch defects fit` made, or one whose recipe has a table [defects].

        Every file is checked against its sha256 before it is parsed. Raises ArtifactError for a build without defect
        scores, and when an artifact is missing, damaged or of another embedder than the build's.
        """
        self.build, self.closed = build.whole(), False
        stages, again = build.record.stages, "run the same simsearch defects fit again"
        if "defects" not in stages:
            raise ArtifactError(
                f"build {build.name} has no defect scores",
                hint=f"simsearch defects fit --build {build.name} --normal LABEL makes them" + build.at,
            )
        try:
            with Home(build.home).reading(days=build.rehash_days) as store:
                found, train = (store.open(name, **stages[name]) for name in ("defects", "train"))
            check_embedder(found, "the defect scores", train, build.name)
            self._preprocess, network = open_embedder(build.name, train, again)
        except ArtifactError as error:
            raise build.damaged(error) from None
        self.told: dict[str, Any] = json.loads(found.file("defects.json").read_bytes())
        self.method, self.threshold = str(self.told["method"]), float(self.told["threshold"])
        with np.load(found.file("detector.npz"), allow_pickle=False) as opened:
            arrays = dict(opened)
        groups = self.told["calibration"]["of_group"]
        scores = np.array(self.told["calibration"]["scores"], dtype=np.float64)
        self.calibration = Calibration(scores, None if groups is None else np.array(groups, dtype=np.int64))
        self._looks = Looks.from_json(self.told["looks"]) if "looks" in self.told else None
        self._scorer: Scorer
        if self.method == "patch":
            from simsearch.search.patches import ByPatches

            model, patch = found.file("maps.onnx").read_bytes(), build.record.recipe["defects"]["patch"]
            self._scorer = ByPatches(model, arrays, self._preprocess, patch)
        else:
            self._scorer = ByFeature(POOLED[self.method].from_arrays(arrays), self._preprocess, network)

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; every method raises SimsearchError from then on."""
        self.closed = True

    @while_open
    def score(self, images: Picture | Iterable[Picture]) -> list[Scored]:
        """Return what each picture of one or of a list scores, also for one alone; pictures as `Searcher.search` takes.

        Raises ImageError for the first that cannot be read.
        """
        return [found for _, found in self._each(lambda one: self._scored(*one), several(images), usable_cores())]

    @while_open
    def each(
        self,
        paths: Iterable[str],
        draw: Callable[[str, Pixels], None] | None = None,
        *,
        threads: int | None = None,
    ) -> Iterator[tuple[str, Scored | ImageError]]:
        """Yield each path in order with what its picture scores, or with the error that says why it cannot be read.

        `draw` is called before with each path that has a score and what `overlay` gives for it, of the same look.
        `threads` pictures are looked at beside each other, as many as there are cores unless told; then some paths are
        taken before the first is answered, and with 1 none. Raises RecipeError for `draw` where no places are known.
        """
        if draw is not None:
            self._know_places()

        def look(path: str) -> tuple[Scored | ImageError, Pixels | None]:
            try:
                return (self._scored(path), None) if draw is None else self._looked(path)
            except ImageError as error:
                return error, None

        for path, (found, drawn) in self._each(look, paths, threads or usable_cores()):
            if draw is not None and drawn is not None:
                draw(path, drawn)
            yield path, found

    def _each(self, look: Callable[[Item], Found], items: Iterable[Item], threads: int) -> Iterator[tuple[Item, Found]]:
        """Yield items with what `look` gives, in order; where several are looked at, BLAS has one thread in each."""
        first = list(islice(items := iter(items), 2 if threads > 1 else 0))
        with one_blas_thread() if len(first) > 1 else nullcontext():
            yield from in_order(lambda one: (one, look(one)), chain(first, items), threads if len(first) > 1 else 1)

    def drift(self, scored: Sequence[Scored]) -> float | None:
        """Return how likely so many pictures score so if they are normal ones as before; None for fewer than 20.

        One test of all that were scored together (Mann and Whitney): below .001 it is worth a word.
        """
        if len(scored) < LEAST_DRIFT:
            return None
        return drift_p(np.array([one.score for one in scored]), self.calibration)

    @property
    def draws(self) -> bool:
        """Whether it can say where in a picture a defect is."""
        return self._scorer.draws

    @while_open
    def overlay(self, image: Picture) -> Pixels:
        """Return (H, W, 3) uint8: a picture under the heat of each place, in a frame that says whether it is defective.

        Raises RecipeError for a method that knows no places, ImageError for a picture that cannot be read.
        """
        self._know_places()
        return self._looked(image)[1]

    def _know_places(self) -> None:
        if not self.draws:
            raise RecipeError(
                f"build {self.build.name} scores whole pictures (method {self.method}): it does not know where",
                hint="simsearch defects fit with --method patch does",
            )

    def _scored(self, picture: Picture, place: str = "") -> Scored:
        try:
            score = self._scorer.score(self._pixels(picture, place))
        except VectorsError as error:  # a feature without direction: this picture has no score, others may
            raise ImageError(f"cannot score this picture: {error.message}") from None
        return self._meaning(score)

    def _looked(self, picture: Picture) -> tuple[Scored, Pixels]:
        """Return what a picture scores, and it under its heat: decoded once, its maps made once."""
        score, drawn = self._scorer.look(self._pixels(picture), self.threshold)
        return self._meaning(score), drawn

    def _meaning(self, score: float) -> Scored:
        p_value = float(self.calibration.p_values(np.array([score]))[0])
        return Scored(score, self.threshold, score >= self.threshold, p_value, self.method)

    def _pixels(self, picture: Picture, place: str = "") -> Pixels:
        size = self._scorer.at_least or self._preprocess.size
        pixels = load(picture, size, self._preprocess.decoding, place)[0]
        # Without places, large pictures are decoded smaller.
        why = self._looks and self._looks.why_unlike(pixels, sizes=self._scorer.at_least is not None)
        if why:
            name = place or (f"{picture}: " if isinstance(picture, str | os.PathLike) else "")
            raise ImageError(
                f"{name}cannot be scored: {why}",
                hint="score pictures that were taken as the normal ones were, or fit on such",
            )
        return pixels


def with_defects(home: Home, name: str | None) -> Build:
    """Return the build of a name or in a pack, else the newest listed one that has defect scores.

    Raises ArtifactError without one.
    """
    if name is not None:
        return home.readable(name)
    newest = home.newest("defects")
    if newest is None:
        raise ArtifactError(
            f"no build in {home.path} has defect scores",
            hint=f"simsearch defects fit NORMAL_FOLDER{home_words(home.path)} makes one of normal images",
        )
    return newest
