"""`python -m campaign`: trials for some minutes, drawn by a seed; or one of them, or the mutants."""

from __future__ import annotations

import argparse
import datetime as dt
import fcntl
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

from campaign import damages, served, together
from campaign.counts import FILE, Counts, machine
from campaign.mutants import MUTANTS
from campaign.scenes import OPERATIONS, Scenes
from campaign.trials import Field, Found, Trial, opened

LIBRARY = "SIMSEARCH_CAMPAIGN_LIBRARY"
OTHERS = ("damage", "together", "served", "edit")  # beside the faults of an operation
WEIGHTS = {"damage": 20, "cut": 7, "journal": 3, "kill": 8, "clock": 2, "edit": 0.2, "together": 0.5, "served": 0.5}
SHARES = {"build": 0.5, "fit": 0.5}  # of operations: these take ten times as long as others
MOST = 60  # trials of a mutant, until one of them is red


def drawn(chosen: random.Random, field: Field, kind: str | None = None) -> Trial:
    """Return the next trial of a seed; `kind`: OPERATION/FAULT, a fault, or one of OTHERS."""
    operation, _, fault = (kind or "").rpartition("/")
    if not fault:
        kinds = (*field.faults, *OTHERS)
        fault = chosen.choices(kinds, [WEIGHTS.get(one, 1) for one in kinds])[0]
    if fault in ("damage", "record"):
        return damages.drawn(chosen, field, record=fault == "record")
    if fault == "together":
        return together.drawn(chosen, field)
    if fault == "served":
        return served.drawn(chosen, field)
    if fault == "edit":
        return Trial("sync", "edit", chosen.randrange(3))
    shares = [SHARES.get(name, 1) for name in sorted(OPERATIONS)]
    return field.drawn(chosen, operation or chosen.choices(sorted(OPERATIONS), shares)[0], fault)


def tried(field: Field, trial: Trial) -> Found:
    """Do a trial of any kind."""
    if trial.fault in damages.KINDS:
        return damages.tried(field, trial)
    if trial.fault in ("together", "served"):
        return {"together": together, "served": served}[trial.fault].tried(field, trial)
    return together.edited(field, trial) if trial.fault == "edit" else field.tried(trial)


def main() -> int:
    """Run as the options say; 1 where a trial found something wrong, or a mutant was not found."""
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--kind", help="OPERATION/FAULT, a fault, damage, record, together, served or edit")
    parser.add_argument("--trial", help="one trial, as a line of a campaign names it")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="whether each is found")
    parser.add_argument("--counts", type=Path, default=FILE)
    parser.add_argument("--work", type=Path, help="a folder for homes, kept for the next run")
    options = parser.parse_args()
    if LIBRARY not in os.environ:
        _again_with_library()
    os.environ["PYTHONWARNINGS"] = "ignore"
    work = options.work or Path(tempfile.mkdtemp(prefix="simsearch-campaign-"))
    work.mkdir(parents=True, exist_ok=True)
    one = os.open(work, os.O_RDONLY)  # held to the end of this process
    try:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"error: another campaign is at work in {work}", file=sys.stderr)
        return 2
    field, skipped = opened(Scenes(work), work)
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    try:
        if options.trial:
            found = tried(field, Trial.parse(options.trial))
            print("\n".join(found.wrong) or "ok")
            return int(bool(found.wrong))
        counts = Counts.read(options.counts)
        if options.mutants is not None:
            return _mutants(field, options.mutants or list(MUTANTS), options.seed, counts, options.counts)
        field.warm()
        return _campaign(field, options, counts, skipped)
    finally:
        for ground in filter(None, (field.folder, field.cuttable, field.small)):
            ground.end()
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(Path(os.environ[LIBRARY]).parent, ignore_errors=True)


def _campaign(field: Field, options: argparse.Namespace, counts: Counts, skipped: list[str]) -> int:
    print(f"seed {options.seed}: {options.minutes:g} minutes of {', '.join((*field.faults, *OTHERS))}", file=sys.stderr)
    started, number, red = time.monotonic(), 0, 0
    while time.monotonic() - started < 60 * options.minutes:
        trial = drawn(random.Random(f"{options.seed}/{number}"), field, options.kind)
        number += 1
        try:
            found = tried(field, trial)
        except Exception:  # what the campaign did not foresee is red as well, and the next trial is done
            found = Found([traceback.format_exc()])
        red += bool(found.wrong)
        name = OTHERS[0] if trial.fault in damages.KINDS else trial.operation.partition(":")[0]
        name = _sort(trial.operation) if name == OTHERS[0] else name
        counts.add(trial.fault, name, met=found.met, red=bool(found.wrong))
        for wrong in found.wrong:
            print(f"RED {trial}: {wrong}", flush=True)
        run = {"seed": options.seed, "kind": options.kind, "trials": number, "red": red, "skipped": skipped}
        run |= {"day": dt.date.today().isoformat(), "machine": machine()}
        replace(counts, runs=[*counts.runs, run]).write(options.counts)
    print(f"seed {options.seed}: {number} trials, {red} red", file=sys.stderr)
    return int(red > 0)


def _sort(damaged: str) -> str:
    """What kind of file was damaged: an artifact's stage, or the file's name."""
    parts = Path(damaged.rpartition(":")[0]).parts
    return f"artifacts/{parts[2]}" if parts[1] == "artifacts" and len(parts) > 3 else "/".join(parts[1:])


def _mutants(field: Field, names: list[str], seed: int, counts: Counts, path: Path) -> int:
    missed = 0
    for name in names:
        break_it, kind = MUTANTS[name]
        for number in range(MOST):
            field.mutant = lambda: None
            trial = drawn(random.Random(f"{seed}/{number}"), field, kind)
            field.twin(trial.operation.partition("+")[0] if trial.operation in OPERATIONS else "sync")
            for one in trial.operation.partition(":")[0].split("+"):
                if one in OPERATIONS:
                    field.twin(one)
            field.mutant = break_it
            if found := tried(field, trial).wrong:
                counts.mutants[name] = f"{kind}: red at trial {number + 1}"
                counts.write(path)
                print(f"{name}: found by trial {number + 1}, {trial}: {found[0][:300]}", flush=True)
                break
        else:
            missed += 1
            print(f"{name}: NOT FOUND in {MOST} trials of {kind}", flush=True)
    return int(missed > 0)


def _again_with_library() -> None:
    """Start anew with the library of fault.c loaded, where a compiler makes it."""
    library = Path(tempfile.mkdtemp(prefix="simsearch-campaign-")) / "fault.so"
    source = Path(__file__).with_name("fault.c")
    environment = {**os.environ, LIBRARY: str(library), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if shutil.which("cc"):
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            environment |= {"LD_PRELOAD": str(library)}
    os.execve(sys.executable, [sys.executable, "-m", "campaign", *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
