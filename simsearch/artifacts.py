"""Addressed folders: digest, partial, commit, manifest, verify. The one place that decides what is finished work.

`artifacts/<stage>/<digest>/` is finished and read-only; `artifacts/<stage>/.partial-<digest>/` is work in progress,
with `out/` (what will be committed) and `scratch/` (checkpoints and blocks that a later run resumes from).

Commit order: fsync the files, manifest last, fsync the folder, rename, fsync the parent. With this order a power cut
leaves either no artifact or a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simsearch.checked import Checked
from simsearch.durable import fsync, write_durably
from simsearch.errors import ArtifactError, LockedError, SimsearchError
from simsearch.hashing import sha256_file
from simsearch.locks import Lock

MANIFEST = "manifest.json"
LEFT_OUT = "left-out.json"  # in a store that came in a pack: the files of its artifacts that did not
DIGEST = re.compile("[0-9a-f]{64}")
LOCKS = ".locks"  # folders of files that are locked, and never deleted
REMEMBER_BYTES = 64 * 2**20  # files above this may be believed for some days
ABANDONED_SECONDS = 7 * 86_400.0
GRACE_SECONDS = 86_400.0  # for who opened a build before it was replaced


def canonical_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest_of(value: Any) -> str:
    """sha256, in hex, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def escaped(name: str) -> str:
    """Return a name as hex: it may hold bytes that are not UTF-8, which JSON escapes in more than one way."""
    return name.encode("utf-8", "surrogateescape").hex()


