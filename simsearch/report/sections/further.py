"""What one does after reading a report: ask, keep it in step, and make it better where that can be said."""

from __future__ import annotations

import shlex
from typing import Any

from simsearch.names import build_name
from simsearch.page.html import count, get
from simsearch.report.verdict import LEAST_QUERIES

Report = dict[str, Any]

_ENOUGH = 0.9  # of a label's queries find it first: no weak label
_NAME_LEFT = 54  # of the 64 characters of a build's name


def steps(report: Report, facts: Report) -> list[tuple[str, str]]:
    """Return what to do next, each as (words, command or ""), what helps most people first."""
    name = report["build"]
    asked = "--vectors FILE.npy" if facts.get("vectors") else "IMAGE"
    found = [("Ask for the nearest to a picture of yours:", f"simsearch query {asked} --build {name}")]
    if facts.get("vectors"):
        found = [("Ask for the nearest to vectors of yours:", found[0][1])]
    if facts.get("of_files"):
        found.append(("After pictures were added, changed or deleted:", f"simsearch sync --build {name}"))
    if weak := _weakest(report):
        found.append((weak, ""))
    if facts.get("head") and facts.get("command"):
        words = "Train the backbone too, not just the head; that takes far longer and often finds more:"
        found.append((words, _fine_tuned(facts["command"], name)))
    return found


def _weakest(report: Report) -> str | None:
    """Return which label needs more pictures; None where none is weak, or has enough queries to say so."""
    first = str(report["k"][0])
    known = [
        (share, entry["label"], entry["queries"])
        for entry in report.get("per_class") or []
        if entry["queries"] >= LEAST_QUERIES and (share := get(entry, "recall", first)) is not None
    ]
    if not known or (worst := min(known))[0] >= _ENOUGH:
        return None
    share, label, queries = worst
    where = "first" if first == "1" else f"among the first {first}"
    found = f"{round(share * queries)} of its {count(queries, 'query', 'queries')} find it {where}"
    return f"More pictures of {label}, the weakest label: {found}."


def _fine_tuned(command: str, name: str) -> str:
    """Return the command of a build with another training, without what was set for the head's."""
    words, kept = shlex.split(command), []
    while words:
        word = words.pop(0)
        if word in ("--set", "--name"):
            value = words.pop(0)
            if word == "--set" and (not value.startswith("training.") or value.startswith("training.seed")):
                kept += [word, value]
        elif word != "--retrain":
            kept.append(word)
    return shlex.join([*kept, "--set", "embedder.train=all", "--name", f"{build_name(name[:_NAME_LEFT])}-finetuned"])
