"""What lies under a build's name for people, report.json and report.html: whether it is of the build, and whole.

Both are copies: the program itself reads the artifacts. The last line of a page names what it shows, and bears the
sha256 of the rest; a copy that is missing, damaged or of another state of the build is made anew by the next build.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from simsearch.artifacts import digest_of
from simsearch.durable import write_durably
from simsearch.evaluation.vote import VERDICT
from simsearch.home import Build

LAST = re.compile(rb"(?s)(.*)<!-- of ([0-9a-f]{64}) sha256 ([0-9a-f]{64}) -->\n")
SAVED = re.compile(rb"data:application/json;base64,([A-Za-z0-9+/=]+)")  # report.json in it, which people can save


def publish_report(build: Build, report: dict[str, Any]) -> None:
    """Write report.json under the build's name, for people and their scripts, unless it says just that."""
    if report_fault(build, report):
        write_durably(build.report_path, json.dumps(report, indent=1).encode())


def report_fault(build: Build, report: dict[str, Any]) -> str | None:
    """Return what is wrong with the report.json under the build's name; None where it says what `report` does."""
    try:
        beside = json.loads(build.report_path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return f"{build.report_path} is missing or damaged"
    return None if beside == report else f"{build.report_path} is not the report of the build"


def sealed_page(build: Build, page: str) -> bytes:
    """Return the bytes of report.html: the page, and a last line of what it shows and its sha256."""
    data = page.rstrip("\n").encode("utf-8", "backslashreplace") + b"\n"
    return data + f"<!-- of {_shown(build)} sha256 {hashlib.sha256(data).hexdigest()} -->\n".encode()


def page_fault(build: Build, report: dict[str, Any]) -> str | None:
    """Return what is wrong with report.html under the build's name; None where it is whole and shows the build.

    A page that an older simsearch drew has no seal: it counts where the report in it is the build's.
    """
    path = build.page_path
    try:
        data = path.read_bytes()
    except OSError:
        return f"{path} is missing"
    if last := LAST.fullmatch(data):
        if hashlib.sha256(last[1]).hexdigest() != last[3].decode():
            return f"{path} is damaged: its sha256 differs from the one that it bears"
        shows = last[2].decode() == _shown(build)
    elif data.rstrip().endswith(b"</html>"):
        shows = _saved(data) == report
    else:
        return f"{path} is damaged: it has no end"
    return None if shows else f"{path} shows another state of the build"


def _shown(build: Build) -> str:
    """Return the digest of what a page shows: which build, of when, and the artifacts that its report is read from."""
    stages = build.record.stages
    judged = [stages[VERDICT]] if VERDICT in stages else []  # no page of before says anything of it
    return digest_of([build.name, build.when, *(stages.get(stage) for stage in ("evaluate", "seeds")), *judged])


def _saved(page: bytes) -> Any:
    found = SAVED.search(page)
    try:
        return None if found is None else json.loads(base64.b64decode(found[1]))
    except ValueError:
        return None
