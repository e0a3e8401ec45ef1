"""A walk through a folder: the images below it, and what was passed over."""

from __future__ import annotations

import fnmatch
import heapq
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from simsearch.images.formats.decoding import RULES
from simsearch.images.formats.formats import suffixes
from simsearch.images.sources.left_out import LeftOut
from simsearch.images.sources.machine import BEGINNINGS, machine_file, machine_folder

UNREADABLE_FOLDER = "folder cannot be read"


@dataclass(frozen=True)
class Picking:
    """What a walk takes: by which rules, past which glob patterns, in which * also matches "/".

    `follow_links`: linked folders too; `machine_folders`: those that systems make too, which rules 1 always took.
    """

    exclude: tuple[str, ...] = ()
    rules: int = RULES
    follow_links: bool = False
    machine_folders: bool = False


@dataclass
class Scan:
    """What a walk saw: images and what it refused, (name, reason), as paths below the root."""

    images: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    folders: int = 0
    left: LeftOut = field(default_factory=LeftOut)

    def seen(self) -> str:
        """Return in words what there was besides images."""
        seen = self.left.words()
        if self.folders:
            seen.insert(0, f"{self.folders:,} {'folder' if self.folders == 1 else 'folders'}")
        if self.rejected:
            seen.append(f"{self.rejected[0][0]!r} {self.rejected[0][1]}")
        return "; ".join(seen) if seen else "the folder is empty"


def walk(root: str, picking: Picking) -> Scan:
    """Return what lies below `root`, a real path.

    A folder that several links lead to, or that lies below another that is read, is read once: by its own name, else by
    that of the first link. So no link leads a walk around in circles.
    """
    return _Walk(root, picking).run()


def walk_names(root: str, names: Iterable[str], picking: Picking) -> Scan:
    """Return what `walk` would of a folder that holds just these files, by their paths below it."""
    return _NamesWalk(root, names, picking).run()


