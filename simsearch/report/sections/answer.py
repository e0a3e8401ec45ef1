"""The first sections of the report page: the verdict in a sentence, three figures, queries with their neighbours."""

from __future__ import annotations

from typing import Any

from simsearch.page.html import (
    Pictures,
    count,
    difference_seen,
    get,
    interval,
    number,
    p_value,
    paragraph,
    percent,
    short,
    text,
)

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


def headline(report: Report) -> tuple[str, int]:
    """Return the first and the k of errors that the page speaks of: recall@first, error@k (10 where it was asked)."""
    ks = report["k"]
    return str(ks[0]), 10 if 10 in ks else ks[-1]


def verdict(report: Report) -> str:
    """Return the badge, the sentence that answers the question, what it is about, and what must be said with it."""
    if report.get("unanswerable") is None:  # no labels: nothing was claimed, so nothing is held
        return paragraph(text(report.get("summary") or "Nothing was measured."), "lead")
    entry = _first_comparison(report)
    if entry is None:
        return _badge("not shown") + paragraph(text(report.get("summary") or "Nothing was measured."), "lead") + _CLAIM
    sentence = _difference(report, entry)
    alone = _normalization_alone(report, entry)
    word = "not shown"
    if difference_seen(entry) and entry["difference"] > 0:
        word = "the opposite"
    elif difference_seen(entry) and entry["difference"] < 0 and not alone:
        word = "held"
    body = _badge(word)
    if alone:
        return body + paragraph(alone, "lead") + paragraph(sentence) + _CLAIM
    return body + paragraph(sentence, "lead") + _against_normalization(report) + _CLAIM


def _badge(word: str) -> str:
    kind = {"held": "badge held", "the opposite": "badge opposite"}.get(word, "badge")
    return f'<p><strong class="{kind}">{word}</strong></p>'


def figures(report: Report, milliseconds: float | None) -> str:
    """Return the three large figures, each with its interval and the baseline beneath; fewer where none is known."""
    first, k = headline(report)
    words = f"queries whose nearest {'image has' if first == '1' else first + ' images hold'} their label"
    shown = [_figure(report, f"recall@{first}", ("recall", first), words)]
    error = ("cross_boundary_error", str(k), "boundary")
    words = f"other labels among the nearest {k} of boundary queries"
    shown.append(_figure(report, f"error@{k} at the boundary", error, words))
    index = report["index"]
    if milliseconds is not None:
        shown.append(_large(f"{milliseconds:.3g}\u00a0ms", "a query, median", "from picture to hits", ""))
    elif index.get("qps") is not None:
        shown.append(_large(f"{index['qps']:,.0f}", "queries/s", "search alone, all cores, one batch", ""))
    seeds = report.get("seeds")
    words = "These figures, and those below, are of one seed, but where they are told as over seeds."
    return f'<dl class="figures">{"".join(shown)}</dl>{paragraph(words) if seeds else ""}'


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


def _figure(report: Report, name: str, keys: tuple[str, ...], words: str) -> str:
    systems = report["systems"]
    value = get(systems, "recipe/index", *keys)
    if value is None:
        return ""
    small = interval(get(systems, "recipe/index", "intervals", *keys), percent)
    before = get(systems, "baseline/raw-l2", *keys)
    if before is not None:
        ends = interval(get(systems, "baseline/raw-l2", "intervals", *keys), percent)
        small += f"<br>baseline/raw-l2 {percent(before)} {ends}"
    return _large(percent(value), name, words, small)


def _large(value: str, name: str, words: str, small: str) -> str:
    return (
        f'<div><dt>{text(name)}</dt><dd class="large">{value}</dd><dd class="small">{small}</dd>'
        f'<dd class="small">{text(words)}</dd></div>'
    )


def _first_comparison(report: Report) -> Report | None:
    """The entry that the verdict is about: boundary errors of the recipe's index against the unnormalized baseline."""
    return _most_seeds(report, "baseline/raw-l2", "recipe/index")


def _most_seeds(report: Report, baseline: str, *systems: str) -> Report | None:
    """Return the boundary errors' comparison with `baseline` over the most seeds, of `systems` or of any; or None."""
    found = [
        entry
        for entry in report.get("comparisons") or []
        if (entry["metric"], entry["scope"], entry["baseline"]) == ("cross_boundary_error", "boundary", baseline)
        and (not systems or entry["system"] in systems)
        and entry["difference"] is not None
    ]
    return max(found, key=lambda entry: int(entry["seeds"]), default=None)


def _boundary_error(report: Report, system: str, entry: Report) -> float | None:
    """The boundary error of a system at the k of a comparison: over several seeds the mean of these, where known."""
    if entry["seeds"] > 1:
        value = get(report.get("seeds"), "systems", system, f"error@{entry['k']} boundary", "mean")
    else:
        value = get(report["systems"], system, "cross_boundary_error", entry["k"], "boundary")
    return None if value is None else float(value)


def _difference(report: Report, entry: Report) -> str:
    k = entry["k"]
    before, after = (_boundary_error(report, entry[side], entry) for side in ("baseline", "system"))
    hits = "nearest hit has" if k == 1 else f"nearest {k} have"
    points = f"difference {_points(entry['difference'])} points {interval(entry['interval'], _points)}".strip()
    told = f"{points}, {p_value(entry['p_value'])}, {_units(entry)}{_seen(entry)}"
    if before is None or after is None:
        return (
            f"On the hardest tenth of queries, the share of other labels among the nearest {k} "
            f"less that without normalization (baseline/raw-l2): {told}."
        )
    mean = "in the mean over seeds " if entry["seeds"] > 1 else ""
    return (
        f"On the hardest tenth of queries, {mean}{percent(after)} of the {hits} another label; without normalization "
        f"(baseline/raw-l2) {percent(before)}: {told}."
    )


def _units(entry: Report) -> str:
    return f"n = {count(entry['n'])}, one seed" if entry["seeds"] == 1 else f"{entry['seeds']} seeds"


def _seen(entry: Report) -> str:
    if not difference_seen(entry):
        return "; no difference seen"
    return "; that is MORE errors" if entry["difference"] > 0 else ""


def _normalization_alone(report: Report, entry: Report) -> str:
    """Return the sentence that goes first when recipe/cosine does not beat baseline/cosine, else nothing."""
    recipe, baseline = (_boundary_error(report, f"{side}/cosine", entry) for side in ("recipe", "baseline"))
    if recipe is None or baseline is None or recipe < baseline:
        return ""
    does = "does as well as" if recipe == baseline else "does better than"
    return (
        f"Normalization alone {does} the recipe: over boundary queries {percent(baseline)} of the nearest "
        f"{entry['k']} have another label with baseline/cosine, {percent(recipe)} with recipe/cosine."
    )


def _against_normalization(report: Report) -> str:
    """Return what the comparison with normalization alone says, where it was made."""
    entry = _most_seeds(report, "baseline/cosine")
    if entry is None:
        return ""
    seeds = f", {_units(entry)}" if entry["seeds"] > 1 else ""
    return paragraph(
        f"Against normalization alone (baseline/cosine): {_points(entry['difference'])} points "
        f"{interval(entry['interval'], _points)}, {p_value(entry['p_value'])}{seeds}{_seen(entry)}.".replace(" ,", ",")
    )


def _points(share: float) -> str:
    return f"{number(100 * share, 1)}" if share <= 0 else f"+{number(100 * share, 1)}"
