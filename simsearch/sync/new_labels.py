"""What a sync says of a label that is new: do its photos agree, and will a query tell it apart, without any training?

Its photos ask for each other, each left out in turn, among all that can be searched. Photos of one series are easier to
find than what a query will show, so the answer is at its best.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers, Labels
from simsearch.artifacts import Artifact
from simsearch.changes.state import MASKED, State, rows_of
from simsearch.console import safe
from simsearch.evaluation.systems import gather
from simsearch.images.records import read_names
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import NEARLY_EQUAL, normalize

MOST_LABELS, MOST_IMAGES = 50, 100  # that are judged, and photos of each that ask
NEAREST = 3  # other labels that are named
ENOUGH = 0.9  # of its photos must find their label for "tells apart"
BLOCK = 4096

Block = tuple[Integers, Floats, Labels]  # rows (B,), embeddings (B, dim), labels (B,)


@dataclass(frozen=True)
class NewLabel:
    """A label that no searched image had before, with how many images it has; scores are in [-1, 1].

    `mean` and `least`: of the scores among its photos, None for one alone. `nearest`: other labels, the mean over its
    photos of the best score with that label. Of `asked` photos, left out in turn, `found` have a nearest image of their
    own label; the others have mostly one of `other`.
    """

    label: str
    images: int
    asked: int
    mean: float | None
    least: float | None
    nearest: tuple[tuple[str, float], ...]
    found: int
    other: str | None

    @property
    def tells_apart(self) -> bool | None:
        """Whether nine in ten of its photos find their label; None for fewer than two photos."""
        return None if self.asked < 2 else self.found >= ENOUGH * self.asked

    def words(self) -> str:
        """Return it in a line."""
        near = ", ".join(f"{safe(label)} {score:.2f}" for label, score in self.nearest)
        near = f"; nearest labels: {near}" if near else ""
        if self.mean is None or self.least is None:
            return f"New label {safe(self.label)}: 1 photo, and fewer than 2 cannot tell whether it is told apart{near}"
        alike = " (almost one picture: others say more)" if self.least > NEARLY_EQUAL else ""
        verdict = "tells apart" if self.tells_apart else f"will be mixed up with {safe(self.other or '')}"
        return (
            f"New label {safe(self.label)}: {verdict}: {self.found:,} of {self.asked:,} photos are nearest to another "
            f"of it; {self.images:,} photos, mean score {self.mean:.2f}, least {self.least:.2f}{alike}{near}"
        )

    def to_json(self) -> dict[str, Any]:
        """The document of `sync --json`."""
        verdict = {None: None, True: "tells apart", False: "mixed up"}[self.tells_apart]
        return {
            "label": self.label,
            "images": self.images,
            "mean": None if self.mean is None else round(self.mean, 4),
            "least": None if self.least is None else round(self.least, 4),
            "nearest": [{"label": label, "score": round(score, 4)} for label, score in self.nearest],
            "asked": self.asked,
            "found": self.found if self.asked > 1 else None,
            "verdict": verdict,
            "with": self.other if self.tells_apart is False else None,
        }


def new_labels(before: State, dataset: Artifact, embedded: Artifact, index: Artifact) -> list[NewLabel]:
    """Return what is to be said of the labels that the next state has and `before` had not, at most 50, by name."""
    labels = read_names(dataset.path)[1]
    searched = np.setdiff1d(np.arange(int(index.facts["ntotal"])), rows_of(index, MASKED))
    fresh = {labels[row] for row in searched.tolist()} - {before.labels[row] for row in before.rows.values()} - {""}
    if not fresh:
        return []
    names = sorted({labels[row] for row in searched.tolist()} - {""})
    number = {name: i for i, name in enumerate(names)}
    numbers = np.full(len(labels), -1, dtype=np.int64)
    numbers[searched] = [number.get(labels[row], -1) for row in searched.tolist()]
    with FeatureFile(embedded.file("features.h5")) as file:

        def blocks() -> Iterator[Block]:
            for start in range(0, file.shape[0], BLOCK):
                rows = np.arange(start, min(start + BLOCK, file.shape[0]))
                there = numbers[rows] >= 0
                if there.any():
                    rows, read = rows[there], file.read(start, start + len(rows))[there]
                    yield rows, normalize(read), numbers[rows]

        found: list[NewLabel] = []
        rows_of_label = {name: np.flatnonzero(numbers == number[name]) for name in sorted(fresh)[:MOST_LABELS]}
        asked = {name: rows[:: max(1, -(-len(rows) // MOST_IMAGES))] for name, rows in rows_of_label.items()}
        every = np.concatenate(list(asked.values()))
        own = normalize(gather(file, every))
        best = best_of_labels(every, own, blocks(), len(names))
    start = 0
    for name, rows in asked.items():
        part = slice(start, start + len(rows))
        start += len(rows)
        found.append(judge(number[name], own[part], best[part], names, len(rows_of_label[name])))
    return found


def best_of_labels(rows: Integers, embeddings: Floats, blocks: Iterable[Block], labels: int) -> Floats:
    """Return (Q, labels): the best score of each asking row with an image of each label, its own row left out.

    -2 where a label has no other image. `embeddings` (Q, dim) are unit vectors, as are those of `blocks`.
    """
    best = np.full((len(rows), labels), -2.0, dtype=np.float32)
    for there, others, of in blocks:
        scores = embeddings @ others.T
        scores[rows[:, None] == there[None, :]] = -2.0
        order = np.argsort(of, kind="stable")
        which, starts = np.unique(of[order], return_index=True)
        best[:, which] = np.maximum(best[:, which], np.maximum.reduceat(scores[:, order], starts, axis=1))
    return best


def judge(label: int, embeddings: Floats, best: Floats, names: Sequence[str], images: int) -> NewLabel:
    """Return what is to be said of a label: unit `embeddings` (n, dim) of its photos and their `best` (n, labels).

    A photo that is as near to another label as to its own has not found its own.
    """
    count = len(embeddings)
    pairs = (embeddings @ embeddings.T)[np.triu_indices(count, 1)]
    others = best.copy()
    others[:, label] = -3.0
    wrong = others.max(axis=1) >= best[:, label]
    taken = np.bincount(others.argmax(axis=1)[wrong], minlength=len(names))
    means = others.mean(axis=0)
    near = [i for i in np.argsort(-means, kind="stable").tolist() if i != label][:NEAREST]
    return NewLabel(
        label=names[label],
        images=images,
        asked=count,
        mean=float(pairs.mean()) if count > 1 else None,
        least=float(pairs.min()) if count > 1 else None,
        nearest=tuple((names[i], float(means[i])) for i in near),
        found=int(count - wrong.sum()),
        other=names[int(taken.argmax())] if wrong.any() else None,
    )
