"""The map of the features from a process of its own, which loads scikit-learn while heads are trained.

Loading it takes a second, a tenth of the build of some hundred photos, and one process of Python loads one thing at a
time. Nothing is computed there before it is asked for, so that what is timed meanwhile is not disturbed. Where there is
no such process, or it came to nothing, the map is made in this one.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np

from simsearch.arrays import Floats
from simsearch.evaluation.details.projection import LEAST, MOST, project, stratified
from simsearch.versions import usable_cores

# Its modules are found where this process finds them, and none in the current folder.
CHILD = "import sys; sys.path[:] = sys.argv[1:]; from simsearch.evaluation.details.beside import serve; serve()"
SIDES = ("before", "after")
BROKEN = (OSError, ValueError, KeyError, EOFError)  # of a process that ended in between


class Beside:
    """A process that makes one map; `close` ends it, as does the end of this process, however that came."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to load what a map needs, where another core is there for it."""
        if self._process is None and usable_cores() > 1 and sys.executable:
            pipe = subprocess.PIPE
            with suppress(OSError):
                self._process = subprocess.Popen(
                    [sys.executable, "-c", CHILD, *sys.path], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
                )

    def project(self, before: Floats | None, after: Floats, labels: list[str]) -> dict[str, Any] | None:
        """Return what `projection.project` does, with its defaults."""
        rows = stratified(len(after), labels, MOST, 0)
        if self._process is None or len(rows) < LEAST:
            return project(before, after, labels)
        sent, given = io.BytesIO(), {"after": after[rows]} | ({} if before is None else {"before": before[rows]})
        np.savez(sent, allow_pickle=False, **given)
        try:
            answer, _ = self._process.communicate(sent.getvalue())
            with np.load(io.BytesIO(answer), allow_pickle=False) as found:
                points = {side: found[side] if side in found.files else None for side in SIDES}
                kinds = {side: str(found[f"{side}_kind"]) or None for side in SIDES}
        except BROKEN:
            return project(before, after, labels)
        finally:
            self.close()
        made: dict[str, Any] = {"rows": rows}
        for side in SIDES:  # in the order of project, as files are compared by their bytes
            made |= {side: points[side], f"{side}_kind": kinds[side]}
        return made

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is None:
            return
        self._process.kill()
        with self._process:  # closes the pipes, and waits for it
            self._process = None


def serve() -> None:
    """Load scikit-learn, read what `Beside.project` sends, and answer."""
    import sklearn.manifold  # noqa: F401
    import threadpoolctl  # type: ignore[import-untyped]  # noqa: F401

    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    found = project(given["before"] if "before" in given.files else None, given["after"], None)
    assert found is not None
    points = {side: found[side] for side in SIDES if found[side] is not None}
    kinds = {f"{side}_kind": found[f"{side}_kind"] or "" for side in SIDES}
    answer = io.BytesIO()
    np.savez(answer, allow_pickle=False, **points, **kinds)
    sys.stdout.buffer.write(answer.getvalue())
