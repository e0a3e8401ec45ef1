"""What the outputs show of a night, as plain rows that each of them walks: cells, changes, causes, lists.

Names are as they are: each output makes them safe or escapes them in its own way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from simsearch.bench.judging.metrics import AUROC, FALSE_ALARMS, METRICS, shown, tested
from simsearch.bench.records import Cause, Finding, Loser, NightFigure, Result, Story
from simsearch.evaluation.figures import FIGURES
from simsearch.page.dates import moment

HELD, WORSE, BETTER, NEW = "held", "WORSE", "better", "new"
FAILED, BROKEN, DROPPED, UNPAIRED = "failed", "BROKEN", "dropped", "unpaired"

NAMES = {figure.key: figure.name for figure in FIGURES}
COLUMNS: tuple[tuple[str, str, int | None], ...] = (
    *((f"{NAMES.get(key, key)}@{k}", key, k) for key, k, scope in tested((1, 10)) if k and scope == "all"),
    ("qps", "qps", None),
    ("p50 ms", "latency_p50", None),
)
"""The figures of a cell that every table of cells shows: (heading, metric, k)."""
OF_DEFECTS = (("image AUROC", AUROC, None), ("false alarms", FALSE_ALARMS, None))

Causes = list[tuple[Cause | None, list[Finding]]]


def results(story: Story) -> tuple[Result, ...]:
    """Return tonight's results in their order, then those of cells that only the verdict names."""
    found = {result.cell.name: result for result in story.results}
    for result in story.verdict.failed:
        found.setdefault(result.cell.name, result)
    for cell in story.verdict.dropped:
        found.setdefault(cell.name, Result(cell, "dropped"))
    return tuple(found.values())


def states(story: Story) -> dict[str, str]:
    """Return one word for each cell of tonight, by name; WORSE and BROKEN are regressions."""
    verdict = story.verdict
    judged = {finding.cell: HELD for finding in verdict.findings}
    judged |= {finding.cell: BETTER for finding in verdict.findings if finding.better}
    judged |= {finding.cell: WORSE for finding in verdict.worse}
    found = {}
    for result in results(story):
        name = result.cell.name
        if result.status == "failed":
            found[name] = BROKEN if result.broken else FAILED
        elif result.status == "dropped":
            found[name] = DROPPED
        else:
            found[name] = judged.get(name, NEW if name in verdict.new or story.accepted is None else UNPAIRED)
    return found


def counts(story: Story) -> dict[str, int]:
    """Return how many cells have each word, those with none left out; better cells are counted as held."""
    found = Counter(HELD if word == BETTER else word for word in states(story).values())
    order = (HELD, WORSE, BROKEN, FAILED, DROPPED, NEW, UNPAIRED)
    return {word: found[word] for word in order if found[word]}


def outcome(story: Story) -> str:
    """Return the outcome in a word: pass, regression, failed or abandoned."""
    return "abandoned" if story.night.verdict == "abandoned" else story.verdict.outcome


def columns(story: Story) -> tuple[tuple[str, str, int | None], ...]:
    """Return the figures that tonight's table of cells shows: those of defects where a cell has them."""
    found = {figure.metric for result in results(story) for figure in result.figures}
    return (*COLUMNS, *(column for column in OF_DEFECTS if column[1] in found))


def cells(story: Story) -> list[tuple[Result, str, list[str]]]:
    """Return each cell of tonight: its result, its word, and its value for each of `columns`, "-" where it has none."""
    state = states(story)
    return [
        (result, state[result.cell.name], [_column(result, metric, k) for _, metric, k in columns(story)])
        for result in results(story)
    ]


def failed(story: Story) -> list[tuple[Result, str]]:
    """Return the cells that failed, each with its word."""
    return [(result, word) for result, word, _ in cells(story) if result.status == "failed"]


def lists(story: Story) -> list[tuple[str, str, Sequence[str]]]:
    """Return the cells that were not compared, where there are any: (why in short, the rest of why, names)."""
    dropped = [result.cell.name for result in results(story) if result.status == "dropped"]
    new = story.verdict.new if story.accepted is not None else ()
    gone = story.verdict.gone
    found = [("Dropped for time", "", dropped), ("New", ", not compared", new)]
    return [entry for entry in (*found, ("Gone", " since the accepted night", gone)) if entry[2]]


def grouped(story: Story) -> list[tuple[str, Causes]]:
    """Return what is worse by cell, and within a cell by cause, in the order of `by_loss`."""
    order = by_loss(story.verdict.worse)
    first = {finding.cell: place for place, finding in reversed(list(enumerate(order)))}
    found: list[tuple[str, Causes]] = []
    for cell, own in groupby(sorted(order, key=lambda finding: first[finding.cell]), key=lambda finding: finding.cell):
        causes: Causes = []
        for finding in own:
            same = next((group for cause, group in causes if cause == finding.cause), None)
            if same is None:
                causes.append((finding.cause, [finding]))
            else:
                same.append(finding)
        found.append((cell, causes))
    return found


def changed(story: Story) -> list[Finding]:
    """Return what is worse in the order of `grouped`, then what is better."""
    worse = [finding for _, causes in grouped(story) for _, group in causes for finding in group]
    return [*worse, *(finding for finding in story.verdict.findings if finding.better)]


def lost(cause: Cause | None) -> list[tuple[str, str, Sequence[Loser]]]:
    """Return those that lost most: ("class", "Classes that lost most (MAP@R)", classes), and queries alike."""
    if cause is None:
        return []
    of = f" ({cause.of})" if cause.of else ""
    one, many = cause.over
    both = (("class", "Classes", cause.classes), (one, many.capitalize(), cause.queries))
    return [(what, f"{many} that lost most{of}", losers) for what, many, losers in both if losers]


def by_loss(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, those of quality first, the greatest loss first."""

    def rank(finding: Finding) -> tuple[bool, float]:
        judged = METRICS[finding.metric]
        loss = judged.loss(finding.before, finding.after)
        if judged.judged == "speed" and finding.before:
            loss /= abs(finding.before)
        return judged.judged != "paired", -loss

    return sorted(findings, key=rank)


def notes(story: Story) -> list[str]:
    """Return what the gate and the night have to say besides, each once."""
    return list(dict.fromkeys((*story.verdict.notes, *story.night.notes)))


def made(story: Story) -> dict[str, str]:
    """Return how the night was made: times, code, machine and versions by name."""
    night, accepted = story.night, story.accepted
    end = "now: it is not finished" if night.finished is None else moment(night.finished)
    held = "no accepted night" if accepted is None else f"night {accepted.number}, {moment(accepted.started)}"
    return {
        "night": f"{night.number}, {moment(night.started)} to {end}",
        "held against": held,
        "commit": night.commit or "unknown",
        "code": night.code,
        "matrix": night.matrix,
        "machine": f"{night.machine} ({night.fingerprint})",
        **{name: version or "unknown" for name, version in night.versions.items()},
    }


def known(figure: NightFigure) -> bool:
    """Return whether a figure has a value that can be shown: its metric is in METRICS, and it is a number."""
    return figure.metric in METRICS and figure.value is not None and math.isfinite(figure.value)


def _column(result: Result, metric: str, k: int | None) -> str:
    found = [figure for figure in result.figures if (figure.metric, figure.k) == (metric, k) and known(figure)]
    figure = next((figure for figure in found if figure.scope == "all"), found[0] if found else None)
    if figure is None:
        return "-"
    value = figure.value
    if metric == "qps":
        return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.1f}M"
    if metric == "latency_p50":
        return f"{value:.3f}" if value < 100 else f"{value:,.0f}"
    return shown(metric, value)
