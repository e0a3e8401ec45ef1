"""report.json of a build, read from its artifacts; a copy for people is written when the build gets a name.

The program itself never reads the copy: the one rename of the build's file switches what it reports.
"""

from __future__ import annotations

import json
from typing import Any

from simsearch.evaluation.vote import VERDICT, VERDICT_FILE
from simsearch.home import SEEDS_FILE, Build, Home, Record
from simsearch.report.published import publish_report
from simsearch.report.summary import summarize

KNOWN = "neighbours"  # the stage of a build of vectors whose file brings neighbours


def report_of(build: Build) -> dict[str, Any]:
    """Return report.json of a build (design: section 5), with what other seeds of its recipe add to it.

    Raises ArtifactError for a provisional build, which has none, and for damaged artifacts.
    """
    stages = build.whole().record.stages
    with Home(build.home).reading() as store:
        evaluated = store.open("evaluate", **stages["evaluate"])
        known = store.open(KNOWN, **stages[KNOWN]) if KNOWN in stages else None
        judged = store.open(VERDICT, **stages[VERDICT]) if VERDICT in stages else None
        over_seeds = store.open("seeds", **stages["seeds"]) if "seeds" in stages else None
    report = {**json.loads(evaluated.file("report.json").read_bytes()), "build": build.name, "seeds": None}
    if known is not None:  # the stored report of a build of vectors does not know of its file
        report["file_neighbours"] = known.facts
    if judged is not None:
        report[VERDICT] = json.loads(judged.file(VERDICT_FILE).read_bytes())
    if over_seeds is not None:
        found = json.loads(over_seeds.file(SEEDS_FILE).read_bytes())
        report |= {"comparisons": report["comparisons"] + found["comparisons"], "seeds": found["seeds"]}
        report["summary"] = summarize(report)  # the stored one knows of a single seed
    return report


def name_build(home: Home, name: str, record: Record) -> Build:
    """Name a set of artifacts, from one moment to the next and durably; then what people read of it is made to follow.

    Raises ArtifactError when its report is damaged: then nothing is named.
    """
    report = report_of(Build(name, home.path, record))
    build = home.write_build(name, record)
    build.page_path.unlink(missing_ok=True)  # it shows what the name stood for before
    publish_report(build, report)
    return build
