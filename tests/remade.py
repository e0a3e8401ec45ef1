"""A build whose artifact of one stage holds other files, made without running anything."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from sealing import seal

from simsearch.home import Home


def remade(home: Path, name: str, changes: dict[str, bytes | None], *, stage: str = "evaluate", **record) -> None:
    """Write the build `name`: `photos` with `changes` to the files of a stage (None: without it) and to its record."""
    store = Home(home).store
    build = json.loads((home / "builds" / "photos.json").read_bytes())
    old = store.open(stage, **build["stages"][stage])
    digest = hashlib.sha256(name.encode()).hexdigest()
    space = store.workspace(stage, digest)
    for file in old.manifest["files"]:
        (space.out / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(old.file(file), space.out / file)
    for file, data in changes.items():
        (space.out / file).unlink() if data is None else (space.out / file).write_bytes(data)
    kept = {key: old.manifest[key] for key in ("settings", "inputs", "facts", "versions", "seconds", "device")}
    store.set_aside(stage, digest)
    build["stages"][stage] = store.commit(stage, digest, space, kept).reference
    seal(home / "builds" / f"{name}.json", {**build, **record})
