"""A report in words: one sentence, and a table of at most 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simsearch.evaluation.collapse import Spread
from simsearch.evaluation.comparison import HEADLINE, Comparison
from simsearch.evaluation.figures import columns, headline, headline_k
from simsearch.report.columns import ends, number, row, wrapped
from simsearch.report.gallery import gallery_words
from simsearch.report.head import head_words
from simsearch.report.known import known_words
from simsearch.report.verdict import TOO_FEW, Verdict, comparisons, low_recall, shown, too_few, verdict
from simsearch.report.words import system_words

_COLUMNS = 5  # of figures, side by side
_NAME = 19  # columns of a system's name
_COMPARED = (_NAME, 10, 8, -7, -10, -19, -7)


def summarize(report: dict[str, Any]) -> str:
    """Return what the report says in a sentence or two; a collapse comes first, or normalization doing as well."""
    return " ".join([*collapse_words(report), _quality(report)])


def collapse_words(report: Mapping[str, Any]) -> list[str]:
    """Return one sentence where the features are nearly one point, else none."""
    found = report.get("collapse")  # a report of an older version does not know
    if not found or not found["collapsed"]:
        return []
    spread = Spread(found["mean_cosine"], found["effective_rank"])
    return [spread.untrained_words if _untrained(report) else spread.words]


def _untrained(report: Mapping[str, Any]) -> bool:
    """Whether the recipe's features are the baseline's own, as with epochs = 0: every figure is the very same."""
    if report["unanswerable"] is None:  # without labels nothing is ever trained, with those of one class it may be
        return not report.get("unmeasured")
    systems = report["systems"]
    exact = [name for name in systems if name.startswith("baseline/")]
    return bool(exact) and all(systems[name] == systems.get(name.replace("baseline/", "recipe/")) for name in exact)


def unmeasured_words(report: Mapping[str, Any]) -> str | None:
    """Return why there are no figures of quality, and what is known instead; None where there are."""
    if report["unanswerable"] is None:
        k, share = list(report["index"]["ann_recall"].items())[-1]
        why = report.get("unmeasured")
        start = f"No figures: {why}" if why else "No labels, so quality is not measured"
        return f"{start}; the index returns {share:.4f} of the exact first {k}."
    if not recall_words(report):
        return "No query has another image of its label in the gallery, so quality is not measured."
    return None


def _quality(report: dict[str, Any]) -> str:
    if unmeasured := unmeasured_words(report):
        return unmeasured
    queries = report["queries"] - report["unanswerable"]
    first = f"{recall_words(report)} on {queries:,} queries"
    if few := too_few(queries, shown(report, HEADLINE, headline(report["k"])[0])[1]):
        first += f" ({few})"
    first += optimistic_words(report)
    found = verdict(report)
    if found is None:
        return f"{first}; there is no baseline or no boundary to compare it over."
    lead = ""
    if found.alone:
        recipe, baseline = map(number, found.cosine)
        lead = (
            f"Normalization alone {found.alone} the recipe: cross-boundary {found.comparison.place.title} over "
            f"boundary queries is {baseline} for '{system_words('baseline/cosine')}' and {recipe} for "
            f"'{system_words('recipe/cosine')}'. "
        )
    return f"{lead}{first}; {_difference(found, report)}."


def recall_words(report: Mapping[str, Any]) -> str:
    """Return the headline's recall through the index, "recall@1 0.983 [0.978, 0.987]"; "" where none is measured."""
    place = headline(report["k"])[0]
    recall, interval = shown(report, HEADLINE, place)
    return "" if recall is None else f"{place.title} {recall:.3f} {ends(interval, '.3f')}".rstrip()


def asked_words(report: Mapping[str, Any]) -> str:
    """Return how many queries were asked, and of how many where a sample of them was: "10,000 of 60,000 queries"."""
    total = report.get("queries_of")
    asked = f"{report['queries']:,} of {total:,}" if total else f"{report['queries']:,}"
    return f"{asked} {'query' if (total or report['queries']) == 1 else 'queries'}"


def optimistic_words(report: Mapping[str, Any]) -> str:
    """Return that more than a tenth of the queries have a near twin, and the recall without these; else ""."""
    near = report.get("near_twins")
    if not near or not near["optimistic"]:
        return ""
    place, rest = headline(report["k"])[0], near["without"]
    recall = place.of(rest.get(HEADLINE))
    without = f" ({recall:.3f} on the {rest['queries']:,} without)" if recall is not None else ""
    return f", optimistic: {near['queries']:,} of {near['of']:,} queries have a near twin in the gallery{without}"


