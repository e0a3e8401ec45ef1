"""The home folder: where everything is kept, who may write, and the named builds.

`builds/<name>.json` names a set of artifacts; a query reads it and nothing of the recipe.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simsearch.artifacts import Store, write_durably
from simsearch.errors import ArtifactError, RecipeError
from simsearch.hashing import HashMemory
from simsearch.vectors.search import Search

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
BUILD_SCHEMA = 1
SEEDS_FILE = "seeds.json"
VECTORS = "vectors:"  # how the source of a build begins that was imported: it has no embedder and no pictures


@dataclass(frozen=True)
class Build:
    """A finished build: its name and what builds/<name>.json holds."""

    name: str
    home: Path
    record: dict[str, Any] = field(repr=False)

    @property
    def when(self) -> str:
        """When it was built, ISO 8601 with offset."""
        return str(self.record["when"])

    @property
    def listed(self) -> bool:
        """Whether it is shown and may be the newest; builds that only serve another one are not."""
        return bool(self.record.get("listed", True))

    @property
    def of_vectors(self) -> bool:
        """Whether it was made from vectors, without images and embedder."""
        return str(self.record["source"]).startswith(VECTORS)

    @property
    def report_path(self) -> Path:
        """The report under the build's own name."""
        return self.home / "builds" / self.name / "report.json"

    @property
    def measured(self) -> dict[str, dict[str, str]]:
        """The stages as they were built, which the report is about; `sync` goes on from them."""
        return {**self.record["stages"], **self.record.get("built", {})}

    @property
    def page_path(self) -> Path:
        """The report as a page for people, beside it."""
        return self.report_path.with_name("report.html")

    def damaged(self, error: ArtifactError) -> ArtifactError:
        """`error` about an artifact, its hint such that it helps: what a sync made, no build makes anew."""
        hint = error.hint or ""
        if "--repair" in hint:
            return ArtifactError(error.message, hint=hint.replace(" BUILD ", f" {self.name} "))
        if self.of_vectors:
            return ArtifactError(error.message, hint=hint.replace("simsearch build", "simsearch index import"))
        if "synced" not in self.record:
            return error
        return ArtifactError(
            error.message, hint="simsearch build --retrain, with the recipe or folder of this build, makes it anew"
        )


class Home:
    """A home folder. Nothing is created before something is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.datasets = path / "datasets"
        self.builds = path / "builds"
        self.memory = HashMemory(path / "datasets" / ".hashes.sqlite")
        self.store = Store(path / "artifacts", self.memory)

    @classmethod
    def locate(cls, option: str | None) -> Home:
        """`--home`, else $SIMSEARCH_HOME, else ./data; always absolute."""
        return cls(Path(os.path.abspath(os.path.expanduser(option or os.environ.get("SIMSEARCH_HOME") or "data"))))

    def prepare_environment(self) -> None:
        """Settings that other libraries read when they are imported: their caches go below the home.

        OpenMP's threads sleep while they wait, unless the user said otherwise: spinning ones stall training twentyfold
        as soon as another process wants one of the cores, and gain nothing where none does.
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ["TORCH_HOME"] = str(self.path / "datasets" / "torch")
        os.environ["MPLCONFIGDIR"] = str(self.path / "datasets" / "matplotlib")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(self.path / "datasets" / "inductor")

    @contextmanager
    def lock(self, who: str, waiting: Callable[[str], None]) -> Iterator[None]:
        """Hold the home's exclusive lock; while another process has it, say once for whom we wait.

        The lock is the kernel's, so it is free as soon as its holder is gone; the note beside it is only for people.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        note = self.path / ".lock.json"
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting(_holder(note))
            lock.acquire()
        try:
            started = dt.datetime.now().astimezone().isoformat(timespec="seconds")
            write_durably(note, json.dumps({"who": who, "pid": os.getpid(), "since": started}).encode())
            yield
        finally:
            note.unlink(missing_ok=True)
            lock.release()

    def write_build(self, name: str, record: dict[str, Any]) -> Build:
        """Let a name stand for a set of artifacts, from one moment to the next, durably; its report is not touched."""
        record = {"schema": BUILD_SCHEMA, **record}
        write_durably(self.builds / f"{name}.json", json.dumps(record, indent=1).encode())
        return Build(name, self.path, record)

    def build_names(self) -> list[str]:
        """Names of all builds, sorted."""
        if not self.builds.is_dir():
            return []
        return sorted(p.stem for p in self.builds.glob("*.json") if NAME_PATTERN.fullmatch(p.stem) and p.is_file())

    def has_build(self, name: str) -> bool:
        """Whether a build of that name exists."""
        return (self.builds / f"{checked_name(name)}.json").is_file()

    def build(self, name: str | None = None) -> Build:
        """The build of that name, or the newest listed one; ArtifactError when there is none."""
        if name is not None:
            if not self.has_build(name):
                names = self.build_names()
                near = difflib.get_close_matches(name, names, n=1)
                guess = f"; did you mean {near[0]!r}?" if near else ""
                raise ArtifactError(
                    f"no build {name!r} in {self.path}{guess}", hint=f"builds here: {', '.join(names) or 'none'}"
                )
            return self._read(name)
        listed = [b for b in map(self._read, self.build_names()) if b.listed]
        if not listed:
            raise ArtifactError(
                f"no build in {self.path}", hint="simsearch build makes one; --home names another home folder"
            )
        return max(listed, key=lambda b: dt.datetime.fromisoformat(b.when))

    def _read(self, name: str) -> Build:
        path = self.builds / f"{name}.json"
        try:
            record = json.loads(path.read_bytes())
            _check_record(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ArtifactError(
                f"{path} is damaged or of another version", hint="move it away and run simsearch build again"
            ) from None
        return Build(name, self.path, record)


def checked_name(name: str) -> str:
    """`name` when it is a legal build name; RecipeError when not."""
    if not NAME_PATTERN.fullmatch(name) or name.endswith(".json"):
        raise RecipeError(
            f"not a build name: {name!r}",
            hint="1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit, not ending in .json",
        )
    return name


def _check_record(record: Any) -> None:
    """Raise ValueError, KeyError or TypeError for a build file that this version did not write."""
    types = {"when": str, "source": str, "recipe": dict, "search": dict, "images": int, "labelled": bool}
    sound = record["schema"] == BUILD_SCHEMA and all(isinstance(record[key], kind) for key, kind in types.items())
    sound = sound and isinstance(record["root"], str | None)
    sound = sound and dt.datetime.fromisoformat(record["when"]).tzinfo is not None
    trained = () if record["source"].startswith(VECTORS) else ("train",)
    for stage in ("dataset", *trained, "embed", "index", "evaluate"):
        record["stages"][stage]
    sound = sound and Search.from_json(record["search"]).to_json() == record["search"]
    if "synced" in record:
        counts = (record["synced"][kind] for kind in ("added", "changed", "moved", "deleted"))
        sound = sound and all(isinstance(count, int) for count in counts) and isinstance(record["synced"]["when"], str)
        sound = sound and {"dataset", "embed", "index"} <= record["built"].keys()
    for reference in [*record["stages"].values(), *record.get("built", {}).values()]:
        sound = sound and reference.keys() == {"digest", "content"}
        sound = sound and all(isinstance(text, str) and "/" not in text for text in reference.values())
    if not sound:
        raise ValueError("not a build")


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_bytes())
        return f"{holder['who']} (process {holder['pid']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
