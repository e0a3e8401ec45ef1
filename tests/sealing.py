"""A build's file written by hand, under a seal as the program writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simsearch.artifacts import digest_of


def seal(path: Path, record: dict[str, Any]) -> None:
    """Write what a build's file holds; an old seal in it is left out, a file of schema 1 stays without."""
    rest = {key: value for key, value in record.items() if key != "seal"}
    path.write_text(json.dumps(rest if rest["schema"] == 1 else {**rest, "seal": digest_of(rest)}))
