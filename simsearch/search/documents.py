"""Answers as JSON: what `query --json` prints and a server sends, from one place, so that they are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simsearch.search.question import Answer, Judgement, Verdict

if TYPE_CHECKING:
    from simsearch.search.searcher import Searcher


def answer_document(
    searcher: Searcher,
    query: str | int | None,
    answer: Answer,
    hits: Sequence[dict[str, Any]],
    where: str | None,
    digits: int = 2,
) -> dict[str, Any]:
    """Return the answer to a query with its `hits` as JSON has them; milliseconds are rounded to so many digits."""
    took: dict[str, Any] = {"milliseconds": round(answer.milliseconds, digits)}
    took |= {"widened": True} if answer.widened else {}
    took |= {} if where is None else {"where": where}
    took |= {"provisional": True} if searcher.build.provisional else {}
    judged = verdict_document(searcher, answer.verdict)
    return {"query": query, "build": searcher.build.name, "hits": list(hits), **judged, **took}


def verdict_document(searcher: Searcher, verdict: Verdict | None) -> dict[str, Any]:
    """Return `verdict`, null with `verdict_reason` where there is none; nothing of a build without labels."""
    if not searcher.labelled:
        return {}
    if verdict is not None:
        return {"verdict": verdict.to_json()}
    return {"verdict": None, "verdict_reason": searcher.verdicts.reason or "none of its neighbours has a label"}


def judgement_document(searcher: Searcher, query: str | None, other: str | None, found: Judgement) -> dict[str, Any]:
    """Return what `query --same --json` prints of two pictures."""
    judged = {"score": found.score, "false_accept_rate": found.false_accept_rate, "same": found.same}
    at_most = {"false_accept_rate_at_most": True} if found.false_accept_rate_at_most else {}
    return {"query": query, "other": other, "build": searcher.build.name, **judged, **at_most}
