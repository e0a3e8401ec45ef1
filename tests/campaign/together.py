"""Two commands and a reader on one home at once, one killed at times; a picture that changes while it is read."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.children import KILL, Armed, Ended, asked, command, start
from campaign.scenes import OPERATIONS, answers, placed
from campaign.trials import CHANGED, Field, Found, Trial, difference

# Each pair ends as either order of the two would: they are of different builds, or the same command.
PAIRS = tuple(
    f"{one}+{other}"
    for one, other in (
        ("sync", "sync"), ("sync", "build"), ("sync", "import"), ("sync", "remove"), ("sync", "clean"),
        ("sync", "accept"), ("build", "build"), ("build", "remove"), ("import", "import"), ("fit", "import"),
        ("switch", "build"), ("build", "clean"), ("import", "clean"),
    )
)  # fmt: skip
MOVED = "class 1/new.png"  # what changes under a sync


def drawn(chosen: random.Random, field: Field) -> Trial:
    """Return a pair, the first killed at a call in half of the trials, and the milliseconds that it begins before."""
    pair = chosen.choice(PAIRS)
    calls = field.twin(pair.partition("+")[0]).calls[0]
    call = chosen.randint(1, calls) if chosen.random() < 0.5 else 0
    return Trial(f"{pair}:{call}", "together", chosen.randrange(400))


def tried(field: Field, trial: Trial) -> Found:
    """Run two commands at once, and a reader; then each again, which ends as they would one after the other."""
    pair, _, call = trial.operation.partition(":")
    names, ground, found = pair.split("+"), field.folder, Found()
    field.begin(names[0], ground)
    base = field.twin(names[0]).before
    wanted = _together(base, *(field.twin(name).after for name in names))
    killed = Armed(KILL, int(call), ground.place) if int(call) else None
    _, first_ends = start(field.body(names[0], ground), killed)
    time.sleep(trial.moment / 1000)
    _, second_ends = start(field.body(names[1], ground))
    _, reader_ends = start(_reader(field, ground.place / "home"))
    ended = [first_ends(), second_ends(), reader_ends()]
    found.met = killed is None or ended[0].code < 0
    found.wrong += _judged(ended, killed is not None)
    found.wrong += _read(ended[2], base, wanted)
    for name in names:
        again = field.run(name, ground)
        if again.code != OPERATIONS[name].code and OPERATIONS[name].done not in again.err[:200]:
            found.wrong.append(f"{name} does not go on: exit {again.code}: {again.err[-600:]}")
    if (last := field.seen(ground)) != wanted:
        found.wrong.append(f"they end elsewhere: {difference(last, wanted)}")
    found.wrong += field.unsound(names[0], ground)
    ground.end()
    return found


def _together(base: dict[str, Any], *after: dict[str, Any]) -> dict[str, Any]:
    """What two commands leave together: of each what it changed."""
    whole = dict(base)
    for state in after:
        for key in base.keys() | state.keys():
            if state.get(key) != base.get(key):
                whole.pop(key, None)
                whole.update({key: state[key]} if key in state else {})
    return whole


def _judged(ended: list[Ended], killed: bool) -> list[str]:
    wrong = []
    for number, one in enumerate(ended):
        said = one.code == 2 and one.err.count("error: ") == 1
        if "Traceback" in one.err or not (one.code in (0, 1) or said or (killed and number == 0)):
            wrong.append(f"command {number}: exit {one.code}: {one.err[-600:]}")
    return wrong


def _reader(field: Field, home: Path) -> Callable[[], None]:
    def read() -> None:
        print(json.dumps([answers(field.scenes.work, home, "photos") for _ in range(3)]))

    return read


def _read(ended: Ended, base: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    right = [base["photos"]["answers"], wanted["photos"]["answers"]]
    seen = json.loads(ended.out or "[]")
    return [f"a reader got an answer of neither state: {str(one)[:300]}" for one in seen if one not in right]


def edited(field: Field, trial: Trial) -> Found:
    """A picture is replaced just after it was hashed, its size and time as before: the next sync takes it in."""
    place, found = field.folder.place, Found()
    picture = field.scenes.work / "photos" / MOVED
    before, was = picture.read_bytes(), picture.stat()
    other = (field.scenes.work / "asked" / f"{trial.moment % 3}.png").read_bytes()
    size = max(len(before), len(other))
    os.truncate(picture, size)
    os.utime(picture, ns=(was.st_atime_ns, was.st_mtime_ns))

    def replace() -> None:
        real = os.read

        def read(descriptor: int, count: int) -> bytes:
            data = real(descriptor, count)
            if not data and os.readlink(f"/proc/self/fd/{descriptor}") == str(picture):
                with picture.open("r+b") as file:
                    file.write(other.ljust(size, b"\0"))
                os.utime(picture, ns=(was.st_atime_ns, was.st_mtime_ns))
            return data

        field.mutant()
        os.read = read

    field.begin("sync", field.folder)
    words = placed(OPERATIONS["sync"].words, field.scenes.work, place)
    try:
        for before_it, codes in ((replace, (0, 2)), (field.mutant, (0,))):  # it may say that the picture changed
            if (done := command(words, before_it)).code not in codes or "Traceback" in done.err:
                found.wrong.append(f"sync: exit {done.code}: {done.err[-400:]}")
        lines = command(["index", "verify", "photos", "--json", "--home", place / "home"]).out.splitlines()
        said = [one for one in map(json.loads, lines) if one["ok"] is False]
        found.wrong += [f"a change was not seen: {one['detail']}" for one in said if one["check"] == CHANGED]
        found.wrong += [f"verify says no: {one}" for one in said if one["check"] != CHANGED]
        best = asked(lambda: answers(field.scenes.work, place / "home", "photos"))[trial.moment % 3][0]
        if best[2] != MOVED:
            found.wrong.append(f"what replaced a picture is not found: {best}")
    finally:
        picture.write_bytes(before)
        os.utime(picture, ns=(was.st_atime_ns, was.st_mtime_ns))
        field.folder.end()
    return found
