"""What earlier syncs made and no build has named for a day."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from simsearch.artifacts import MANIFEST
from simsearch.console import Progress
from simsearch.errors import ArtifactError
from simsearch.home import Home


def remove_remains(home: Home, progress: Progress) -> None:
    """Remove what syncs made and no build has named for a day, unless others are at work.

    Only what a sync made is removed: it can be made again from the folder within seconds. A day is for readers that
    opened a build before it was replaced.
    """
    with suppress(ArtifactError):  # nobody knows what a damaged build names
        if _remains(home):
            with home.alone() as free:
                if free:
                    for path in _remains(home):
                        home.store.set_aside(path.parent.name, path.name)
                else:
                    progress.say(f"Left for later, as others are at work: what earlier syncs left in {home}")


def _remains(home: Home) -> list[Path]:
    named, found = home.named(), []
    for path in home.store.finished():
        if path.name not in named and not home.store.is_young(path):
            with suppress(OSError, ValueError, KeyError, AttributeError):
                if json.loads((path / MANIFEST).read_bytes())["facts"].get("synced"):
                    found.append(path)
    return found
