"""The last sections of the report page: the index, the data, how it was made."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from simsearch.page.html import NONE, Pictures, count, get, more, number, paragraph, percent, short, table, text
from simsearch.report.sections.groups import groups
from simsearch.report.sections.tuning import tuning

_PAIRS = 12
_REASONS = 200

Report = dict[str, Any]


def index(report: Report, choice: Report | None) -> str:
    """Return how the index answers: factory, share of the exact answer, speed and size; and how it was chosen."""
    found = report["index"]
    exact = found["factory"] == "Flat"
    words = f"<code>{text(found['factory'])}</code>: "
    words += "every search is exact." if exact else "an approximate index, measured against exact search."
    rows = [(f"ann_recall@{k}", number(share, 4)) for k, share in (found.get("ann_recall") or {}).items()]
    rows.append(("queries/s, one batch", NONE if found.get("qps") is None else f"{found['qps']:,.0f}"))
    rows += [("rows", count(found.get("ntotal"))), ("bytes", count(found.get("bytes")))]
    return paragraph(words) + table("The index", ("figure", "value"), rows) + tuning(choice)


def data(report: Report, facts: Report, pictures: Pictures) -> str:
    """Return counts, what was not measured and why, near-duplicates, doubtful labels and unreadable files."""
    counts = {"queries": report["queries"], "gallery": report["gallery"], **(facts.get("counts") or {})}
    rows = [(text(name), count(number)) for name, number in counts.items()]
    if report.get("classes") is not None:
        rows.append(("labels", count(report["classes"])))
    if report.get("unanswerable") is not None:
        rows.append(("queries without another image of their label, left out", count(report["unanswerable"])))
    if report.get("boundary_queries") is not None:
        rows.append(("boundary queries", count(report["boundary_queries"])))
    body = table("Images", ("what", "how many"), rows)
    if report.get("reasons"):
        missing = (f"{text(key.replace('_', ' '))} ({text(why)})" for key, why in report["reasons"].items())
        body += paragraph(f"Not measured: {', '.join(missing)}.")
    return (
        body
        + _duplicates(report, pictures)
        + groups(report, pictures)
        + _suspects(report, pictures)
        + _quarantine(facts)
    )


def _duplicates(report: Report, pictures: Pictures) -> str:
    """Return the copies (by looks) with what they change, and apart from them the near-equal scores."""
    found = report.get("near_duplicates")
    if not found:
        return ""
    kinds = found.get("by_kind") or {}
    body = "<h3>Near-duplicates between queries and gallery</h3>"
    copies = kinds.get("hash")
    if copies is None:
        body += paragraph("Pictures that look the same were not looked for.")
    elif not copies["queries"]:
        body += paragraph("No query has an image in the gallery that looks the same.")
    else:
        words = count(copies["queries"], "query has", "queries have")
        body += paragraph(
            f"{words} a near-duplicate in the gallery, by its looks (a near perceptual hash, and close in gray)."
        )
        before, after = (dict(_leaves(headline or {})) for headline in (found.get("with"), copies.get("without")))
        rows = [(text(name), _figure(value), _figure(after.get(name))) for name, value in before.items()]
        if rows:
            body += table("The headline with these queries and without them", ("figure", "with", "without"), rows)
    pairs = found.get("pairs") or []
    body += _twins([pair for pair in pairs if pair.get("score") is None], pictures)
    near = get(kinds, "score", "queries")
    if near:
        body += paragraph(
            f"{count(near, 'query has', 'queries have')} a score above {found.get('score_above')}, which a trained "
            "space gives to images of one label too."
        )
    return body + _twins([pair for pair in pairs if pair.get("score") is not None], pictures)


def _twins(pairs: Sequence[Report], pictures: Pictures) -> str:
    def words_of(entry: Report) -> str:
        return "equal hash" if entry.get("score") is None else f"score {number(entry['score'], 4)}"

    return _gallery(pairs, ("row", "other_row"), words_of, pictures, "pairs")


def _leaves(tree: Report, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, figure) of a headline: "recipe/index, recall@1"."""
    for key, value in tree.items():
        told = f"{name}@{key}" if key.isdigit() else ", ".join(part for part in (name, key.replace("_", " ")) if part)
        if isinstance(value, dict):
            yield from _leaves(value, told)
        else:
            yield told, value


