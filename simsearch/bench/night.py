"""A night, from beginning to verdict: measured cell by cell, continued after a kill, bounded in time, then judged.

Order: begin (or continue) -> every cell measured and recorded -> gate -> causes -> the end recorded, and only then
what people read is written and old scratch areas go. A kill anywhere leaves recorded cells recorded, and finished
artifacts of the cell at hand in the scratch area, where the next run finds them.
"""

from __future__ import annotations

import datetime as dt
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from simsearch.bench.causes.detective import Detective
from simsearch.bench.history.history import History
from simsearch.bench.judging.compared import Pair
from simsearch.bench.judging.gate import AGAIN_REPEATS, judge, pair_cells
from simsearch.bench.matrix import Matrix
from simsearch.bench.measuring import machine
from simsearch.bench.measuring.measure import run_cell, speed_again
from simsearch.bench.measuring.scratch import NightHome, remove_nights
from simsearch.bench.measuring.speed import Reference
from simsearch.bench.measuring.stand_in import redrawn, stand_in
from simsearch.bench.measuring.standing import changed_embedders
from simsearch.bench.outputs.words import cells
from simsearch.bench.records import Cell, Night, NightFigure, Result, Story, Verdict
from simsearch.console import Progress, safe
from simsearch.errors import ArtifactError
from simsearch.home import LOCK, Home
from simsearch.locks import Holder, Lock
from simsearch.pipeline.plan import now
from simsearch.versions import versions

FIRST_REASON = "the first night"
TREND_NIGHTS = 90
LOOKED_BACK = 10  # nights that tell how long a cell takes
MOST_SECONDS = 10 * 365 * 86_400.0  # that a timer of the system takes


