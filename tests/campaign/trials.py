"""One trial: an operation, a fault, a moment; and what it finds wrong, against the twin that nothing disturbed."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from commands import run_cli

from campaign.children import ANY, CUT, FAIL, KILL, NOTHING, SYNC, WRITE, Armed, Ended, bodied, can_arm, child, command
from campaign.grounds import Cuttable, Folder, Small
from campaign.scenes import OPERATIONS, Known, Scenes, placed, seen, whole_digest
from simsearch.durable import bytes_below

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
LOG, NO_LOG = 1, 2  # whether the journal still gets to the disk: what was renamed, without what was written
ADVISORY = (".hashes.sqlite", ".checked.json", "/.lock", "/.locks/")  # what costs time alone when it is lost
CHANGED = "pictures"  # what verify says of a folder that went on
SOME = 3  # every so many moments all is verified at the end, and builds are asked whose bytes are as before too
ACKNOWLEDGED = 0.25  # of power cuts, as soon as a command has ended
CALLS = {"kill": ANY, "cut": ANY, "journal": ANY, "fsync": SYNC, "write": WRITE}  # faults at a call
FAULTS = (*CALLS, "clock", "full", "inodes")


@dataclass(frozen=True)
class Trial:
    """`operation/fault/moment`: the number of a call, milliseconds, or the bytes or files that are left."""

    operation: str
    fault: str
    moment: int

    def __str__(self) -> str:
        return f"{self.operation}/{self.fault}/{self.moment}"

    @classmethod
    def parse(cls, text: str) -> Trial:
        """Return the trial that a line of a campaign named; ValueError for anything else."""
        operation, fault, moment = text.rsplit("/", 2)
        return cls(operation, fault, int(moment))


@dataclass
class Found:
    """What a trial found: `wrong` (nothing, where all is well) and whether the fault met the operation at all."""

    wrong: list[str] = field(default_factory=list)
    met: bool = True


@dataclass(frozen=True)
class Twin:
    """An operation that nothing disturbed: what was seen before and after, its calls by kind, seconds, bytes, files."""

    before: dict[str, Any]
    after: dict[str, Any]
    calls: tuple[int, ...]
    seconds: float
    size: int
    files: int


class Field:
    """All that trials need: scenes, the grounds that can be had here, and twins, each made when it is needed."""

    def __init__(self, scenes: Scenes, folder: Folder, cuttable: Cuttable | None, small: Small | None) -> None:
        self.scenes, self.folder, self.cuttable, self.small = scenes, folder, cuttable, small
        self.mutant: Callable[[], None] = lambda: None
        self.kept: dict[str, Any] = {}
        self._twins: dict[str, Twin] = {}
        self._known: dict[str, Known] = {}

    def warm(self) -> None:
        """Do every operation once in this process: what its children need is imported and drawn up by then."""
        for name in OPERATIONS:
            self.begin(name, self.folder)
            run_cli(*placed(OPERATIONS[name].words, self.scenes.work, self.folder.place), check=OPERATIONS[name].code)
        gc.collect()
        gc.freeze()

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults that can be had here."""
        skipped = set() if can_arm() else set(CALLS)
        skipped |= set() if self.cuttable else {"cut", "journal"}
        skipped |= set() if self.small else {"full", "inodes"}
        return tuple(fault for fault in FAULTS if fault not in skipped)

    def twin(self, name: str) -> Twin:
        """Return the undisturbed twin of an operation."""
        if name not in self._twins:
            self.begin(name, self.folder)
            before = self.seen(self.folder)
            size, files = bytes_below(self.folder.place), sum(1 for _ in self.folder.place.rglob("*"))
            started = time.monotonic()
            ended = self.run(name, self.folder, armed=Armed(NOTHING, 0, self.folder.place))
            assert ended.code == OPERATIONS[name].code, ended.err
            seconds = time.monotonic() - started
            size, files = bytes_below(self.folder.place) - size, sum(1 for _ in self.folder.place.rglob("*")) - files
            self._twins[name] = Twin(before, self.seen(self.folder), ended.calls, seconds, size, files)
        return self._twins[name]

    def drawn(self, chosen: random.Random, operation: str, fault: str) -> Trial:
        """Return a trial at a moment that is drawn; 0 is after the end."""
        twin = self.twin(operation)
        if fault == "clock":
            return Trial(operation, fault, round(chosen.uniform(0, 1.1) * twin.seconds * 1000))
        if fault == "full":
            return Trial(operation, fault, chosen.randrange(max(twin.size, 0) + (128 << 10)))
        if fault == "inodes":
            return Trial(operation, fault, chosen.randrange(max(twin.files, 0) + 8))
        calls = max(1, twin.calls[CALLS[fault]])
        if fault in ("cut", "journal") and chosen.random() < ACKNOWLEDGED:
            return Trial(operation, fault, 0)
        return Trial(operation, fault, chosen.randint(1, calls))

    def tried(self, trial: Trial) -> Found:
        """Do a trial."""
        twin, name = self.twin(trial.operation), trial.operation
        ground, found = self._ground(trial.fault), Found()
        often = trial.moment % SOME == 0
        known = None if often else self.known(OPERATIONS[name].scene)
        self.begin(name, ground)
        ended = self._disturbed(trial, ground)
        found.met = bool(ended.met) or ended.code < 0 or trial.fault in ("full", "inodes", "cut", "journal")
        state = self.seen(ground, known)
        found.wrong += self._judged(trial, twin, ended, state)
        again = self.run(name, ground)
        done = OPERATIONS[name].done
        if again.code != OPERATIONS[name].code and not (done and done in again.err and state == twin.after):
            found.wrong.append(f"the same command does not go on: exit {again.code}: {again.err[-600:]}")
        elif (last := self.seen(ground, known)) != twin.after:
            found.wrong.append(f"the same command ends elsewhere: {difference(last, twin.after)}")
        if often:
            found.wrong += self.unsound(name, ground, half_done=again.code == OPERATIONS[name].code)
        ground.end()
        return found

    def _ground(self, fault: str) -> Folder:
        if fault in ("cut", "journal"):
            assert self.cuttable is not None, "no power can be cut here"
            return self.cuttable
        if fault in ("full", "inodes"):
            assert self.small is not None, "no disk can be filled here"
            return self.small
        return self.folder

    def begin(self, name: str, ground: Folder) -> None:
        """Put the home that an operation begins with into a ground."""
        scene = OPERATIONS[name].scene
        ground.begin(scene, partial(self.scenes.copy, scene))

    def run(self, name: str, ground: Folder, **options: Any) -> Ended:
        """Run an operation in a child, to its end or what befalls it."""
        return child(self.body(name, ground), **options)

    def body(self, name: str, ground: Folder) -> Callable[[], None]:
        """Return what a child does that is an operation."""
        return bodied(placed(OPERATIONS[name].words, self.scenes.work, ground.place), self.mutant)

    def seen(self, ground: Folder, known: Known | None = None) -> dict[str, Any]:
        """Return what anybody can see in a ground."""
        return seen(self.scenes.work, ground.place, self.mutant, known)

    def known(self, scene: str) -> Known:
        """Return what the builds of a scene show; those whose bytes are all as they were need not be asked again."""
        if scene not in self._known:
            self.folder.begin(scene, partial(self.scenes.copy, scene))
            builds = sorted((self.folder.place / "home" / "builds").glob("*.json"))
            state = seen(self.scenes.work, self.folder.place)
            self._known[scene] = {whole_digest(path): state[path.stem] for path in builds}
        return self._known[scene]

    def _disturbed(self, trial: Trial, ground: Folder) -> Ended:
        run, at = partial(self.run, trial.operation, ground), trial.moment
        if trial.fault == "clock":
            return run(kill_after=at / 1000)
        if isinstance(ground, Small):
            ground.left(**{"size" if trial.fault == "full" else "files": at})
            ended = run()
            ground.left()
            return ended
        if isinstance(ground, Cuttable):
            disk, flags = ground.handle(), LOG if trial.fault == "journal" else NO_LOG
            ended = run(armed=Armed(CUT, at, ground.place, disk=disk, flags=flags))
            if not ended.met:
                fcntl.ioctl(disk, SHUTDOWN, flags.to_bytes(4, "little"))
            ground.back()
            return ended
        action = KILL if trial.fault == "kill" else FAIL
        return run(armed=Armed(action, at, ground.place, CALLS[trial.fault], errno.EIO))

    def _judged(self, trial: Trial, twin: Twin, ended: Ended, state: dict[str, Any]) -> list[str]:
        """What is wrong with how it ended, and with what is seen then."""
        wrong = []
        where = ended.met or f"exit {ended.code}"
        if "Traceback" in ended.err:
            wrong.append(f"a traceback: {ended.err[-800:]}")
        meant = OPERATIONS[trial.operation].code
        if ended.code > 0 and ended.code != meant and (ended.code != 2 or ended.err.count("error: ") != 1):
            wrong.append(f"exit {ended.code}, expected 2 and one line: {ended.err[-400:]}")
        if ended.code < 0 and trial.fault in ("full", "inodes", "fsync", "write"):
            wrong.append(f"a signal: {ended.code}")
        if (
            ended.code == meant
            and trial.fault == "fsync"
            and ended.met
            and not any(one in ended.met for one in ADVISORY)
        ):
            wrong.append(f"a failed fsync was no failed commit: {ended.met}")
        if ended.code == meant and state != twin.after:
            wrong.append(f"lost what was acknowledged ({where}): {difference(state, twin.after)}")
        elif state not in (twin.before, twin.after):
            wrong.append(f"torn ({where}): {difference(state, twin.before)} | {difference(state, twin.after)}")
        return wrong

    def unsound(self, name: str, ground: Folder, *, half_done: bool = True) -> list[str]:
        """Return what verify says of the builds, and what was left half-done by a command that went on."""
        home, wrong = ground.place / "home", []
        for build in OPERATIONS[name].builds:
            words = ["index", "verify", build.format(work=self.scenes.work), "--json", "--home", home]
            done = command(words, self.mutant)
            checks = [json.loads(line) for line in done.out.splitlines()]
            said = [one for one in checks if one["ok"] is False and one["check"] != CHANGED]
            if said or not checks:
                wrong.append(f"verify says no: {said} {done.err}")
        if half_done and (left := [str(path.relative_to(home)) for path in home.glob("artifacts/*/.partial-*")]):
            wrong.append(f"left half-done: {left}")
        return wrong


def difference(one: Any, other: Any, place: str = "") -> str:
    """Say where two states differ first, in a line."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return difference(one.get(key), other.get(key), f"{place}/{key}")
    return f"{place}: {str(one)[:300]!r}, expected {str(other)[:120]!r}"


def opened(scenes: Scenes, root: Path) -> tuple[Field, list[str]]:
    """Return the field of trials with the grounds that can be had, and a line for each that cannot."""
    grounds: dict[type[Folder], Any] = {}
    skipped = [] if can_arm() else ["no compiler (cc): kills by the clock alone, no failing calls"]
    for kind in (Cuttable, Small):
        try:
            grounds[kind] = kind(root)
        except OSError as error:
            skipped.append(f"no {kind.NAME}, which needs root: {error}")
    return Field(scenes, Folder(root), grounds.get(Cuttable), grounds.get(Small)), skipped
