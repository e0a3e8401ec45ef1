"""The home folder: where everything is kept, who may write, and the named builds."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from simsearch.artifacts import LOCKS, Store
from simsearch.checked import DAYS, Checked
from simsearch.console import Progress, safe
from simsearch.durable import write_durably
from simsearch.embedder.networks.kept import OFFLINE, PLACE
from simsearch.errors import ArtifactError, near_words, nearest
from simsearch.hashing import HashMemory
from simsearch.home.again import home_folder
from simsearch.home.build import MEDDLED, UNSEALED, Build, Record
from simsearch.locks import Holder, Lock
from simsearch.names import NAME_PATTERN, build_name, checked_name, is_name, pack_of

LOCK = ".lock"
SEED = ".seed-"  # between the name of a build and the number of the seed, in builds that only serve that build
SEEDS_FILE = "seeds.json"
NONE_HERE = "simsearch build FOLDER/ makes one of your pictures; --home DIR names another home"


class Home:
    """A home folder. Nothing is created before something is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.datasets = path / "datasets"
        self.builds = path / "builds"
        self.memory = HashMemory(path / "datasets" / ".hashes.sqlite")
        self.checked = Checked(path / "artifacts" / ".checked.json")
        self.store = Store(path / "artifacts", self.checked)
        self._lock: Lock | None = None  # the home's, while this object writes
        self._who, self._progress = "simsearch", Progress()

    @classmethod
    def locate(cls, option: str | None) -> Home:
        """`--home`, else $SIMSEARCH_HOME, else ./data; always absolute."""
        return cls(home_folder(option))

    def prepare_environment(self, *, offline: bool = False) -> None:
        """Settings that other libraries read when they are imported: their caches go below the home.

        With `offline` nothing is downloaded, by them or by us.

        OpenMP's threads sleep while they wait, unless the user said otherwise: spinning ones stall training twentyfold
        as soon as another process wants one of the cores, and gain nothing where none does.
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ["TORCH_HOME"] = str(self.path / "datasets" / "torch")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(self.path / "datasets" / "inductor")
        os.environ["HF_HOME"] = str(self.path / "datasets" / "huggingface")
        os.environ[PLACE] = str(self.path / "datasets" / "models")
        if offline:
            os.environ.update(dict.fromkeys(OFFLINE, "1"))

    @contextmanager
    def writing(self, who: str, progress: Progress | None = None) -> Iterator[Store]:
        """Let a command write, and yield the store: `who` is the command and the build that it makes, "build photos".

        `progress` hears whom it waits for.

        The home's lock is shared with those who write other builds, that of the build (and its seeds) is exclusive.
        A `who` of one word makes no build.
        """
        name = who.rpartition(" ")[2].partition(SEED)[0] if " " in who else None
        self._progress = progress = progress or Progress()
        with Lock(self.path / LOCK) as lock, Lock(self.path / LOCKS / name) if name else nullcontext() as build:
            if left := len(self.store.left_over()):
                if lock.alone(who):
                    self.store.clean_up()
                else:
                    progress.say(f"Left for later, as others are at work: {left} unfinished artifacts in {self}")
            lock.share(self._waiting)
            if build is not None:
                build.take(who, self._waiting)
            self._lock, self._who = lock, who
            try:
                with self.checked.believing(None):
                    yield self.store
            finally:
                self._lock = None
                self.memory.close()

    @contextmanager
    def reading(self, *, days: float | None = DAYS) -> Iterator[Store]:
        """Yield the store for opening artifacts, of which none is removed meanwhile.

        Large files are believed for so many days after they were hashed whole (None: not at all), and nothing but that
        is written.
        """
        with ExitStack() as held:
            held.callback(self.memory.close)
            with suppress(OSError):  # of a home that nobody has written to, or may read the lock of
                held.enter_context(Lock(self.path / LOCK, may_write=False)).share(lambda who: nullcontext())
            held.enter_context(self.checked.believing(days))
            yield self.store

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Hold the lock of the data sets, into which opening a source may write; no other lock is waited for in it."""
        with Lock(self.datasets / LOCK) as lock:
            lock.take(self._who, self._waiting)
            yield

    @contextmanager
    def making(self, stage: str, digest: str) -> Iterator[None]:
        """Hold the lock of one artifact; whoever waited for it looks again whether it is there.

        Last in the order home, build, artifact: one at a time, and never while waiting for another.
        """
        with Lock(self.store.folder(stage) / LOCKS / digest) as lock:
            lock.take(self._who, lambda who: self._wait_for(who, f"is making the same {stage} artifact"))
            yield

    @contextmanager
    def alone(self, who: str | None = None) -> Iterator[bool]:
        """Yield whether nobody else writes to the home or opens artifacts, which holds to the end; never waits."""
        if self._lock is None:
            with Lock(self.path / LOCK) as lock:
                yield lock.alone(who or self._who)
            return
        try:
            yield self._lock.alone(self._who)
        finally:
            self._lock.share(self._waiting)

    def set_aside(self, stage: str, digest: str) -> None:
        """Remove an artifact that has to be made anew, if it is there; ArtifactError while others are at work."""
        path = self.store.path(stage, digest)
        if path.exists():
            with self.alone() as free:
                if not free:
                    raise ArtifactError(
                        f"{path} has to be made anew, and {self.others()} may be using it",
                        hint="run the same command again when that has finished",
                    )
                self.store.set_aside(stage, digest)

    def others(self) -> str:
        """Who is writing builds just now, as far as that can be told."""
        found = []
        for path in sorted((self.path / LOCKS).glob("*")):
            with suppress(OSError), Lock(path, may_write=False) as lock:
                if lock.busy and lock.holder.pid != os.getpid():
                    found.append(str(lock.holder))
        return ", ".join(found) or "another process"

    def _waiting(self, who: Callable[[], Holder]) -> AbstractContextManager[None]:
        return self._wait_for(who, f"is writing to {self}")

    def _wait_for(self, who: Callable[[], Holder], doing: str) -> AbstractContextManager[None]:
        """Say whom is waited for, and what to do about it, for as long as that goes on."""
        holder = who()
        end = "Wait for it" if holder.pid is None else f"Wait for it, or end it: kill {holder.pid}"
        self._progress.say(f"Waiting for {safe(str(holder))}, which {doing}. {end}. Queries are still answered")

        def now() -> str:
            last = who()
            end = f" (to end it: kill {last.pid})" if last.pid not in (None, holder.pid) else ""
            return f"{safe(str(last))}{end}"

        return self._progress.waiting(now)

    def __str__(self) -> str:
        return safe(str(self.path))

    def named(self, without: Iterable[str] = ()) -> set[str]:
        """Digests of all artifacts that builds (but those of `without`) and their pins name.

        Raises ArtifactError when a build's file is damaged: nobody knows what it names.
        """
        found: set[str] = set()
        for build in (self._read(name) for name in self.build_names() if name not in without):
            found.update(digest for _, digest in build.named)
            for one in filter(None, (build, build.former)):
                found.update(one.record.pins)
        return found

    def write_build(self, name: str, record: Record) -> Build:
        """Let a name stand for a set of artifacts, from one moment to the next, durably; its report is not touched."""
        write_durably(self.builds / f"{name}.json", json.dumps(record.to_json(), indent=1).encode())
        return Build(name, self.path, record)

    def loaded(self, name: str) -> dict[str, Any] | None:
        """Return the place in Milvus that a build has, no longer answering, for what takes the build's name; or None.

        It is of another state by then, and the next export takes it away.
        """
        with suppress(ArtifactError):  # what a damaged file said is lost
            place = self.build(name).milvus if self.has_build(name) else None
            return None if place is None else replace(place, answers=False).to_json()
        return None

    def build_names(self) -> list[str]:
        """Names of all builds, sorted."""
        if not self.builds.is_dir():
            return []
        return sorted(p.stem for p in self.builds.glob("*.json") if NAME_PATTERN.fullmatch(p.stem) and p.is_file())

    def has_build(self, name: str) -> bool:
        """Whether a build of that name exists."""
        return (self.builds / f"{checked_name(name)}.json").is_file()

    def find_build(self, name: str) -> str | None:
        """The name of the build that `name` stands for: itself, else what a folder of that name gets; None without."""
        alike = build_name(name) if any(map(str.isalnum, name)) else ""
        return next((one for one in (name, alike) if is_name(one) and self.has_build(one)), None)

    def build(self, name: str | None = None) -> Build:
        """The build that `name` stands for, or the newest listed one; ArtifactError when there is none.

        One that is provisional is taken only where none is whole. Packs are refused, which `readable` takes.
        """
        if name is not None:
            if pack := self.pack(name):
                raise ArtifactError(
                    f"{pack} is a pack, which is only read; expected the name of a build in {self.path}",
                    hint="change the build that it was made of, and export that again",
                )
            found = self.find_build(name)
            if found is None:
                names = self.build_names()
                said, near = near_words(name, nearest(build_name(name), names))
                raise ArtifactError(
                    f"no build {name!r} in {self.path}{said}",
                    hint=f"builds here: {', '.join(names)}" if names else NONE_HERE,
                    near=near,
                )
            return self._read(found)
        newest = self.newest()
        if newest is None:
            raise ArtifactError(f"no build in {self.path}", hint=NONE_HERE)
        return newest

    def readable(self, name: str | None = None, progress: Progress | None = None) -> Build:
        """The build that `build` returns, or the one in the pack whose path `name` is, unpacked below this home.

        Only for what reads it. Raises ArtifactError for a pack that is missing, damaged or of another version.
        """
        path = self.pack(name)
        if path is None:
            return self.build(name)
        from simsearch.home.packed import hold, unpacked  # which no other query needs

        name, folder, held = unpacked(path, self.path, progress or Progress())
        with ExitStack() as until:
            until.push(held)
            try:
                found = Home(folder)._read(name)
            except ArtifactError:
                raise ArtifactError(
                    f"the build in {path} is damaged or of another version of simsearch",
                    hint=f"simsearch export {name} --format pack --out FILE.pack makes it anew, where the build is",
                ) from None
            # Whatever it says, its pictures are none of this machine's files.
            build = replace(found, record=replace(found.record, root=None), pack=path)
            hold(build, until.pop_all())
        return build

    def pack(self, name: str | None) -> Path | None:
        """The file that is meant where `name` is that of a pack; None where it is that of a build."""
        return None if name is None or (is_name(name) and self.has_build(name)) else pack_of(name)

    def newest(self, stage: str = "index") -> Build | None:
        """The newest listed build that has a `stage`, as every build has an index; None without one.

        One that is provisional is taken only where none is whole.
        """
        found = [b for b in map(self._read, self.build_names()) if b.listed and stage in b.record.stages]
        return max(found, key=lambda b: (not b.provisional, dt.datetime.fromisoformat(b.when)), default=None)

    def _read(self, name: str) -> Build:
        path = self.builds / f"{name}.json"
        try:
            found = json.loads(path.read_bytes())
            record = Record.from_json(found)
        except MEDDLED:
            raise ArtifactError(
                f"{path} is damaged or of another version", hint="move it away and run the same simsearch build again"
            ) from None
        return Build(name, self.path, record, sealed=found["schema"] != UNSEALED)