@dataclass(frozen=True)
class Job:
    """The nightly job of one home and history; its scratch areas lie below `folder`. It reports to `progress`."""

    home: Home
    history: History
    matrix: Matrix
    progress: Progress = field(default_factory=Progress)

    @property
    def folder(self) -> Path:
        """Return the scratch areas of this history."""
        return self.home.path / "bench" / self.history.identity

    @property
    def reports(self) -> Path:
        """Return where what people read is written: the last night's."""
        own = self.history.path == self.home.path / "bench" / "history.sqlite"
        return self.home.path / "bench" / ("latest" if own else f"latest-{self.history.identity}")

    def run(self) -> Story:
        """Measure tonight's cells, or those that a killed night left, judge them, record all that, and return it."""
        self.home.prepare_environment()
        with Lock(self.folder / LOCK) as lock:
            lock.take("bench", self._waiting)
            return self._run()

    def _waiting(self, who: Callable[[], Holder]) -> AbstractContextManager[None]:
        self.progress.say(f"Waiting for {safe(str(who()))}: one night at a time")
        return self.progress.waiting(lambda: safe(str(who())))

    def _run(self) -> Story:
        history = self.history
        night = self._begin()
        started = time.monotonic()
        accepted = history.accepted()
        # Read before hours are spent: a damaged history is reported at once.
        before = history.results(accepted.number) if accepted is not None else []
        measured = self._measure(night, started)
        verdict = self._judge(night, measured, accepted, before, started)
        first = accepted is None and verdict.outcome == "pass"
        changed, unseen = changed_embedders(self.home, self.progress)
        if changed:
            first, verdict = False, replace(verdict, outcome="regression")
        verdict = replace(verdict, notes=(*changed, *unseen, *verdict.notes, *self._notes(night, accepted, first)))
        history.end(night.number, now(), verdict, accepted=FIRST_REASON if first else None)
        finished = next(one for one in history.nights() if one.number == night.number)
        # Causes are looked for in the scratch areas of the accepted and of the last night.
        held = history.accepted()
        remove_nights(self.folder, {finished.folder} | (set() if held is None else {held.folder}))
        accepts = {number: reason for number, _, reason in history.accepts()}
        return Story(finished, accepted, tuple(measured), verdict, tuple(trend(history)), accepts)

    def _begin(self) -> Night:
        """Return the night to go on with: the one that was killed, when it had the same code, matrix and machine."""
        words, fingerprint = machine.machine()
        made_by = {name: None if text is None else str(text) for name, text in versions().items()}
        code = machine.code_digest()
        tonight = Night(0, now(), machine.commit(), code, self.matrix.digest, words, fingerprint, made_by)
        left = self.history.unfinished()
        if left is not None:
            if _like(left) == _like(tonight):
                self.progress.say(f"Going on with night {left.number}, begun {left.started[:16]}")
                return left
            self.progress.say(
                f"Night {left.number} was never finished, and code, matrix or machine are others now: a new one begins"
            )
            self.history.end(left.number, now(), None, ["never finished"])
        night = self.history.begin(tonight)
        self.progress.say(f"Night {night.number}: {cells(len(self.matrix.cells))}, home {safe(str(self.home.path))}")
        return night

    def _measure(self, night: Night, started: float) -> list[Result]:
        """Return every cell's result, recorded one by one; those that no time is left for as dropped."""
        history, reference = self.history, Reference()
        scratch = self._scratch(night)
        scratch.store.clean_up()
        known = history.cell_names(night.number)
        affordable = self._affordable(night)
        limit = self.matrix.limits.seconds
        try:
            for number, cell in enumerate(self.matrix.cells, 1):
                if cell.name in known:
                    continue
                left = limit - (time.monotonic() - started)
                result = Result(cell, "dropped", error=f"no time left of {limit:,g} s")
                if left > 0 and cell.name in affordable:
                    self.progress.say(f"Cell {number} of {len(self.matrix.cells)}: {safe(cell.name)}")
                    with suppress(OutOfTimeError), bounded(left):
                        result = run_cell(cell, scratch, self.home, reference)
                if result.status == "dropped":
                    self.progress.say(f"DROPPED       {safe(cell.name)}: {result.error}")
                history.record(night.number, result)
        finally:
            self.home.memory.close()
        order = {cell.name: i for i, cell in enumerate(self.matrix.cells)}
        results = [result for result in history.results(night.number) if result.cell.name in order]
        return sorted(results, key=lambda result: order[result.cell.name])

    def _affordable(self, night: Night) -> set[str]:
        """Return which cells fit into the limit, by what each took last: the last of the matrix are left out first."""
        took: dict[str, float] = {}
        for earlier in self.history.nights()[-LOOKED_BACK:]:
            if earlier.number != night.number and earlier.fingerprint == night.fingerprint:
                took |= _own_seconds(self.history.results(earlier.number, per_query=False))
        total, names = 0.0, set()
        for cell in self.matrix.cells:
            total += took.get(cell.name, 0.0)
            if total > self.matrix.limits.seconds:
                break
            names.add(cell.name)
        return names

    def _judge(
        self, night: Night, results: Sequence[Result], accepted: Night | None, before: Sequence[Result], started: float
    ) -> Verdict:
        scratch = self._scratch(night)

        def again(cell: Cell) -> Sequence[NightFigure] | None:
            self.progress.say(f"Timing again: {safe(cell.name)}")
            result = next(result for result in results if result.cell == cell)
            return speed_again(result, scratch, Reference(), AGAIN_REPEATS)

        if accepted is None:
            return judge(self.matrix, None, (night, results), again)
        pairs = pair_cells([r for r in before if r.status == "measured"], list(results))[0]
        place = NightHome(self.folder / f"{night.folder}-accepted", self.home, self.progress)
        stand_ins = self._stand_ins(accepted, night, pairs, place, started)
        verdict = judge(self.matrix, (accepted, before), (night, results), again, stand_ins)
        detective = Detective(self._scratch(accepted), scratch, (place, stand_ins))
        findings = tuple(detective.explain((*verdict.findings, *detective.agreement(pairs)), pairs))
        verdict = replace(verdict, findings=findings, notes=(*verdict.notes, *dict.fromkeys(detective.notes)))
        return replace(verdict, outcome="regression") if verdict.worse else verdict

    def _stand_ins(
        self, accepted: Night, night: Night, pairs: Sequence[Pair], place: NightHome, started: float
    ) -> dict[str, Result]:
        """Return the accepted embedders under tonight's versions, for the cells whose training was drawn anew."""
        old, new = self._scratch(accepted), self._scratch(night)
        found = {}
        for before, after in pairs:
            if redrawn((accepted, old, before), (night, new, after)):
                name = after.cell.name
                self.progress.say(f"Accepted embedder, tonight's versions: {safe(name)}")
                found[name] = Result(after.cell, "dropped", error="no time left")
                left = self.matrix.limits.seconds - (time.monotonic() - started)
                with suppress(OutOfTimeError), bounded(left):
                    found[name] = stand_in(after, old, place, self.home)
        return found

    def _notes(self, night: Night, accepted: Night | None, first: bool) -> Iterator[str]:
        earlier = [one for one in self.history.nights() if one.number < night.number]
        if earlier and dt.datetime.fromisoformat(night.started) < dt.datetime.fromisoformat(earlier[-1].started):
            last = earlier[-1]
            yield f"the clock went back: night {last.number} began {last.started[:19]}; nights are ordered by number"
        if accepted is None:
            if first:
                yield "accepted: this first night is what later ones are held against"
            else:
                yield "no night is accepted yet, so nothing was judged: the first that passes is accepted by itself"
            return
        for name, before in accepted.versions.items():
            after = night.versions.get(name)
            if before != after:
                yield f"{name} {before} -> {after} since the accepted night"
        if accepted.code != night.code:
            yield "simsearch's own code is another one than in the accepted night"

    def _scratch(self, night: Night) -> NightHome:
        return NightHome(self.folder / night.folder, self.home, self.progress)