def _figure(value: Any) -> str:
    return count(value) if isinstance(value, int) else number(value, 4)


def _suspects(report: Report, pictures: Pictures) -> str:
    found = report.get("label_suspects")
    if found is None:
        return ""
    body = "<h3>Labels to look at</h3>"
    if not found:
        return body + paragraph("No query has only neighbours of other labels.")
    total = report.get("label_suspects_total") or len(found)
    body += paragraph(f"{count(total, 'query has', 'queries have')} only neighbours of other labels.")

    def words_of(entry: Report) -> str:
        share = "" if entry.get("share") is None else f" ({percent(entry['share'], 0)})"
        return f"<b>{short(entry['label'])}</b><br>neighbours: {short(entry['majority'])}{share}"

    return body + _gallery(found, ("row",), words_of, pictures, "images")


def _gallery(
    entries: Sequence[Report], keys: Sequence[str], words: Callable[[Report], str], pictures: Pictures, what: str
) -> str:
    """Return the first entries with their pictures, and under a heading to open how many more there are."""
    tiles = ""
    for entry in entries[:_PAIRS]:
        shown = "".join(pictures.show(entry[key]) for key in keys if entry.get(key) is not None)
        tiles += f'<li><span class="pair">{shown}</span><span>{words(entry)}</span></li>'
    rest = len(entries) - _PAIRS
    note = paragraph(f"{rest:,} more {what} are listed in report.json.") if rest > 0 else ""
    return f'<ul class="leaks">{tiles}</ul>{note}' if tiles else ""


def _quarantine(facts: Report) -> str:
    found = facts.get("quarantine")
    if found is None:
        return ""
    body = "<h3>Unreadable files</h3>"
    if not found:
        return body + paragraph("Every file could be read.")
    rows = [(text(image), text(reason)) for image, reason in found[:_REASONS]]
    total = max(len(found), facts.get("bad") or 0)
    words = f"{len(rows):,} of {total:,} shown; quarantine.csv has them all."
    left = paragraph(words) if total > len(rows) else ""
    told = table("Unreadable files", ("file", "reason"), rows, words=(0, 1))
    return body + paragraph(f"{count(total, 'file', 'files')} left out.") + more("Which, and why", told + left)


def made(report: Report, facts: Report) -> str:
    """Return the command, the recipe, digests, versions and seconds, and the link that saves report.json."""
    body = ""
    if facts.get("command"):
        body += f"{paragraph('To make it again:')}{_code(facts['command'])}"
    encoded = base64.b64encode(json.dumps(report, allow_nan=False).encode()).decode()
    link = f'<a download="report.json" href="data:application/json;base64,{encoded}">Save report.json</a>'
    body += paragraph(f"{link}: every figure of this page, for machines.")
    if facts.get("recipe_toml"):
        body += more("The recipe", _code(facts["recipe_toml"]))
    stages = facts.get("stages") or []
    if stages:
        rows = [(text(s["name"]), f"<code>{text(s['digest'][:12])}</code>", _seconds(s)) for s in stages]
        body += table("Stages", ("stage", "digest", "seconds"), rows, words=(0, 1))
    versions = [(text(name), text(version)) for name, version in (facts.get("versions") or {}).items()]
    if facts.get("machine"):
        versions.append(("machine", text(facts["machine"])))
    if versions:
        told = table("Versions and machine", ("what", "version"), versions, words=(0, 1))
        body += more("Versions and machine", told)
    return body


def _seconds(stage: Report) -> str:
    return NONE if stage.get("seconds") is None else f"{stage['seconds']:,.1f}"


def _code(words: str) -> str:
    lines = "\n".join(text(line) for line in words.splitlines())
    return f'<pre tabindex="0"><code>{lines}</code></pre>'
