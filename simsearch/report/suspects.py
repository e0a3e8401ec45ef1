"""suspects.csv beside the report: images whose label may be a mistake, to be mended in a spreadsheet.

It is what `dataset.labels` and `simsearch sync --labels` take: who corrects its column `label` has mended the label.
What somebody corrected in it is never written over: such lines stay, and only new ones are added below them.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simsearch.arrays import Floats
from simsearch.artifacts import Artifact
from simsearch.durable import write_durably
from simsearch.errors import SimsearchError
from simsearch.evaluation.systems import gather
from simsearch.home import Build
from simsearch.images.records import read_records
from simsearch.images.sources.mending import COLUMNS, read_labels
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize

SUSPECTS = "suspects.csv"
ALIKE = {"copies": "is a copy of", "looks": "looks the same as", "score": "scores above 0.999 with"}
BLOCK = 65_536  # rows of features that are read at a time


class Suspect(NamedTuple):
    """A line of the file: the image, the label that it has, the one that others say, their score, and why."""

    image: str
    label: str
    says: str
    score: str
    why: str


def write_suspects(build: Build, report: dict[str, Any], dataset: Artifact, embedded: Artifact) -> None:
    """Write the images of a `report` whose label may be a mistake beside it; nothing where no file can mend them."""
    if not (build.of_files and build.record.labelled):
        return
    images, labels = [], []
    for record in read_records(dataset.path):
        images.append(record.image)
        labels.append(record.label)
    with FeatureFile(embedded.file("features.h5")) as file:
        found = suspects(report, images, labels, file)
    path = build.page_path.with_name(SUSPECTS)
    kept: list[list[str]] = []
    if path.exists():
        try:
            given = {image: label for image, (_, label) in read_labels(str(path)).items()}
        except SimsearchError:
            return  # half corrected, or of somebody's own
        used = os.path.realpath(str(build.record.recipe["dataset"].get("labels"))) == os.path.realpath(path)
        now = dict(zip(images, labels, strict=True))
        with path.open(newline="", encoding="utf-8-sig") as text:
            for row in csv.DictReader(text):
                image = row.get("image") or ""
                if image not in given:
                    return  # saved in another way than it was written
                if used or given[image] != now.get(image):
                    kept.append([row.get(column) or "" for column in COLUMNS])
    stands = {row[0] for row in kept}
    out = io.StringIO(newline="")
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(kept)
    lines.writerows(one for one in found if one.image not in stands and _is_text(one.image))
    write_durably(path, out.getvalue().encode())


def _is_text(name: str) -> bool:
    """Return whether a spreadsheet can hold a name: not where it has bytes that are no UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def suspects(report: dict[str, Any], images: Sequence[str], labels: Sequence[str], file: FeatureFile) -> list[Suspect]:
    """Return the images, (N,) as their `labels` and the features (N, dim) of `file`, whose label may be a mistake.

    Those whose nearest others do not say their label first, the surest first; then queries none of whose neighbours has
    it, as the report lists them; then duplicates with other labels, each under the other's. `score` is that of the
    nearest image of the label that is said. One line for each image.
    """
    says: dict[int, str] = {}
    why: dict[int, list[str]] = {}
    doubts = report.get("label_doubts") or {"listed": ()}  # a report of an older version has none
    for entry in doubts["listed"]:
        row = entry["row"]
        says[row] = entry["says"]
        told = f"its {doubts['neighbours']} nearest others vote {entry['share']:.0%} for {entry['says']}"
        why[row] = [f"{told}, {entry['own']:.0%} for {entry['label']}"]
    for entry in report.get("label_suspects") or ():
        row = entry["row"]
        if row in says:
            continue
        says[row] = entry["majority"]
        why[row] = [f"none of its nearest has its label; {entry['share']:.0%} of them say {entry['majority']}"]
    for row, other, words in _contradictions(report, labels):
        says.setdefault(row, labels[other])
        said = f"{words} {images[other]} ({labels[other]})"
        if said not in why.setdefault(row, []):
            why[row].append(said)
    rows = list(says)
    scores = _scores(file, rows, [says[row] for row in rows], np.array(labels))
    return [
        Suspect(images[row], labels[row], says[row], f"{score:.4f}", "; ".join(why[row]))
        for row, score in zip(rows, scores, strict=True)
    ]


def _contradictions(report: dict[str, Any], labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return (row, other row, how alike they are) of duplicates that have different labels, either way round."""
    pairs: dict[tuple[int, int], str] = {}
    found = report.get("duplicates") or {}
    for kind, words in ALIKE.items():
        for group in (found.get(kind) or {}).get("listed") or ():
            first, *others = group["rows"]
            pairs |= {(first, other): words for other in others if (first, other) not in pairs}
    for pair in (report.get("near_duplicates") or {}).get("pairs") or ():
        at = min(pair["row"], pair["other_row"]), max(pair["row"], pair["other_row"])
        pairs.setdefault(at, ALIKE["looks" if pair["kind"] == "hash" else "score"])
    apart = [(a, b, words) for (a, b), words in pairs.items() if labels[a] and labels[b] and labels[a] != labels[b]]
    return [one for a, b, words in apart for one in ((a, b, words), (b, a, words))]


def _scores(file: FeatureFile, rows: Sequence[int], says: Sequence[str], labels: np.ndarray[Any, Any]) -> Floats:
    """Return the score of each row with the nearest image of the label that is said of it."""
    best = np.full(len(rows), -1.0, dtype=np.float32)
    if not rows:
        return best
    asked = normalize(gather(file, np.array(rows)))
    said = np.array(says)
    for start in range(0, file.shape[0], BLOCK):
        end = min(start + BLOCK, file.shape[0])
        scores = asked @ normalize(file.read(start, end)).T
        scores[said[:, None] != labels[None, start:end]] = -1.0
        best = np.maximum(best, scores.max(axis=1))
    return np.clip(best, -1.0, 1.0)