class OutOfTimeError(BaseException):
    """Raised in the main thread when the time is over. No `except Exception` on the way may keep it."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError in the block when its time is over; in other threads than the main one there is no bound.

    It acts as Ctrl-C does: what the block finished stays, what it was in is given up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, MOST_SECONDS))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)


def accept(history: History, reason: str) -> Night:
    """Make the last finished night what later nights are held against; return it.

    Raises ArtifactError when there is no such night, or nothing was measured in it.
    """
    finished = [night for night in history.nights() if night.verdict not in (None, "abandoned")]
    if not finished:
        raise ArtifactError(f"no finished night in {history.path}", hint="simsearch bench measures one")
    night = finished[-1]
    if not any(result.status == "measured" for result in history.results(night.number, per_query=False)):
        raise ArtifactError(
            f"night {night.number} measured nothing that others could be held against",
            hint="mend what failed, and run simsearch bench again",
        )
    history.accept(night.number, now(), reason)
    return night


def trend(history: History) -> Iterator[tuple[Night, tuple[Result, ...]]]:
    """Yield the last finished nights with their figures, and the accepted one, oldest first."""
    nights, accepted = history.nights(), history.accepted()
    for night in nights:
        recent = night.number > nights[-1].number - TREND_NIGHTS
        if night.verdict is not None and (recent or (accepted is not None and night.number == accepted.number)):
            yield night, tuple(history.results(night.number, per_query=False))


def _like(night: Night) -> tuple[object, ...]:
    return night.code, night.matrix, night.fingerprint, dict(night.versions)


def _own_seconds(results: Sequence[Result]) -> dict[str, float]:
    """Return seconds by cell: an artifact that several cells of a night share counts for the first of them."""
    seen: set[str] = set()
    took = {}
    for result in results:
        if result.status == "measured":
            new = [stage for stage in result.seconds if str(result.digests[stage]["digest"]) not in seen]
            took[result.cell.name] = sum(result.seconds[stage] for stage in new if stage != "dataset")
            seen |= {str(reference["digest"]) for reference in result.digests.values()}
    return took
