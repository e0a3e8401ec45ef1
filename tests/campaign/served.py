"""A command on a build that a server answers from, killed at times: the server says what was, then what is."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving import Served, served

from campaign.children import KILL, Armed, start
from campaign.scenes import BUILD, OPERATIONS
from campaign.trials import Field, Found, Trial, difference

CHANGING = ("sync", "labels", "switch", "back")  # what gives a served build something new
LONGEST = 60.0  # seconds until a server is there, or takes in what is new
MOST = "1000"  # all neighbours, as what is seen of a home has them


def drawn(chosen: random.Random, field: Field) -> Trial:
    """Return a command under a server, with the call at which it is killed in two of three trials (else 0)."""
    name = chosen.choice(CHANGING)
    return Trial(name, "served", chosen.choice((0, 1, 1)) * chosen.randint(1, field.twin(name).calls[0]))


def tried(field: Field, trial: Trial) -> Found:
    """Run a command beside a server, kill it or not, run it again: what was answered is of before or of after."""
    name, ground, found, twin = trial.operation, field.folder, Found(), field.twin(trial.operation)
    before, after = (state[BUILD]["answers"] for state in (twin.before, twin.after))
    field.begin(name, ground)
    ready, stop = ground.place / "ready", ground.place / "stop"
    _, ends = start(_server(field, ground.place, after))
    _wait(ready)
    killed = Armed(KILL, trial.moment, ground.place) if trial.moment else None
    found.met = field.run(name, ground, armed=killed).code < 0 or killed is None
    again, done = field.run(name, ground), OPERATIONS[name].done
    stop.touch()
    if again.code and not (done and done in again.err):
        found.wrong.append(f"the same command does not go on: exit {again.code}: {again.err[-600:]}")
    ended = ends()
    if ended.code:
        found.wrong.append(f"the server ended with {ended.code}: {ended.err[-800:]}")
        return found
    said = json.loads(ended.out)
    found.wrong += [f"torn: {difference(one, before)}" for one in said if one not in (before, after)]
    if said[-1] != after:
        found.wrong.append(f"not taken in: {difference(said[-1], after)}")
    if (last := field.seen(ground)) != twin.after:
        found.wrong.append(f"the same command ends elsewhere: {difference(last, twin.after)}")
    ground.end()
    return found


def _server(field: Field, place: Path, after: Any) -> Callable[[], None]:
    """Return what serves a home until it is told to stop and says what is new; it prints its answers, each once."""
    pictures = [path.read_bytes() for path in sorted((field.scenes.work / "asked").iterdir())]

    def serve() -> None:
        field.mutant()
        said: list[Any] = []
        with served(place / "home", BUILD) as server:
            last = time.monotonic() + LONGEST
            while not (place / "stop").exists() or (said[-1] != after and time.monotonic() < last):
                server.look()
                answer = [_answer(server, data) for data in pictures]
                if answer not in said[-1:]:
                    said.append(answer)
                (place / "ready").touch()
        print(json.dumps(said))

    return serve


def _answer(server: Served, data: bytes) -> Any:
    reply = server.form("/v1/search", {"k": MOST}, image=data)
    if reply.status != 200:
        return f"{reply.status}: {reply.body[:300]!r}"
    return [[hit["row"], hit["label"], hit["image"], round(hit["score"], 4)] for hit in reply.json["hits"]]


def _wait(path: Path) -> None:
    last = time.monotonic() + LONGEST
    while not path.exists():
        assert time.monotonic() < last, "no server"
        time.sleep(0.02)
