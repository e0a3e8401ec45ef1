"""A report in words: one sentence, and a table of at most 80 columns."""

from __future__ import annotations

import textwrap
from typing import Any

_WIDTH = 80
_SIGNIFICANT = 0.05
_IDENTITY = ("metric", "k", "scope", "system", "baseline")


def summarize(report: dict[str, Any]) -> str:
    """Return what the report says in a sentence or two; when normalization alone does as well, that comes first."""
    if report["unanswerable"] is None:
        k, share = list(report["index"]["ann_recall"].items())[-1]
        return f"No labels, so quality is not measured; the index returns {share:.4f} of the exact first {k}."
    system = report["systems"]["recipe/index"]
    k = str(report["k"][0])
    recall = system["recall"][k]
    if recall is None:
        return "No query has another image of its label in the gallery, so quality is not measured."
    answered = report["queries"] - report["unanswerable"]
    headline = f"recall@{k} {recall:.3f}{_interval(system['intervals'], k)} on {answered:,} queries"
    if not report["comparisons"]:
        return f"{headline}; there is no baseline or no boundary to compare it over."
    sentence = f"{headline}; {_difference(report)}."
    return _normalization(report) + sentence


def render_table(report: dict[str, Any]) -> str:
    """Return the report as plain text: the systems as rows, then index, comparison and placebo; '-' for null."""
    first, last = str(report["k"][0]), str(10 if 10 in report["k"] else report["k"][-1])
    error = f"error@{last}"
    if report["unanswerable"] is None:
        return "\n".join([*_wrapped(_title(report)), *_index(report, last), *_wrapped(report["summary"])])
    lines = [
        *_wrapped(_title(report)),
        "",
        _line("", f"recall@{first}", f"recall@{last}", error, error, "MAP@R"),
        _line("system", "", "", "all", "boundary", ""),
    ]
    for name, figures in report["systems"].items():
        errors = figures["cross_boundary_error"][last]
        cells = (figures["recall"][first], figures["recall"][last], errors["all"], errors["boundary"])
        lines.append(_line(name, *(_number(cell) for cell in (*cells, figures["map_at_r"]))))
    lines += ["", *_index(report, last)]
    lines += _comparisons(report["comparisons"])
    if report["placebo"] is not None:
        placebo = report["placebo"]
        lines += _wrapped(
            f"placebo: {placebo['system']} error@{placebo['k']} {_number(placebo['reference'])} on the reference's "
            f"boundary queries, {_number(placebo['self'])} on its own choice"
        )
    lines += [*_inversion(report), *_few_shot(report)]
    return "\n".join([*lines, "", *_wrapped(report["summary"])])


def _title(report: dict[str, Any]) -> str:
    title = f"{report['build']}: {report['queries']:,} queries, {report['gallery']:,} gallery images"
    if report["classes"] is not None:
        title += f", {report['classes']:,} labels"
    if report["unanswerable"]:
        title += f"; {report['unanswerable']:,} queries have no other image of their label and are left out"
    return title


def _index(report: dict[str, Any], k: str) -> list[str]:
    index = report["index"]
    return _wrapped(
        f"index {index['factory']}: ann_recall@{k} {_number(index['ann_recall'][k])}, {index['qps']:,.0f} queries/s, "
        f"{index['ntotal']:,} rows, {index['bytes']:,} bytes"
    )


def _comparisons(entries: list[dict[str, Any]]) -> list[str]:
    """Return a row for each comparison: what the first system has less than, or beyond, the baseline."""
    if not entries:
        return []
    lines = ["", f"{entries[0]['system']} less the baseline, paired by query ({entries[0]['test']}):"]
    lines.append(_compared("baseline", "figure", "over", "n", "difference", "95 % interval", "p"))
    for entry in entries:
        figure = f"{'recall' if entry['metric'] == 'recall' else 'error'}@{entry['k']}"
        interval = "-" if entry["interval"] is None else "[{:+.4f}, {:+.4f}]".format(*entry["interval"])
        cells = (f"{entry['n']:,}", f"{entry['difference']:+.4f}", interval, f"{entry['p_value']:.4f}")
        lines.append(_compared(entry["baseline"], figure, entry["scope"], *cells))
    return [*lines, ""]


