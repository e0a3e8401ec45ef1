"""A night written: as one JSON document and as the files that people read; and the whole history as rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simsearch.bench.history.history import History
from simsearch.bench.outputs import junit_xml, nightly_markdown, trend_page
from simsearch.bench.outputs.contents import by_loss
from simsearch.bench.records import Finding, NightFigure, Result, Story
from simsearch.durable import write_durably
from simsearch.errors import RecipeError
from simsearch.names import build_name

SUFFIXES = (".csv", ".jsonl")
CAUSE = ("stage", "why", "classes", "queries")
STAGES = ("dataset", "train", "embed", "index")
PAGES = {
    "markdown": ("nightly.md", nightly_markdown),
    "junit": ("junit.xml", junit_xml),
    "trend": ("trend.html", trend_page),
}


def publish(story: Story, folder: Path) -> dict[str, str]:
    """Write the pages of a night and the pictures of causes, each whole or not at all; return their paths by name."""
    files = {}
    for key, (name, page) in PAGES.items():
        write_durably(folder / name, page(story).encode("utf-8", "backslashreplace"))
        files[key] = str(folder / name)
    for old in folder.glob("cause-*.png"):
        old.unlink()
    pictures: dict[bytes, str] = {}
    for finding in by_loss(story.verdict.worse):
        if finding.cause is not None and finding.cause.picture is not None:
            pictures.setdefault(finding.cause.picture, finding.cell)
    for number, (picture, cell) in enumerate(pictures.items(), 1):
        path = folder / f"cause-{number}-{build_name(cell)}.png"
        write_durably(path, picture)
        files[f"cause {number}"] = str(path)
    return files


def night_json(story: Story, files: Mapping[str, str]) -> dict[str, Any]:
    """Return what `simsearch bench --json` prints; `files` are the paths of what people read."""
    night, verdict = story.night, story.verdict
    return {
        "schema": 1,
        "night": night.number,
        "verdict": verdict.outcome,
        "exit": verdict.code,
        "accepted": None if story.accepted is None else story.accepted.number,
        **{name: getattr(night, name) for name in ("started", "finished", "commit", "machine", "fingerprint")},
        "versions": dict(night.versions),
        "cells": [_measured(result) for result in story.results],
        "findings": [_finding(finding) for finding in verdict.findings],
        "regressions": [_finding(finding) for finding in verdict.worse],
        "failed": [{"cell": r.cell.name, "stage": r.stage, "error": r.error} for r in verdict.failed],
        "dropped": [cell.name for cell in verdict.dropped],
        **{name: list(getattr(verdict, name)) for name in ("new", "gone", "notes")},
        "files": dict(files),
    }


def history_rows(history: History) -> Iterator[dict[str, Any]]:
    """Yield a row a figure of every night, with what is known of its night and its cell."""
    accepted = {number for number, _, _ in history.accepts()}
    nothing = dict.fromkeys(asdict(NightFigure("", None, "", 0.0)))
    for night in history.nights():
        about = {
            "night": night.number, "started": night.started, "finished": night.finished, "verdict": night.verdict,
            "accepted": night.number in accepted, "commit": night.commit, "code": night.code, "matrix": night.matrix,
            "machine": night.machine, "fingerprint": night.fingerprint,
        }  # fmt: skip
        versions = {f"version_{name}": text for name, text in night.versions.items()}
        for result in history.results(night.number, per_query=False):
            cell = {**about, **_cell(result), "search": json.dumps(dict(result.cell.search))}
            stages = [*STAGES, *(stage for stage in ("defects",) if stage in result.digests)]
            digests = {f"digest_{stage}": result.digests.get(stage, {}).get("content") for stage in stages}
            for figure in [asdict(figure) for figure in result.figures] or [nothing]:
                yield {**cell, **figure, **digests, **versions}


def export(history: History, out: Path) -> int:
    """Write the history to a .csv or .jsonl file, whole or not at all; return the number of rows."""
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
    }  # fmt: skip


def _measured(result: Result) -> dict[str, Any]:
    figures = [asdict(figure) for figure in result.figures]
    return {**_cell(result), "digests": result.digests, "seconds": result.seconds, "figures": figures}


def _finding(found: Finding) -> dict[str, Any]:
    row = asdict(found)
    cause = row.pop("cause") or dict.fromkeys(CAUSE) | {"classes": [], "queries": []}
    return row | {key: cause[key] for key in CAUSE}
