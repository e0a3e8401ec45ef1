"""What the report page opens on: how good the search is in a sentence, and the figures that are drawn large."""

from __future__ import annotations

from typing import Any

from simsearch.evaluation.collapse import Spread
from simsearch.evaluation.comparison import BASELINES, HEADLINE, Comparison
from simsearch.evaluation.figures import Place, headline, headline_k
from simsearch.page.html import NONE, count, get, interval, percent, seconds
from simsearch.report.verdict import LEAST_QUERIES, TOO_FEW, forced_words, shown, too_few, verdict

Report = dict[str, Any]
Large = tuple[str, str, str, str, str]
"""A figure drawn large: its name, value, interval, the baseline's, and what it is."""

FIRST = 3  # strips of a kind that are shown before the others are asked for
_HUNDRED, _THOUSAND = 100, 1000
_HIGH = 0.95  # shares above it are told of a thousand, where there are as many queries
BADGES = {
    "held": "fewer errors, and more than chance explains; normalization alone does less.",
    "not shown": "it was measured, and no difference was seen, or normalization alone does as well.",
    "the opposite": "more errors, and more than chance explains.",
    TOO_FEW: "so few queries that no test can tell, or an interval so wide that it says nothing.",
    "not measured": "there was nothing to compare: no baseline, or no query at the boundary.",
}


def found_first(report: Report) -> str | None:
    """Return the headline's recall in plain words with its interval and the number of queries; None where it has none.

    "Of 100 queries, 69 find the right label first [66, 72]." Fewer queries than a hundred are counted themselves.
    """
    if report.get("unanswerable") is None:
        return None
    place = headline(report["k"])[0]
    share, ends = shown(report, HEADLINE, place)
    if share is None or ends is None:
        return None
    asked = report["queries"] - report["unanswerable"]
    what = "find the right label first" if place.k == 1 else f"find the right label among the first {place.k}"
    if asked < _HUNDRED:
        low, high = (round(_HUNDRED * end) for end in ends)
        verb = what if asked != 1 else what.replace("find", "finds", 1)
        said = f"{round(share * asked)} of {count(asked, 'query', 'queries')} {verb}"
        said += f"; of 100 that would be between {low} and {high}."
        few = too_few(asked, ends)
        return said if few is None else f"{said} {few[0].upper()}{few[1:]}."
    base = _THOUSAND if asked >= _THOUSAND and share > _HIGH else _HUNDRED
    low, high = (round(base * end) for end in ends)
    return f"Of {base:,} queries, {_of(share, base)} {what} [{low}, {high}], measured on {asked:,}."


def few(entry: Comparison) -> str | None:
    """Return why a comparison of one seed says nothing, "too few to tell: ..."; None where it says something."""
    return too_few(entry.n, entry.interval, seen=entry.seen) if entry.seeds == 1 else None


def _of(share: float, base: int) -> str:
    """Return a share as a number of `base`, never as all or none where it is not."""
    number = round(base * share)
    if number == base and share < 1:
        return f"more than {base - 1}"
    return "fewer than 1" if number == 0 < share else f"{number}"


def collapsed(report: Report, facts: Report) -> str | None:
    """Return a warning that all images lie at nearly one place; None where they do not."""
    found = report.get("collapse")  # a report of an older version does not know
    if not found or not found["collapsed"]:
        warning: str | None = facts.get("warning")  # that it is about to, which the loss tells
        return warning
    spread = Spread(found["mean_cosine"], found["effective_rank"])
    return spread.words if facts.get("trained", True) else spread.untrained_words


def large(report: Report, facts: Report) -> list[Large]:
    """Return the figures that are drawn large: of answers where there are labels, else what can be told without."""
    found = _of_answers(report) if report.get("unanswerable") is not None else _without_labels(report, facts)
    took = report.get("milliseconds")  # an older report does not know
    if took is not None:
        words = "from its file to its neighbours, one at a time, on the machine that built this"
        found.append(("A picture takes", seconds(took), "", "", words))
    return found


def _of_answers(report: Report) -> list[Large]:
    recall, error = headline(report["k"])
    forced = forced_words(report)
    hits = "image has" if recall.k == 1 else f"{recall.k} images hold"
    return [
        *_figure(report, recall, f"Right label first: {recall.title}", f"of queries: the nearest {hits} their label"),
        *_figure(
            report, error, f"Errors at the boundary: {error.title}",
            f"of the nearest {error.k} to the hardest tenth of queries have another label; lower is better"
            + (f"; {forced}" if forced else ""),
        ),
    ]  # fmt: skip


def _figure(report: Report, place: Place, name: str, words: str) -> list[Large]:
    value, ends = shown(report, HEADLINE, place)
    before, before_ends = shown(report, BASELINES[0], place)
    if value is None:
        return []
    if place.scope == "boundary" and (told := _untold(report)):
        return [(name, NONE, "", "", told)]
    than = "" if before is None else f"baseline {percent(before)} {interval(before_ends, percent)}".rstrip()
    return [(name, percent(value), interval(ends, percent), than, words)]


def _untold(report: Report) -> str | None:
    """Return why the error at the boundary says nothing, as the verdict below has it; None where it says something."""
    queries = report.get("boundary_queries") or 0
    if queries < LEAST_QUERIES:
        return f"{TOO_FEW}: {count(queries, 'query', 'queries')} at the boundary, {LEAST_QUERIES} are needed at least"
    found = verdict(report)
    return few(found.comparison) if found else None


def _without_labels(report: Report, facts: Report) -> list[Large]:
    images, found = get(facts, "counts", "images"), report.get("duplicates") or {}
    whole = [] if images is None else [("Images", count(images), "", "", "in all")]
    k = str(headline_k(report["k"]))
    share = (report["index"].get("ann_recall") or {}).get(k)
    if share is not None:
        whole.append(("The index finds", percent(share), "", "", f"of the nearest {k} that exact search finds"))
    alike = [kind["images"] for kind in (found.get("copies"), found.get("looks")) if kind]
    if alike:
        whole.append(("Near-duplicates", count(sum(alike)), "", "", "images are copies of another or look the same"))
    if facts.get("bad") is not None and facts.get("quarantine") is not None:
        whole.append(("Unreadable files", count(max(facts["bad"], len(facts["quarantine"]))), "", "", "were left out"))
    return whole