def render_table(report: dict[str, Any]) -> str:
    """Return the report as plain text: the systems as rows, then index, comparison and placebo; '-' for null."""
    last = str(headline_k(report["k"]))
    title = f"{report['build']}: {asked_words(report)}, {report['gallery']:,} gallery images"
    if report["classes"] is not None:
        title += f", {report['classes']:,} labels"
    if report["unanswerable"]:
        title += f"; {report['unanswerable']:,} queries have no other image of their label and are left out"
    lines = wrapped(title)
    if report["unanswerable"] is None:
        return "\n".join([*lines, *_index(report, last), *wrapped(report["summary"])])
    for start in range(0, len(columns(report["k"])), _COLUMNS):
        places = columns(report["k"])[start : start + _COLUMNS]
        widths = (_NAME, *(-12 for _ in places))
        scopes = (place.scope if len(place.figure.scopes) > 1 else "" for place in places)
        lines += ["", row(widths, "", *(place.title for place in places)), row(widths, "system", *scopes)]
        for name, figures in report["systems"].items():
            lines.append(row(widths, system_words(name), *(number(place.of(figures)) for place in places)))
    lines += ["", *_index(report, last), *_compared(comparisons(report))]
    lines += wrapped(photos) if (photos := gallery_words(report)) else []
    lines += wrapped(head) if (head := head_words(report)) else []
    if report["placebo"] is not None:
        placebo = report["placebo"]
        lines += wrapped(
            f"placebo: {system_words(placebo['system'])} error@{placebo['k']} {number(placebo['reference'])} on the "
            f"reference's boundary queries, {number(placebo['self'])} on its own choice"
        )
    lines += [*_inversion(report), *_few_shot(report)]
    return "\n".join([*lines, "", *wrapped(report["summary"])])


def _index(report: dict[str, Any], k: str) -> list[str]:
    index = report["index"]
    lines = wrapped(
        f"index {index['factory']}: ann_recall@{k} {number(index['ann_recall'][k])}, {index['qps']:,.0f} queries/s, "
        f"{index['ntotal']:,} rows, {index['bytes']:,} bytes"
    )
    lines += wrapped(f"warning: {low}") if (low := low_recall(report)) else []
    return lines + (wrapped(known) if (known := known_words(report)) else [])


def _compared(entries: Sequence[Comparison]) -> list[str]:
    """Return a row for each comparison: what the first system has less than, or beyond, the baseline."""
    if not entries:
        return []
    title = f"{system_words(entries[0].system)} less the baseline, paired by query ({entries[0].test}):"
    lines = ["", *wrapped(title)]
    lines.append(row(_COMPARED, "baseline", "figure", "over", "n", "diff", "95 % interval", "p"))
    for entry in entries:
        figures = (f"{entry.difference:+.4f}", ends(entry.interval, "+.4f") or "-", number(entry.p_value))
        cells = ("", TOO_FEW, "") if too_few(entry.n, entry.interval, seen=entry.seen) else figures
        name = system_words(entry.baseline)
        lines.append(row(_COMPARED, name, entry.place.title, entry.scope, f"{entry.n:,}", *cells))
    return [*lines, ""]


def _inversion(report: dict[str, Any]) -> list[str]:
    pairs = report["verification"]
    if pairs is None:
        return []
    rates = [
        f"{system_words(name)} {number(report['systems'][name]['inversion_rate'])}"
        for name in ("baseline/raw-l2", "baseline/cosine", "recipe/cosine")
        if name in report["systems"]
    ]
    sampled = "sampled " if pairs["sampled"] else ""
    return wrapped(f"inversion rate over {pairs['pairs']:,} {sampled}pairs: {'; '.join(rates)}")


def _few_shot(report: dict[str, Any]) -> list[str]:
    found = report["few_shot"]
    if found is None:
        return []
    low, high = found["interval"]
    return wrapped(
        f"{found['ways']}-way {found['shots']}-shot: {found['accuracy']:.3f} [{low:.3f}, {high:.3f}], "
        f"{found['episodes']:,} episodes over {found['classes']:,} unseen labels (within one alphabet or family it is "
        f"harder)"
    )


def _difference(found: Verdict, report: dict[str, Any]) -> str:
    """Return how recipe/index differs from the first baseline, over as many seeds as were compared."""
    entry, after, before = found.comparison, found.after, found.before
    name = system_words(entry.baseline)
    p_value = "p unknown: no spread" if entry.p_value is None else f"p = {entry.p_value:.4f}"
    figures = f"{number(after)} against {number(before)}, {p_value}"
    queries = next(one.n for one in comparisons(report) if one.place == entry.place)
    scope = f"cross-boundary {entry.place.title} over {queries:,} boundary queries"
    if entry.seeds == 1 and (few := too_few(entry.n, entry.interval, seen=entry.seen)):
        return f"cross-boundary {entry.place.title} over boundary queries against '{name}': {few}"
    if entry.seeds > 1:
        scope += f" and {entry.seeds} seeds"
    if not entry.seen or after is None or before is None:
        return f"no difference seen from '{name}' in {scope} ({figures})"
    share = f"{abs(after / before - 1):.0%}".replace("%", " %") if before else f"{100 * abs(after - before):.1f} points"
    return f"{share} {'less' if after < before else 'MORE'} {scope} than '{name}' ({figures})"
