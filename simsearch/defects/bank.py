"""A bank of normal patches: how far each patch of a picture is from the nearest that is normal.

That is PatchCore (Roth et al. 2022, arXiv 2106.08265), at several sizes of the picture. For each a coreset of normal
patches is kept; the score of a picture is the logarithm of the mean distance of its worst patches. Sizes are brought
together by what normal pictures score there: each is scored by the patches of all groups but its own, and mean and
deviation of that make a z-score of any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, cast, get_args

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles, Floats, Integers, Labels
from simsearch.defects.conformal import numbered
from simsearch.defects.coreset import ROWS, coreset
from simsearch.defects.maps import enlarged
from simsearch.errors import VectorsError

Fusion = Literal["max", "mean"]
Maps = Sequence[Floats]  # of one picture: (h, w, D) at each side
Seen = Callable[[int], None]  # called with how many pictures have been looked at

SCORED = 200  # normal pictures whose scores give mean and deviation of a size
MOST_CANDIDATES = 60_000  # patches that a coreset is taken of
LEAST = 1e-3  # of the radius of a bank: the distance that a copy of a normal patch is given, as 0 has no logarithm
LEAST_SPREAD = 0.01  # of logarithms


@dataclass(frozen=True)
class Choice:
    """How a bank is made and read: `bank` patches a size out of `per_image` of each picture; `worst` of a picture."""

    bank: int = 3000
    per_image: int = 40
    worst: int = 3
    fusion: Fusion = "mean"
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.bank, self.per_image, self.worst) < 1 or self.fusion not in get_args(Fusion):
            raise VectorsError(f"a bank of patches: expected counts above 0 and fusion max or mean, seen {self}")


@dataclass(frozen=True)
class Scale:
    """One size: `patches` (M, D) float32 and the number (M,) of the group that each is of.

    No normal patch that was looked at is farther than `radius` from them. `centre` and `spread` are mean and deviation
    of normal pictures' scores.
    """

    patches: Floats
    owners: Integers
    radius: float
    centre: float = 0.0
    spread: float = 1.0

    def distances(self, found: Floats, without: int | None = None) -> Floats:
        """Return the distance (h, w) float32 of each place of a map (h, w, D) to the nearest patch.

        `without`: the group whose patches are left out.
        """
        base = self.patches if without is None else self.patches[self.owners != without]
        flat = found.reshape(-1, found.shape[2])
        return _nearest(flat, base).reshape(found.shape[:2])


@dataclass(frozen=True)
class PatchBank:
    """Normal patches at several sizes of the picture; `scores` and `heat` of others. Higher is worse."""

    scales: tuple[Scale, ...]
    choice: Choice
    before: float = 0.0  # that of the `Mapper`: heat lies as far before its places, as a share of one

    @classmethod
    def fit(cls, maps: Iterable[Maps], groups: Labels, choice: Choice | None = None, seen: Seen | None = None) -> Self:
        """Return the bank of normal pictures: their maps in order, and the group (N,) of each, negative: its own.

        A map is looked at once; in memory stay the candidates of a coreset and the maps of 200 pictures. The same maps,
        groups and choice give the same bits on the same machine. Raises VectorsError for fewer than 2 groups, another
        number of maps than of groups, and maps that are all alike.
        """
        choice = choice or Choice()
        owners = numbered(groups, len(groups))
        if len(np.unique(owners)) < 2:
            raise VectorsError(
                f"a bank of patches: expected normal pictures of 2 groups or more, seen {len(np.unique(owners))}"
            )
        random = np.random.default_rng(choice.seed)
        kept = set(random.permutation(len(owners))[:SCORED].tolist())
        whole: dict[int, Maps] = {}
        drawn: list[list[Floats]] = []
        each = max(1, min(choice.per_image, MOST_CANDIDATES // len(owners)))
        for number, one in enumerate(_counted(maps, seen)):
            if number in kept:
                whole[number] = one
            drawn.append(_some(one, each, choice.seed, number))
        if len(drawn) != len(owners):
            raise VectorsError(f"a bank of patches: expected maps of {len(owners)} pictures, seen {len(drawn)}")
        scales = []
        for patches in zip(*drawn, strict=True):
            found = np.concatenate(patches)
            of = np.repeat(owners, [len(part) for part in patches])
            rows = coreset(found, choice.bank, seed=choice.seed)
            radius = float(_nearest(found, found[rows]).max())
            if not np.isfinite(radius) or len(np.unique(of[rows])) < 2:
                raise VectorsError(
                    "a bank of patches: the patches of all normal pictures are alike, or not finite",
                    hint="are the pictures empty? Look at some of them",
                )
            scales.append(Scale(found[rows], of[rows], radius))
        bank = cls(tuple(scales), choice)
        normal = np.stack(
            [bank._parts(bank._distances(one, int(owners[number]))) for number, one in sorted(whole.items())]
        )
        spreads = np.maximum(normal.std(axis=0), LEAST_SPREAD)
        standard = zip(scales, normal.mean(axis=0).tolist(), spreads.tolist(), strict=True)
        return replace(bank, scales=tuple(replace(one, centre=mean, spread=sd) for one, mean, sd in standard))

    def scores(self, maps: Iterable[Maps], leave_out: Labels | None = None, seen: Seen | None = None) -> Doubles:
        """Return the defect score (N,) float64 of pictures by their maps: `fused` of their `parts`."""
        return self.fused(self.parts(maps, leave_out, seen))

    def parts(self, maps: Iterable[Maps], leave_out: Labels | None = None, seen: Seen | None = None) -> Doubles:
        """Return the z-score (N, S) float64 of pictures at each size.

        `leave_out` (N,) are numbers of groups, as `numbered` gives them, whose patches are not asked.
        """
        found = [
            self._standard(self._parts(self._distances(one, None if leave_out is None else int(leave_out[number]))))
            for number, one in enumerate(_counted(maps, seen))
        ]
        return np.array(found, dtype=np.float64).reshape(-1, len(self.scales))

    def fused(self, parts: Doubles) -> Doubles:
        """Return the defect score (N,) of z-scores (N, S) at each size."""
        scores: Doubles = parts.max(axis=1) if self.choice.fusion == "max" else parts.mean(axis=1)
        return scores

    def heat(self, maps: Maps) -> Floats:
        """Return the defect score (h, w) float32 of each place of a picture, on the grid of the finest of its maps."""
        return self.look(maps)[0]

    def look(self, maps: Maps, leave_out: int | None = None) -> tuple[Floats, float]:
        """Return the `heat` of a picture and its score, as `scores` gives it, by distances that are computed once.

        `leave_out`: the number of the group whose patches are not asked.
        """
        distances = self._distances(maps, leave_out)
        height, width = max((one.shape[:2] for one in maps), key=lambda shape: shape[0] * shape[1])
        layers = []
        for scale, one in zip(self.scales, distances, strict=True):
            found = (_logarithm(one, scale) - scale.centre) / scale.spread
            layers.append(enlarged(found, height, width, self.before, self.before))
        stack = np.stack(layers)
        fused: Floats = stack.max(axis=0) if self.choice.fusion == "max" else stack.mean(axis=0)
        return fused, float(self.fused(self._standard(self._parts(distances))[None])[0])

    def _standard(self, parts: Doubles) -> Doubles:
        """Return the z-scores of scores (S,) at each size."""
        centre, spread = (np.array([getattr(scale, name) for scale in self.scales]) for name in ("centre", "spread"))
        found: Doubles = (parts - centre) / spread
        return found

    def _distances(self, maps: Maps, without: int | None = None) -> list[Floats]:
        """Return the distance (h, w) of each place of a picture to the nearest patch, at each size."""
        expected = [scale.patches.shape[1] for scale in self.scales]
        if [one.shape[2] for one in maps] != expected:
            raise VectorsError(
                f"a bank of patches of {expected} values at each side: seen maps {[one.shape for one in maps]}"
            )
        return [scale.distances(one, without) for scale, one in zip(self.scales, maps, strict=True)]

    def _parts(self, distances: Sequence[Floats]) -> Doubles:
        """Return the score (S,) of a picture at each size, not yet brought together."""
        found = []
        for scale, one in zip(self.scales, distances, strict=True):
            flat = one.ravel()
            worst = min(self.choice.worst, len(flat))
            mean = np.partition(flat, len(flat) - worst)[-worst:].mean(dtype=np.float64)
            found.append(float(_logarithm(mean, scale)))
        return np.array(found)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the bank as plain arrays by name; `from_arrays` reads them."""
        numbers = [[scale.radius, scale.centre, scale.spread] for scale in self.scales]
        out: dict[str, NDArray[np.generic]] = {"scales": np.array(numbers, dtype=np.float64)}
        for number, scale in enumerate(self.scales):
            out |= {f"patches_{number}": scale.patches, f"owners_{number}": scale.owners}
        choice = self.choice
        out["choice"] = np.array([choice.bank, choice.per_image, choice.worst, choice.seed], dtype=np.int64)
        out["fusion"] = np.array(choice.fusion)
        out["before"] = np.array(self.before)
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return what `arrays` gave; raises VectorsError for a missing or misshapen one."""
        try:
            scales = [
                Scale(np.asarray(arrays[f"patches_{i}"], np.float32), np.asarray(arrays[f"owners_{i}"], np.int64), *row)
                for i, row in enumerate(np.asarray(arrays["scales"], np.float64).tolist())
            ]
            bank, per_image, worst, seed = np.asarray(arrays["choice"], np.int64).tolist()
            fusion = cast(Fusion, str(arrays["fusion"]))
            before = float(arrays["before"]) if "before" in arrays else 0.0  # earlier ones do not know
        except (KeyError, ValueError, TypeError) as error:
            raise VectorsError(f"this is no bank of patches: {error}", hint="fit it again") from None
        return cls(tuple(scales), Choice(bank, per_image, worst, fusion, seed), before)


def _counted(maps: Iterable[Maps], seen: Seen | None) -> Iterator[Maps]:
    for number, one in enumerate(maps, start=1):
        yield one
        if seen is not None:
            seen(number)


def _some(maps: Maps, count: int, seed: int, number: int) -> list[Floats]:
    """Return up to `count` patches (n, D) of each map of picture `number`, drawn by seed and number."""
    out = []
    for side, one in enumerate(maps):
        flat = one.reshape(-1, one.shape[2])
        rows = np.random.default_rng([seed, number, side]).permutation(len(flat))[:count]
        out.append(flat[np.sort(rows)])
    return out


def _nearest(found: Floats, base: Floats) -> Floats:
    """Return the distance (N,) float32 of (N, D) to the nearest of (M, D); infinite where there is none."""
    if not len(base):
        return np.full(len(found), np.inf, dtype=np.float32)
    centre = base.mean(axis=0)  # distances stay, and cancel less
    known = base - centre
    half = np.einsum("nd,nd->n", known, known) / 2
    out = np.empty(len(found), dtype=np.float32)
    for start in range(0, len(found), ROWS):
        part = slice(start, start + ROWS)
        near = (found[part] - centre) @ known.T
        near -= half
        out[part] = np.linalg.norm(found[part] - base[near.argmax(axis=1)], axis=1)
    return out


def _logarithm(distances: Floats | np.float64, scale: Scale) -> Floats:
    return np.asarray(np.log(np.maximum(distances, LEAST * scale.radius)))
