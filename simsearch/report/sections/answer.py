"""The first sections of the report page: the verdict in a sentence, three figures, queries with their neighbours."""

from __future__ import annotations

from typing import Any

from simsearch.evaluation.figures import Place, headline
from simsearch.evaluation.paired import BASELINES, HEADLINE, Comparison
from simsearch.page.html import (
    Pictures,
    count,
    interval,
    number,
    p_value,
    paragraph,
    percent,
    short,
    text,
)
from simsearch.report.verdict import Verdict, most_seeds, shown
from simsearch.report.verdict import verdict as find_verdict

_CLAIM = paragraph(
    "Held, not shown or the opposite: the claim that normalized embeddings make fewer errors across class "
    "boundaries than the unnormalized baseline.",
    "claim",
)
_STRIPS = 8  # of each kind
_KINDS = (
    ("typical", "Typical queries", "Drawn at random."),
    ("boundary", "Boundary queries", "Drawn from the hardest tenth: those nearest to another label."),
    ("worst", "The worst queries", "Chosen because they went most wrong; they are not typical."),
)

Report = dict[str, Any]


def verdict(report: Report) -> str:
    """Return the badge, the sentence that answers the question, what it is about, and what must be said with it."""
    found = find_verdict(report)
    if found is None or report.get("unanswerable") is None:  # without labels nothing was claimed, so nothing is held
        said = paragraph(text(report.get("summary") or "Nothing was measured."), "lead")
        return said if report.get("unanswerable") is None else _badge("not shown") + said + _CLAIM
    sentence, badge = _difference(found), _badge(found.word)
    if found.alone:
        return badge + paragraph(_normalization(found), "lead") + paragraph(sentence) + _CLAIM
    return badge + paragraph(sentence, "lead") + _against_normalization(report) + _CLAIM


def _badge(word: str) -> str:
    kind = {"held": "badge held", "the opposite": "badge opposite"}.get(word, "badge")
    return f'<p><strong class="{kind}">{word}</strong></p>'


def figures(report: Report, milliseconds: float | None) -> str:
    """Return the three large figures, each with its interval and the baseline beneath; fewer where none is known."""
    recall, error = headline(report["k"])
    words = f"queries whose nearest {'image has' if recall.k == 1 else f'{recall.k} images hold'} their label"
    large = [_figure(report, recall, recall.title, words)]
    words = f"other labels among the nearest {error.k} of boundary queries"
    large.append(_figure(report, error, f"{error.title} at the boundary", words))
    index = report["index"]
    if milliseconds is not None:
        large.append(_large(f"{milliseconds:.3g}\u00a0ms", "a query, median", "from picture to hits", ""))
    elif index.get("qps") is not None:
        large.append(_large(f"{index['qps']:,.0f}", "queries/s", "search alone, all cores, one batch", ""))
    seeds = report.get("seeds")
    words = "These figures, and those below, are of one seed, but where they are told as over seeds."
    return f'<dl class="figures">{"".join(large)}</dl>{paragraph(words) if seeds else ""}'


def strips(neighbours: list[dict[str, Any]], pictures: Pictures) -> str:
    """Return up to 8 queries of each kind with their neighbours as pictures; nothing when there are none."""
    body = ""
    for kind, title, words in _KINDS:
        found = [entry for entry in neighbours if entry["kind"] == kind][:_STRIPS]
        if found:
            lines = "".join(f"<li>{_strip(entry, pictures)}</li>" for entry in found)
            body += f'<h3>{title}</h3>{paragraph(words)}<ol class="strips">{lines}</ol>'
    if not body:
        return ""
    legend = "First the query, then its neighbours from the nearest on, each with its score."
    if any(entry.get("label") is not None for entry in neighbours):
        legend += " A hatched frame and the word <em>wrong</em> mark another label than the query's."
    return paragraph(legend) + body