class _Walk:
    def __init__(self, root: str, picking: Picking) -> None:
        self._root, self._how = root, picking
        self._wanted = suffixes(picking.rules)
        self._excluded = re.compile("|".join(map(fnmatch.translate, picking.exclude)) or "(?!)").match
        self._machine = picking.rules > 1 and not picking.machine_folders
        self._links: list[str] = []  # linked folders that are still to be followed, the first by name in front
        self._known: set[tuple[int, int]] = set()  # folders that are read, by (device, inode); kept to follow links
        self._outside: dict[str, list[str]] = {"folder": [], "file": []}
        self._scan = Scan()

    def run(self) -> Scan:
        if self._how.follow_links:
            self._known |= {_identity(os.stat(folder)) for folder in _and_above(self._root)}
        self._below("", linked=False)
        while self._links:
            self._follow(heapq.heappop(self._links))
        scan = self._scan
        for kind, names in self._outside.items():
            if names:
                count = f"1 linked {kind} leads" if len(names) == 1 else f"{len(names):,} linked {kind}s lead"
                target = os.path.realpath(os.path.join(self._root, min(names)))
                scan.left.said.append(f"{count} outside of the folder (first: {min(names)} -> {target})")
        return scan

    def _below(self, folder: str, *, linked: bool) -> None:
        """Read a folder, named as "a/b/", and all below it; of what a link leads to, what is not known yet."""
        stack = [folder]
        while stack:
            prefix = stack.pop()
            try:
                entries = os.scandir(os.path.join(self._root, prefix))
                if self._how.follow_links and prefix != "":
                    identity = _identity(os.stat(os.path.join(self._root, prefix)))
                    if linked and identity in self._known:
                        entries.close()
                        self._scan.left.again.append(prefix.rstrip("/"))
                        continue
                    self._known.add(identity)
            except OSError as error:
                self._scan.rejected.append((prefix.rstrip("/"), f"{UNREADABLE_FOLDER}: {error.strerror}"))
                continue
            with entries:
                self._read(entries, prefix, stack)

    def _read(self, entries: Iterator[os.DirEntry[str] | _Entry], prefix: str, stack: list[str]) -> None:
        # Most entries are plain image files: seen to be so at half the price of the whole account in _visit.
        images, wanted, plainly = self._scan.images, self._wanted, not self._how.exclude
        for entry in entries:
            name = entry.name
            plain = plainly and name[name.rfind(".") :].lower() in wanted and name[0] != "."
            if (
                plain
                and name[:4].lower() not in BEGINNINGS
                and name[:2] != "~$"
                and entry.is_file(follow_symlinks=False)
            ):
                images.append(prefix + name)
            else:
                self._visit(entry, prefix, stack)

    def _visit(self, entry: os.DirEntry[str] | _Entry, prefix: str, stack: list[str]) -> None:
        name, scan = entry.name, self._scan
        path = prefix + name
        if name.startswith("."):
            scan.left.hidden += 1
            return
        folder = entry.is_dir(follow_symlinks=False)
        linked = not folder and entry.is_symlink() and os.path.isdir(entry)
        if self._machine:
            parent = os.path.basename(prefix.rstrip("/") or self._root)
            made_by = machine_folder(name, parent) if folder or linked else machine_file(name)
            if made_by is not None:
                scan.left.machine[made_by] += 1
                return
        # "masks/**" names what lies in masks, and with it masks itself.
        if self._excluded(path) or ((folder or (linked and self._how.follow_links)) and self._excluded(path + "/")):
            scan.left.excluded += 1
        elif folder:
            scan.folders += 1
            stack.append(path + "/")
        elif linked and self._how.follow_links:
            heapq.heappush(self._links, path)
        elif linked:
            scan.left.linked += 1
        else:
            self._file(entry, path)

    def _file(self, entry: os.DirEntry[str] | _Entry, path: str) -> None:
        suffix, scan = os.path.splitext(entry.name)[1].lower(), self._scan
        if suffix not in self._wanted:
            if self._how.follow_links and not suffix and entry.is_symlink() and not os.path.exists(entry):
                scan.rejected.append((path, f"{UNREADABLE_FOLDER}: its link leads nowhere"))  # its disk may be away
            else:
                scan.left.others[suffix[1:] or "no suffix"] += 1
        elif entry.is_file(follow_symlinks=False):
            scan.images.append(path)
        elif os.path.isfile(entry):
            scan.images.append(path)
            self._lead_outside("file", path)
        else:
            why = "not a regular file" if os.path.exists(entry) else "leads nowhere (broken link)"
            scan.rejected.append((path, why))

    def _follow(self, path: str) -> None:
        try:
            identity = _identity(os.stat(os.path.join(self._root, path)))
        except OSError as error:
            self._scan.rejected.append((path, f"{UNREADABLE_FOLDER}: {error.strerror}"))
            return
        if identity in self._known:
            self._scan.left.again.append(path)
            return
        self._scan.folders += 1
        self._lead_outside("folder", path)
        self._below(path + "/", linked=True)

    def _lead_outside(self, kind: str, path: str) -> None:
        """Note a link that leads out of the root."""
        if self._how.rules == 1:
            return
        link = os.path.join(self._root, path)
        if self._how.follow_links:
            target = os.path.realpath(link)
        else:  # as it is written, at a tenth of the price: no folder on the way is a link
            target = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
        if not os.path.join(target, "").startswith(os.path.join(self._root, "")):
            self._outside[kind].append(path)


@dataclass(slots=True)
class _Entry:
    """A file, or a folder with the entries in it, as os.scandir has them; there are no links."""

    name: str
    entries: dict[tuple[str, bool], _Entry] | None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.entries is not None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.entries is None

    def is_symlink(self) -> bool:
        return False

    def __fspath__(self) -> str:
        return self.name


class _NamesWalk(_Walk):
    """A walk through names alone, of what lies on no disk."""

    def __init__(self, root: str, names: Iterable[str], picking: Picking) -> None:
        super().__init__(root, picking)
        self._top: dict[tuple[str, bool], _Entry] = {}
        for name in names:
            *folders, file = name.split("/")
            inside = self._top
            for folder in folders:
                below = inside.setdefault((folder, True), _Entry(folder, {})).entries
                assert below is not None
                inside = below
            inside[file, False] = _Entry(file, None)

    def _below(self, folder: str, *, linked: bool) -> None:
        stack = [folder]
        while stack:
            prefix = stack.pop()
            inside = self._top
            for name in prefix.split("/")[:-1]:
                inside = inside[name, True].entries or {}
            self._read(iter(inside.values()), prefix, stack)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _and_above(folder: str) -> Iterator[str]:
    """Yield a folder and all in which it lies."""
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        folder = above
        yield folder
