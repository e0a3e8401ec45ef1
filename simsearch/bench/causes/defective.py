"""Why defects are told worse: the scores' settings, the code that fits them, or what they are fitted on.

The scores are fitted again with an old counterpart, in a folder of their own: settings, then features.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from simsearch.arrays import Integers
from simsearch.artifacts import Workspace
from simsearch.bench.causes import checks
from simsearch.bench.judging.compared import Pair
from simsearch.bench.judging.metrics import IMAGES, METRICS, metric_words
from simsearch.bench.judging.tried import compared_defects, each_image, shared_images
from simsearch.bench.measuring.defects import tried_images
from simsearch.bench.records import Cause, Finding, Loser, kept
from simsearch.console import Progress
from simsearch.errors import SimsearchError
from simsearch.images.records import RecordTable
from simsearch.recipe.defects import Defects
from simsearch.stages.common import Data
from simsearch.stages.defects import defects

STAGE = "defect scores"
SETTING = "learned"  # of the stage's settings the one that is none of [defects]
MOST_LOSERS = 5
Losers = tuple[tuple[Loser, ...], tuple[Loser, ...]]


@dataclass(frozen=True)
class Tried:
    """A finding about defects to be explained; `place` is a folder to work in."""

    before: checks.Side
    after: checks.Side
    finding: Finding
    results: Pair
    place: Path
    data: Callable[[], Data]
    progress: Progress

    @property
    def words(self) -> str:
        """Return what is measured: "image AUROC"."""
        return metric_words(self.finding.metric, None, "all")

    @property
    def rows(self) -> tuple[Integers, Integers]:
        """Return where the images that both nights tried stand in each, (n,) and (n,)."""
        return shared_images(*self.results)

    def refitted(self, side: checks.Side, settings: checks.Side) -> float:
        """Return the figure now, over what both nights tried: fitted on the features of `side` by `settings`."""
        own = dict(settings.artifacts["defects"].manifest["settings"])
        learned = bool(own.pop(SETTING))
        dataset, trained, embedded = (side.artifacts[stage] for stage in ("dataset", "train", "embed"))
        data = Data(dataset, self.data().reader)
        step = defects(data, trained, embedded, Defects.model_validate(own), learned=learned)
        with TemporaryDirectory(dir=self.place, prefix="cause-") as folder:
            space = Workspace(Path(folder) / "out", Path(folder) / "scratch")
            space.out.mkdir()
            space.scratch.mkdir()
            step.work(space, self.progress)
            names, values = tried_images(space.out, RecordTable(dataset.path))
        made = replace(self.results[1], tried=names, per_image=values)
        found = {entry.key[0]: entry.after for entry in compared_defects(self.results[0], made)}
        return found[self.finding.metric]

    def mended(self, value: float) -> bool:
        """Return whether at least half of the loss is gone at `value`."""
        loss, found = METRICS[self.finding.metric].loss, self.finding
        return loss(found.before, value) <= loss(found.before, found.after) / 2

    def again(self, value: float, counterpart: str) -> str:
        """Return in words what an old counterpart comes to."""
        found = self.finding
        return (
            f"with {counterpart} {self.words} is {value:.3f} (tonight {found.after:.3f}, accepted {found.before:.3f})"
        )


def cause_of_defects(case: Tried) -> Cause:
    """Return which stage moved, and the labels and images that lost most."""
    stage, why = _stage(case)
    return Cause(stage, why, *_losers(case), of=case.words, over=IMAGES)


def _stage(case: Tried) -> tuple[str | None, str]:
    before, after = case.before, case.after
    old, new = before.settings("defects"), after.settings("defects")
    both = old.keys() & new.keys()  # only some methods have keys of patches
    moved = checks.setting_differences(*({key: one[key] for key in one if key in both} for one in (old, new)))
    if moved and case.mended(value := case.refitted(after, before)):
        return STAGE, f"{moved}: {case.again(value, 'the old settings')}"
    again = ""
    with suppress(SimsearchError):  # the accepted night's pictures may not be there any more
        value = case.refitted(before, before)
        if not case.mended(value):
            was = f"{case.words} is {value:.3f} (it was {case.finding.before:.3f})"
            return STAGE, f"the code that fits them: made again from the accepted night's features, {was}"
        again = f": {case.again(value, 'the old embedder')}"
    features = checks.other_code(case.data(), before, after)
    if features is not None:
        return features
    changes = checks.data_words(before, after)
    trained = before.artifacts["train"].content != after.artifacts["train"].content
    settings = checks.setting_differences(before.settings("train"), after.settings("train"))
    if changes and not (settings and trained):
        return "data", changes
    if trained:
        also = f"; the data moved too, which was not told apart: {changes}" if changes else again
        return "embedder", f"{settings or checks.OTHER_WEIGHTS}{also}"
    return None, "no setting, data or weights moved, and the code gives what it gave: versions or the machine"


def _losers(case: Tried) -> Losers:
    """Return the labels and the images that lost most."""
    metric, (before, after) = case.finding.metric, case.results
    one, other = case.rows
    places, old = each_image(metric, before, one)
    _, new = each_image(metric, after, other)
    loss = METRICS[metric].loss

    def size(loser: Loser) -> float:
        return loss(loser.before, loser.after)

    lost = np.array([loss(a, b) for a, b in zip(old.tolist(), new.tolist(), strict=True)])
    names = [after.tried[other[place]] for place in places]
    label_of = {kept(record.image): record.label for record in case.after.table.records}
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        groups[label_of[name]].append(i)
    labels = [Loser(label, len(at), float(old[at].mean()), float(new[at].mean())) for label, at in groups.items()]
    labels = sorted((loser for loser in labels if size(loser) > 0), key=lambda loser: -loser.n * size(loser))
    worst = [i for i in np.argsort(-lost, kind="stable")[:MOST_LOSERS].tolist() if lost[i] > 0]
    images = tuple(Loser(names[i], 1, float(old[i]), float(new[i])) for i in worst)
    return tuple(labels[:MOST_LOSERS]), images