def _strip(entry: dict[str, Any], pictures: Pictures) -> str:
    label = entry.get("label")
    tiles, errors = "", 0
    for hit in entry["hits"]:
        wrong = label is not None and hit.get("label") != label
        errors += wrong
        kind, word = ("tile wrong", "<b>wrong</b> ") if wrong else ("tile", "")
        words = f'{word}{short(hit.get("label") or "")} <span class="score">{hit["score"]:.3f}</span>'
        tiles += f'<li class="{kind}"><span class="frame">{pictures.show(hit["row"])}</span>'
        tiles += f'<span class="cap">{words}</span></li>'
    told = "" if label is None else f", {errors} of {len(entry['hits'])} wrong"
    return (
        f'<figure class="strip"><div class="tile query"><span class="frame">{pictures.show(entry["row"])}</span>'
        f'<span class="cap">{short(label or "")}</span></div><ol class="hits">{tiles}</ol>'
        f"<figcaption>{text(pictures.name(entry['row']))}{told}</figcaption></figure>"
    )


def _figure(report: Report, place: Place, name: str, words: str) -> str:
    value, ends = shown(report, HEADLINE, place)
    if value is None:
        return ""
    small = interval(ends, percent)
    before, ends = shown(report, BASELINES[0], place)
    if before is not None:
        small += f"<br>{BASELINES[0]} {percent(before)} {interval(ends, percent)}"
    return _large(percent(value), name, words, small)


def _large(value: str, name: str, words: str, small: str) -> str:
    return (
        f'<div><dt>{text(name)}</dt><dd class="large">{value}</dd><dd class="small">{small}</dd>'
        f'<dd class="small">{text(words)}</dd></div>'
    )


def _difference(found: Verdict) -> str:
    entry, k = found.comparison, found.comparison.k
    hits = "nearest hit has" if k == 1 else f"nearest {k} have"
    points = f"difference {_points(entry.difference)} points {interval(entry.interval, _points)}".strip()
    said = f"{points}, {p_value(entry.p_value)}, {_units(entry)}{_seen(entry)}"
    if found.before is None or found.after is None:
        return (
            f"On the hardest tenth of queries, the share of other labels among the nearest {k} "
            f"less that without normalization (baseline/raw-l2): {said}."
        )
    mean = "in the mean over seeds " if entry.seeds > 1 else ""
    return (
        f"On the hardest tenth of queries, {mean}{percent(found.after)} of the {hits} another label; without "
        f"normalization (baseline/raw-l2) {percent(found.before)}: {said}."
    )


def _units(entry: Comparison) -> str:
    return f"n = {count(entry.n)}, one seed" if entry.seeds == 1 else f"{entry.seeds} seeds"


def _seen(entry: Comparison) -> str:
    if not entry.seen:
        return "; no difference seen"
    return "; that is MORE errors" if entry.difference > 0 else ""


def _normalization(found: Verdict) -> str:
    """Return the sentence that goes first when recipe/cosine does not beat baseline/cosine."""
    recipe, baseline = map(percent, found.cosine)
    return (
        f"Normalization alone {found.alone} the recipe: over boundary queries {baseline} of the nearest "
        f"{found.comparison.k} have another label with baseline/cosine, {recipe} with recipe/cosine."
    )


def _against_normalization(report: Report) -> str:
    """Return what the comparison with normalization alone says, where it was made."""
    entry = most_seeds(report, BASELINES[-1])
    if entry is None:
        return ""
    seeds = f", {_units(entry)}" if entry.seeds > 1 else ""
    return paragraph(
        f"Against normalization alone (baseline/cosine): {_points(entry.difference)} points "
        f"{interval(entry.interval, _points)}, {p_value(entry.p_value)}{seeds}{_seen(entry)}.".replace(" ,", ",")
    )


def _points(share: float) -> str:
    return f"{number(100 * share, 1)}" if share <= 0 else f"+{number(100 * share, 1)}"
