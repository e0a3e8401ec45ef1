"""Any file of a home damaged: a bit flipped, an end cut off, a page of zeros, a deletion. None may be silent."""

from __future__ import annotations

import json
import random
import re
from functools import partial
from pathlib import Path
from typing import Any

from commands import run_cli

from campaign.children import asked, command
from campaign.scenes import BUILD, OPERATIONS, Known, looked, placed
from campaign.trials import Field, Found, Trial, difference

KINDS = ("flipped", "shortened", "zeroed", "deleted")
PAGE = 4096
LOCKED = (".locks/", "/.lock")  # what holds a note for people alone
TOLD = ("evaluate", "show")  # what prints figures and settings
HISTORY = "home/bench/history.sqlite"  # who deletes it, or the file of a build, takes all that tells of it
RECORD = f"home/builds/{BUILD}.json"
NEVER = re.compile(r'"(milli)?seconds[a-z_]*": [0-9.e-]+|[0-9.,]+ (s|ms|MB|days?)\\b')


def drawn(chosen: random.Random, field: Field, *, record: bool = False) -> Trial:
    """Return a damage of any file of the home: `file:offset/kind/bit`, the offset below the size.

    `record`: a bit flipped in the file of the build, where a seal alone tells.
    """
    files = _files(field)
    name = RECORD if record else chosen.choice(sorted(files))
    kind = KINDS[0] if record else chosen.choice(KINDS)
    return Trial(f"{name}:{chosen.randrange(max(1, files[name]))}", kind, chosen.randrange(8))


def tried(field: Field, trial: Trial) -> Found:
    """Damage a copy of the home, and ask it: what it answers is right, or says that it is not."""
    before, found, known = _before(field), Found(), field.known("damaged")
    field.folder.begin("damaged", partial(field.scenes.copy, "damaged"))
    place, (name, _, offset) = field.folder.place, trial.operation.rpartition(":")
    _damage(place / name, trial.fault, int(offset), trial.moment)
    now = _asked(field, known)
    for key, was in before["state"].items():
        state = now["state"].get(key)
        gone = state is None and trial.fault == "deleted" and name in (f"home/builds/{key}.json", HISTORY)
        if not (state == was or _said(state) or gone):
            found.wrong.append(f"silent: {difference(state, was, key)}")
    for word in TOLD:
        code, out, err = now[word]
        found.wrong += _clean(code, err, f"{word} {BUILD}")
        if code == 0 and out != before[word][1]:
            found.wrong.append(f"silent: {word} prints other figures: {difference(out, before[word][1])}")
    if _named(place / "home", name, before["names"]):
        code, _, err = now["index"]
        found.wrong += _clean(code, err, "index verify", codes=(0, 1, 2))
        if code == 0 and (place / name).read_bytes() != before["bytes"](name):
            found.wrong.append("silent: index verify says that all is well")
    if name.endswith(".hashes.sqlite"):
        _synced(field, found)
    field.folder.end()
    return found


def _asked(field: Field, known: Known | None = None) -> dict[str, Any]:
    """Return what a home answers, in one child that opens it anew for each question: what is seen, told, verified."""
    work, place = field.scenes.work, field.folder.place

    def ask() -> dict[str, Any]:
        field.mutant()
        found: dict[str, Any] = {"state": looked(work, place, known)}
        for words in (*((word, BUILD, "--json") for word in TOLD), ("index", "verify", BUILD)):
            done = run_cli(*words, "--home", place / "home")
            found[words[0]] = (done.returncode, NEVER.sub("", done.stdout), done.stderr)
        return found

    return asked(ask)


def _files(field: Field) -> dict[str, int]:
    root = field.scenes.made("damaged")
    sizes = {f"home/{path.relative_to(root)}": path.stat().st_size for path in root.rglob("*") if path.is_file()}
    return {name: size for name, size in sizes.items() if not any(one in name for one in LOCKED)}


def _before(field: Field) -> dict[str, Any]:
    """Return what the undamaged home answers, the stages of its build, and its bytes by name."""
    if "damages" not in field.kept:
        root = field.scenes.made("damaged")
        field.folder.begin("damaged", partial(field.scenes.copy, "damaged"))
        asked_whole = _asked(field)
        assert all(asked_whole[word][0] == 0 for word in TOLD), asked_whole
        field.kept["damages"] = {
            **asked_whole,
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


def _clean(code: int, err: str, what: str, codes: tuple[int, ...] = (0, 2)) -> list[str]:
    bad = code not in codes or "Traceback" in err
    return [f"{what}: exit {code}: {err[-600:]}"] if bad else []


def _named(home: Path, name: str, stages: dict[str, dict[str, str]]) -> bool:
    """Whether a file is one of those that make up the build."""
    digests = {which["digest"] for which in stages.values()}
    ours = name in {f"home/builds/{BUILD}.json", *(f"home/builds/{BUILD}/report.{kind}" for kind in ("json", "html"))}
    return (ours or bool(digests & set(Path(name).parts))) and (home.parent / name).exists()


def _synced(field: Field, found: Found) -> None:
    """What is remembered of files may cost time when it is damaged, and never the answer."""
    words = placed(OPERATIONS["sync"].words, field.scenes.work, field.folder.place)
    done = command(words, field.mutant)
    found.wrong += _clean(done.code, done.err, "sync")
    now, wanted = field.seen(field.folder).get(BUILD), field.twin("sync").after[BUILD]
    if now != wanted:
        found.wrong.append(f"silent: a sync by damaged memories ends elsewhere: {difference(now, wanted)}")