def unescaped(text: str) -> str:
    """Return the name that `escaped` made `text` of."""
    return bytes.fromhex(text).decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: its folder and its manifest, already checked against each other.

    `store` is where it lies, and where the artifacts lie that it names.
    """

    path: Path
    manifest: dict[str, Any]
    store: Store | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """The address: sha256 of stage, version, settings and inputs."""
        return str(self.manifest["digest"])

    @property
    def content(self) -> str:
        """sha256 over the files' names and sha256."""
        return str(self.manifest["content"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the stage told about its result (counts and the like)."""
        return dict(self.manifest["facts"])

    @property
    def reference(self) -> dict[str, str]:
        """The (digest, content) pair by which a build or a consumer refers to this artifact."""
        return {"digest": self.digest, "content": self.content}

    @property
    def large(self) -> list[str]:
        """The names of its files that queries believe for some days after they were hashed whole."""
        return [name for name, file in self.manifest["files"].items() if file["size"] > REMEMBER_BYTES]

    def file(self, name: str) -> Path:
        """Path of a file that the manifest lists; ArtifactError when it does not."""
        if name not in self.manifest["files"]:
            raise _damaged(self.path, f"{self.path} has no file {name!r} in its manifest")
        return self.path / name


def _differing(path: Path, how: str) -> SimsearchError:
    # HDF5 marks a file while it is open for writing, and takes the mark away again.
    with suppress(OSError), Lock(path, may_write=False) as lock:
        if lock.busy:
            return LockedError(f"{path} cannot be judged: another process holds it open for writing")
    return _damaged(path.parent, f"{path} is damaged: {how}")


def _damaged(artifact: Path, what: str) -> ArtifactError:
    """An error that says what to do about it: the folder of an artifact is named after its stage."""
    root = artifact.parent.parent
    if (root / LEFT_OUT).is_file():
        return ArtifactError(what, hint=f"move {root.parent} away: what it was unpacked from is unpacked again")
    hint = f"move it away ({artifact}) and run the same simsearch build again: only this is made anew"
    if artifact.parent.name in ("index", "evaluate"):
        hint = "simsearch index verify BUILD --repair makes it anew from the features"
    return ArtifactError(what, hint=hint)


@dataclass(frozen=True)
class Workspace:
    """Where a running stage writes: `out` is committed, `scratch` survives a kill and is removed at the commit."""

    out: Path
    scratch: Path


@dataclass(frozen=True)
class Store:
    """All artifacts of a home folder."""

    root: Path
    checked: Checked

    def folder(self, stage: str) -> Path:
        """Where the artifacts of a stage lie."""
        return self.root / stage

    def path(self, stage: str, digest: str) -> Path:
        """The folder of an artifact, whether it exists or not."""
        return self.folder(stage) / digest

    def find(self, stage: str, digest: str) -> Artifact | None:
        """The verified artifact, or None when there is none; ArtifactError when it is damaged."""
        path = self.path(stage, digest)
        return self.open(stage, digest) if path.is_dir() else None

    def open(self, stage: str, digest: str, content: str | None = None) -> Artifact:
        """The artifact with every file's size and sha256 checked, before anything parses it.

        `content` is what a build or a consumer recorded. Raises ArtifactError when something is missing, differs,
        or is another artifact than the one recorded; LockedError when another process is writing to what differs.
        """
        path = self.path(stage, digest)
        try:
            manifest = json.loads((path / MANIFEST).read_bytes())
            files = {str(name): (int(f["size"]), str(f["sha256"])) for name, f in manifest["files"].items()}
            recorded = (manifest["stage"], manifest["digest"], manifest["content"])
            manifest["facts"], manifest["inputs"], manifest["seconds"], manifest["versions"], manifest["device"]
            sealed = manifest.pop("seal") == digest_of(manifest)
            left_out = frozenset(self._left_out(stage, digest))
        except FileNotFoundError:
            raise _damaged(path, f"{path} is missing or has no {MANIFEST}") from None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise _damaged(path, f"{path / MANIFEST} is damaged") from None
        if not sealed:
            raise _damaged(path, f"{path / MANIFEST} was changed after it was written")
        if recorded != (stage, digest, content_of(files)):
            raise _damaged(path, f"{path / MANIFEST} does not describe this artifact")
        if content is not None and content != recorded[2]:
            raise ArtifactError(
                f"{path} is not the {stage} artifact that the build was made with",
                hint="run the same simsearch build again; what follows from it is made anew",
            )
        for name, (size, sha256) in files.items():
            if name in left_out:
                del manifest["files"][name]
            else:
                self._check(path / name, size, sha256)
        return Artifact(path, manifest, self)

    def _left_out(self, stage: str, digest: str) -> list[str]:
        """Return the files of an artifact that did not come in the pack that it came in; none without a pack."""
        found = json.loads((self.root / LEFT_OUT).read_bytes()) if (self.root / LEFT_OUT).is_file() else {}
        return list(found.get(f"{stage}/{digest}", ()))

    def _check(self, path: Path, size: int, sha256: str) -> None:
        try:
            seen = path.stat().st_size
            if seen != size:
                raise _differing(path, f"expected {size:,} bytes, seen {seen:,}")
            actual = self.checked.sha256(path) if size > REMEMBER_BYTES else sha256_file(path)
        except FileNotFoundError:
            raise _damaged(path.parent, f"{path} is missing") from None
        if actual != sha256:
            raise _differing(path, "its sha256 differs from the manifest's")

    def workspace(self, stage: str, digest: str, inputs: Mapping[str, Any] | None = None) -> Workspace:
        """The workspace of a stage: an empty `out`, and `scratch` as an earlier, interrupted run left it.

        Scratch that was made from `inputs` with other contents is dropped: a digest names settings, not bits.
        """
        partial = self.folder(stage) / f".partial-{digest}"
        workspace = Workspace(partial / "out", partial / "scratch")
        made_of = partial / "inputs.json"
        wanted = canonical_json(inputs or {})
        if partial.exists() and not (made_of.is_file() and made_of.read_bytes() == wanted):
            shutil.rmtree(partial)
        write_durably(made_of, wanted)
        if workspace.out.exists():
            shutil.rmtree(workspace.out)
        workspace.out.mkdir(parents=True)
        workspace.scratch.mkdir(exist_ok=True)
        return workspace

    def commit(self, stage: str, digest: str, workspace: Workspace, manifest: Mapping[str, Any]) -> Artifact:
        """Make the files in `workspace.out` the artifact, and drop the scratch; returns it."""
        files = {}
        for path in sorted(p for p in workspace.out.rglob("*") if p.is_file()):
            fsync(path)
            path.chmod(0o444)
            files[path.relative_to(workspace.out).as_posix()] = (path.stat().st_size, sha256_file(path))
        whole = {
            **manifest,
            "stage": stage,
            "digest": digest,
            "files": {name: {"size": size, "sha256": sha256} for name, (size, sha256) in files.items()},
            "content": content_of(files),
        }
        sealed = {**whole, "seal": digest_of(whole)}
        write_durably(workspace.out / MANIFEST, json.dumps(sealed, indent=1, sort_keys=True).encode())
        (workspace.out / MANIFEST).chmod(0o444)
        for folder in {workspace.out, *(p for p in workspace.out.rglob("*") if p.is_dir())}:
            fsync(folder)
        final = self.path(stage, digest)
        os.rename(workspace.out, final)
        fsync(final.parent)
        shutil.rmtree(workspace.scratch.parent, ignore_errors=True)
        return Artifact(final, whole, self)

    def set_aside(self, stage: str, digest: str) -> None:
        """Remove an artifact: renamed first, deleted then, so that a kill never leaves half of it in its place."""
        path = self.path(stage, digest)
        if path.exists():
            shutil.rmtree(self.put_away(path), ignore_errors=True)

    def put_away(self, path: Path) -> Path:
        """Rename an artifact to where nobody looks for one, and return that place, which is to be deleted."""
        old = path.with_name(f".partial-old-{path.name}-{time.time_ns()}")
        os.rename(path, old)
        return old

    def finished(self) -> Iterator[Path]:
        """Yield the folder of every artifact."""
        for path in sorted(self.root.glob("*/*")):
            if DIGEST.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path

    def is_young(self, path: Path) -> bool:
        """Whether an artifact was made, used or let go of within a day, which its folder's date tells."""
        return time.time() - path.stat().st_mtime < GRACE_SECONDS

    def left_over(self) -> list[Path]:
        """Return what killed runs left: what was being deleted, the rest of a commit, and work a week old."""
        found = []
        for partial in self.root.glob("*/.partial-*"):
            # Killed between the rename and the end of the commit: what it made is in its place.
            committed = partial.with_name(partial.name.removeprefix(".partial-")).is_dir()
            useless = partial.name.startswith(".partial-old-") or (committed and not (partial / "out").exists())
            with suppress(FileNotFoundError):  # its owner has just finished
                if useless or time.time() - partial.stat().st_mtime > ABANDONED_SECONDS:
                    found.append(partial)
        return found

    def clean_up(self) -> None:
        """Remove what killed runs left; call it where nobody else writes."""
        for partial in self.left_over():
            shutil.rmtree(partial, ignore_errors=True)


def content_of(files: Mapping[str, tuple[int, str]]) -> str:
    """sha256 over the sorted names and sha256 of an artifact's files."""
    return digest_of({name: sha256 for name, (_, sha256) in files.items()})
