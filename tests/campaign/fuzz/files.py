"""Changed files of one parser: good ones of a folder, the changed one beside them under the same name."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from campaign.fuzz.mutating import changed
from campaign.fuzz.parser import Input


def held_folder(owner: object) -> Path:
    """Return a new folder that goes with its owner."""
    folder = tempfile.mkdtemp(prefix="simsearch-fuzz-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


class Files(ABC):
    """A copy of the good files of a folder, of which `names` are changed, one at a time, and read by `answer`."""

    words: Sequence[bytes] = ()

    def __init__(self, folder: Path, names: Callable[[Path], bool] = Path.is_file) -> None:
        self.folder = held_folder(self) / "files"
        shutil.copytree(folder, self.folder)
        found = sorted(path for path in self.folder.rglob("*") if path.is_file() and names(path))
        self.files = {str(path.relative_to(self.folder)): path.read_bytes() for path in found}
        self._answers: dict[str, Any] = {}

    @abstractmethod
    def answer(self, path: Path) -> Any:
        """Return what a file gives, in values that can be compared; SimsearchError, or Wrong for what must not be."""

    def good(self) -> dict[str, Any]:
        self._answers = {name: self.answer(self.folder / name) for name in self.files}
        return self._answers

    def changed(self, chosen: Random) -> Input:
        name = chosen.choice(list(self.files))
        alike = [data for other, data in self.files.items() if Path(other).suffix == Path(name).suffix]
        return Input(name, changed(chosen, self.files[name], alike, self.words))

    def read(self, given: Input) -> bool:
        path = self.folder / given.kind
        path.chmod(0o644)
        path.write_bytes(given.data)
        try:
            return bool(self.answer(path) == self._answers.get(given.kind))
        finally:
            path.write_bytes(self.files[given.kind])