def _compared(baseline: str, figure: str, scope: str, n: str, difference: str, interval: str, p: str) -> str:
    return f"{baseline:<16}{figure:<10} {scope:<8}{n:>8}{difference:>11}{interval:>19}{p:>7}"


def _interval(intervals: dict[str, Any] | None, k: str) -> str:
    """Return " [low, high]" of recall@k, or nothing."""
    if intervals is None or intervals["recall"][k] is None:
        return ""
    low, high = intervals["recall"][k]
    return f" [{low:.3f}, {high:.3f}]"


def _inversion(report: dict[str, Any]) -> list[str]:
    pairs = report["verification"]
    if pairs is None:
        return []
    rates = [
        f"{name} {_number(report['systems'][name]['inversion_rate'])}"
        for name in ("baseline/raw-l2", "baseline/cosine", "recipe/cosine")
        if name in report["systems"]
    ]
    sampled = "sampled " if pairs["sampled"] else ""
    return _wrapped(f"inversion rate over {pairs['pairs']:,} {sampled}pairs: {', '.join(rates)}")


def _few_shot(report: dict[str, Any]) -> list[str]:
    found = report["few_shot"]
    if found is None:
        return []
    low, high = found["interval"]
    return _wrapped(
        f"{found['ways']}-way {found['shots']}-shot: {found['accuracy']:.3f} [{low:.3f}, {high:.3f}], "
        f"{found['episodes']:,} episodes over {found['classes']:,} unseen labels (within one alphabet or family it is "
        f"harder)"
    )


def _line(system: str, *cells: str) -> str:
    return (f"{system:<16}" + "".join(f"{cell:>12}" for cell in cells)).rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _difference(report: dict[str, Any]) -> str:
    """Say how recipe/index differs from the first baseline, over as many seeds as were compared."""
    first = report["comparisons"][0]
    alike = [entry for entry in report["comparisons"] if all(entry[key] == first[key] for key in _IDENTITY)]
    entry = max(alike, key=lambda one: one["seeds"])
    k = str(entry["k"])
    after, before = (_boundary_error(report, entry, entry[side]) for side in ("system", "baseline"))
    told = "p unknown: no spread" if entry["p_value"] is None else f"p = {entry['p_value']:.4f}"
    figures = f"{after:.4f} against {before:.4f}, {told}"
    scope = f"cross-boundary error@{k} over {first['n']:,} boundary queries"
    if entry["seeds"] > 1:
        scope += f" and {entry['seeds']} seeds"
    if not _seen(entry):
        return f"no difference seen from {entry['baseline']} in {scope} ({figures})"
    share = f"{abs(after / before - 1):.0%}".replace("%", " %") if before else f"{100 * abs(after - before):.1f} points"
    return f"{share} {'less' if after < before else 'MORE'} {scope} than {entry['baseline']} ({figures})"


def _boundary_error(report: dict[str, Any], entry: dict[str, Any], system: str) -> float:
    """Return a system's error of the comparison: its mean over seeds where the comparison is over several."""
    if entry["seeds"] > 1:
        return float(report["seeds"]["systems"][system][f"error@{entry['k']} boundary"]["mean"])
    return float(report["systems"][system]["cross_boundary_error"][str(entry["k"])]["boundary"])


def _seen(entry: dict[str, Any]) -> bool:
    """The rule of `Paired.seen`: p is below 0.05, and the interval, where known, leaves out 0."""
    p_value, ends = entry["p_value"], entry["interval"]
    return p_value is not None and p_value < _SIGNIFICANT and (ends is None or ends[0] > 0 or ends[1] < 0)


def _normalization(report: dict[str, Any]) -> str:
    """Return the words that go first when recipe/cosine does not beat baseline/cosine, else nothing."""
    k = str(report["comparisons"][0]["k"])
    recipe, baseline = (
        report["systems"][f"{side}/cosine"]["cross_boundary_error"][k]["boundary"] for side in ("recipe", "baseline")
    )
    if recipe < baseline:
        return ""
    does = "does as well as" if recipe == baseline else "does better than"
    return (
        f"Normalization alone {does} the recipe: cross-boundary error@{k} over boundary queries is {baseline:.4f} for "
        f"baseline/cosine and {recipe:.4f} for recipe/cosine. "
    )
