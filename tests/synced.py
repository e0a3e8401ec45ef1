"""A small build that may be changed together with its folder, without building anything anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sealing import seal

from simsearch.home import Home
from simsearch.sync.sync import run_sync


def moved_copy(built, to: Path) -> tuple[Path, Path]:
    """(folder, home): a copy of the finished build `photos` that says it was made from the copied folder."""
    folder, home = to / "photos", to / "home"
    shutil.copytree(built[0], folder)
    shutil.copytree(built[1], home)
    path = home / "builds" / "photos.json"
    text = path.read_text().replace(json.dumps(str(built[0]))[1:-1], json.dumps(str(folder))[1:-1])
    seal(path, json.loads(text))
    return folder, home


def sync(home: Path, *arguments, **options):
    return run_sync(Home(home), *arguments, **options)


def record(home: Path, name: str = "photos"):
    return json.loads((home / "builds" / f"{name}.json").read_bytes())


def state_of(home: Path) -> dict[str, bytes]:
    """What a home holds as far as anybody reads it: build files and finished artifacts."""
    found = {}
    for path in sorted([*home.glob("builds/**/*"), *home.glob("artifacts/*/[0-9a-f]*/manifest.json")]):
        if path.is_file() and ".locks" not in path.parts:
            found[str(path.relative_to(home))] = path.read_bytes()
    return found
