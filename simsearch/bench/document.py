"""A night as one JSON document, and the whole history as rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simsearch.artifacts import write_durably
from simsearch.bench.history.history import History
from simsearch.bench.records import Finding, Loser, Result, Story
from simsearch.errors import RecipeError

SUFFIXES = (".csv", ".jsonl")


def night_json(story: Story, files: Mapping[str, str]) -> dict[str, Any]:
    """What `simsearch bench --json` prints; `files` are the paths of what people read."""
    night, verdict = story.night, story.verdict
    return {
        "schema": 1,
        "night": night.number,
        "verdict": verdict.outcome,
        "exit": verdict.code,
        "accepted": None if story.accepted is None else story.accepted.number,
        "started": night.started,
        "finished": night.finished,
        "commit": night.commit,
        "machine": night.machine,
        "fingerprint": night.fingerprint,
        "versions": dict(night.versions),
        "cells": [_cell(result) for result in story.results],
        "findings": [_finding(finding) for finding in verdict.findings],
        "regressions": [_finding(finding) for finding in verdict.worse],
        "failed": [{"cell": r.cell.name, "stage": r.stage, "error": r.error} for r in verdict.failed],
        "dropped": [cell.name for cell in verdict.dropped],
        "new": list(verdict.new),
        "gone": list(verdict.gone),
        "notes": list(verdict.notes),
        "files": dict(files),
    }


def history_rows(history: History) -> Iterator[dict[str, Any]]:
    """A row a figure of every night, with what is known of its night and its cell."""
    accepted = {number for number, _, _ in history.accepts()}
    for night in history.nights():
        about = {
            "night": night.number, "started": night.started, "finished": night.finished, "verdict": night.verdict,
            "accepted": night.number in accepted, "commit": night.commit, "code": night.code, "matrix": night.matrix,
            "machine": night.machine, "fingerprint": night.fingerprint,
        }  # fmt: skip
        versions = {f"version_{name}": text for name, text in night.versions.items()}
        for result in history.results(night.number, per_query=False):
            cell = result.cell
            of_cell = {
                "cell": cell.name, "recipe": cell.recipe, "seed": cell.seed, "factory": cell.factory,
                "search": json.dumps(dict(cell.search)), "status": result.status, "stage": result.stage,
                "error": result.error,
            }  # fmt: skip
            digests = {
                f"digest_{stage}": result.digests.get(stage, {}).get("content")
                for stage in ("dataset", "train", "embed", "index")
            }
            for figure in result.figures or (None,):
                values = dict.fromkeys(("metric", "k", "scope", "value", "low", "high", "n"))
                yield {**about, **of_cell, **(values if figure is None else asdict(figure)), **digests, **versions}


def export(history: History, out: Path) -> int:
    """Write the history to a .csv or .jsonl file, whole or not at all; returns the number of rows."""
    if out.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"--export takes a .csv or .jsonl file, seen {str(out)!r}", hint="as --export nights.csv")
    rows = list(history_rows(history))
    if out.suffix.lower() == ".jsonl":
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    else:
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
        text = file.getvalue()
    write_durably(out, text.encode("utf-8", "backslashreplace"))
    return len(rows)


def _cell(result: Result) -> dict[str, Any]:
    cell = result.cell
    return {
        "cell": cell.name, "recipe": cell.recipe, "seed": cell.seed, "factory": cell.factory,
        "search": dict(cell.search), "status": result.status, "stage": result.stage, "error": result.error,
        "digests": {stage: dict(reference) for stage, reference in result.digests.items()},
        "seconds": dict(result.seconds), "figures": [asdict(figure) for figure in result.figures],
    }  # fmt: skip


def _finding(found: Finding) -> dict[str, Any]:
    cause = found.cause
    return {
        "cell": found.cell, "metric": found.metric, "k": found.k, "scope": found.scope, "before": found.before,
        "after": found.after, "difference": found.difference,
        "interval": None if found.interval is None else list(found.interval), "p_value": found.p_value,
        "p_holm": found.p_holm, "n": found.n, "worse": found.worse, "better": found.better,
        "stage": None if cause is None else cause.stage, "why": None if cause is None else cause.why,
        "classes": [_loser(loser) for loser in ([] if cause is None else cause.classes)],
        "queries": [_loser(loser) for loser in ([] if cause is None else cause.queries)],
    }  # fmt: skip


def _loser(loser: Loser) -> dict[str, Any]:
    return asdict(loser)
