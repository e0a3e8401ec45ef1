"""Any file of a home damaged: a bit flipped, an end cut off, a page of zeros, a deletion. None may be silent."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

from campaign.children import Ended, command
from campaign.scenes import OPERATIONS, placed
from campaign.trials import Field, Found, Trial, difference

KINDS = ("flipped", "shortened", "zeroed", "deleted")
PAGE = 4096
LOCKED = (".locks/", "/.lock")  # what holds a note for people alone
TOLD = ("evaluate", "show")  # what prints figures and settings
BUILD = "photos"
HISTORY = "home/bench/history.sqlite"  # SQLite looks after it, which sees less: docs/trust.md says so
NEVER = re.compile(r'"(milli)?seconds[a-z_]*": [0-9.e-]+|[0-9.,]+ (s|ms|MB|days?)\\b')


def drawn(chosen: random.Random, field: Field) -> Trial:
    """Return a damage of any file of the home: `file:offset/kind/`, the offset below the size."""
    files = _files(field)
    name = chosen.choice(sorted(files))
    return Trial(f"{name}:{chosen.randrange(max(1, files[name]))}", chosen.choice(KINDS), chosen.randrange(8))


def tried(field: Field, trial: Trial) -> Found:
    """Damage a copy of the home, and ask it: what it answers is right, or says that it is not."""
    field.folder.begin()
    place = field.folder.place
    field.scenes.copy("damaged", place)
    before = _before(field)
    name, _, offset = trial.operation.rpartition(":")
    _damage(place / name, trial.fault, int(offset), trial.moment)
    state, found = field.seen(field.folder), Found()
    for key, was in before["state"].items():
        now = state.get(key)
        if name == HISTORY and key == "accepted":
            continue
        if now == was or _said(now) or (now is None and trial.fault == "deleted" and name == f"home/builds/{key}.json"):
            continue
        found.wrong.append(f"silent: {difference(now, was, key)}")
    for word, was in before["told"].items():
        done = command([word, BUILD, "--json", "--home", place / "home"], field.mutant)
        found.wrong += _clean(done, f"{word} {BUILD}")
        if done.code == 0 and (now := _without_times(done.out)) != was:
            found.wrong.append(f"silent: {word} prints other figures: {difference(now, was)}")
    if _named(place / "home", name, before["names"]):
        done = command(["index", "verify", BUILD, "--home", place / "home"], field.mutant)
        found.wrong += _clean(done, "index verify", codes=(0, 1, 2))
        if done.code == 0 and (place / name).read_bytes() != before["bytes"](name):
            found.wrong.append("silent: index verify says that all is well")
    if name.endswith(".hashes.sqlite"):
        _synced(field, found)
    field.folder.end()
    return found


def _files(field: Field) -> dict[str, int]:
    root = field.scenes.made("damaged")
    sizes = {f"home/{path.relative_to(root)}": path.stat().st_size for path in root.rglob("*") if path.is_file()}
    return {name: size for name, size in sizes.items() if not any(one in name for one in LOCKED)}


def _before(field: Field) -> dict[str, Any]:
    if "damages" not in field.kept:
        place = field.folder.place
        told = {}
        for word in TOLD:
            done = command([word, BUILD, "--json", "--home", place / "home"])
            assert done.code == 0, done.err
            told[word] = _without_times(done.out)
        root = field.scenes.made("damaged")
        field.kept["damages"] = {
            "state": field.seen(field.folder),
            "told": told,
            "names": json.loads((root / "builds" / f"{BUILD}.json").read_bytes())["stages"],
            "bytes": lambda name: (root / name.removeprefix("home/")).read_bytes(),
        }
    return field.kept["damages"]


def _damage(path: Path, kind: str, offset: int, bit: int) -> None:
    if kind == "deleted":
        path.unlink()
        return
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    if kind == "shortened":
        del data[offset:]
    elif kind == "zeroed":
        start = offset // PAGE * PAGE
        data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    elif data:
        data[offset] ^= 1 << bit
    path.write_bytes(data)


def _said(state: Any) -> bool:
    """Whether a build answers by an error, and so do its stages where its file is damaged."""
    answers = state.get("answers") if isinstance(state, dict) else state
    return isinstance(answers, str) and answers.count("error: ") == 1 and "Traceback" not in answers


def _clean(done: Ended, what: str, codes: tuple[int, ...] = (0, 2)) -> list[str]:
    bad = done.code not in codes or "Traceback" in done.err
    return [f"{what}: exit {done.code}: {done.err[-600:]}"] if bad else []


def _named(home: Path, name: str, stages: dict[str, dict[str, str]]) -> bool:
    """Whether a file is one of those that make up the build."""
    digests = {which["digest"] for which in stages.values()}
    ours = name in {f"home/builds/{BUILD}.json", *(f"home/builds/{BUILD}/report.{kind}" for kind in ("json", "html"))}
    return (ours or bool(digests & set(Path(name).parts))) and (home.parent / name).exists()


def _synced(field: Field, found: Found) -> None:
    """What is remembered of files may cost time when it is damaged, and never the answer."""
    words = placed(OPERATIONS["sync"].words, field.scenes.work, field.folder.place)
    found.wrong += _clean(command(words, field.mutant), "sync")
    now, wanted = field.seen(field.folder).get(BUILD), field.twin("sync").after[BUILD]
    if now != wanted:
        found.wrong.append(f"silent: a sync by damaged memories ends elsewhere: {difference(now, wanted)}")


def _without_times(text: str) -> str:
    return NEVER.sub("", text)
