"""The commands that hints name: whole, so that one typed as it stands is about the same build of the same home."""

from __future__ import annotations

import os
import re
from pathlib import Path

from simsearch.console import typable
from simsearch.errors import SimsearchError

RETRAIN = "simsearch build --retrain"  # what is said where it is not known which build it is about
_RETRAIN = re.compile(rf"{RETRAIN}(?:, with the recipe or folder of this build,)?( makes| starts)?")


def home_folder(option: str | None) -> Path:
    """Return the home that `option` names, else $SIMSEARCH_HOME, else ./data; always absolute."""
    return Path(os.path.abspath(os.path.expanduser(option or os.environ.get("SIMSEARCH_HOME") or "data")))


def home_words(home: Path) -> str:
    """Return ` --home DIR` where a command without it would find another home, else nothing."""
    return "" if home == home_folder(None) else f" --home {typable(str(home), 'DIR')}"


def word(text: str) -> str:
    """Return a path or name as a shell takes it; FOLDER where it holds what nobody can type."""
    return typable(text, "FOLDER")


def retrain_by(error: SimsearchError, command: str) -> None:
    """Let the hint of an error name the `command` that trains the build again, in place of one for any build."""
    error.hint = _RETRAIN.sub(lambda found: command + (found[1] or ""), error.hint)
