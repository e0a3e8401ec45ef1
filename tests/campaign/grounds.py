"""Where a trial takes place: a plain folder, an ext4 whose power can be cut, a small disk in memory that fills up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

MEGABYTES = 64
Fill = Callable[[Path], None]


class Folder:
    """A folder of the disk that is there."""

    def __init__(self, root: Path) -> None:
        self.place = root / "ground"

    def begin(self, name: str, fill: Fill) -> None:
        """Make `place` a folder of what `fill` puts there, all of it durable; the same for the same name."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        fill(self.place)

    def end(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.place, ignore_errors=True)


class Cuttable(Folder):
    """An ext4 in an image behind a loop device, whose power can be cut; OSError where none can be made here.

    Without `noauto_da_alloc` ext4 mends, after a rename, what a missing fsync breaks; no other file system does.
    """

    NAME = "an ext4 on a loop device"

    def __init__(self, root: Path) -> None:
        self.place, self._image, self._filled = root / "disk", root / "disk.img", root / "filled"
        self.place.mkdir(parents=True, exist_ok=True)
        self.disk = -1
        shutil.rmtree(self._filled, ignore_errors=True)  # of another run
        self._filled.mkdir()
        self.begin("nothing", lambda place: None)
        self.end()

    def begin(self, name: str, fill: Fill) -> None:
        self.end()
        filled = self._filled / name
        if not filled.exists():
            with self._image.open("wb") as file:
                file.truncate(MEGABYTES << 20)
            run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", self._image)
            self._mount()
            fill(self.place)
            self._unmount()
            run("cp", "--sparse=always", self._image, filled)
        run("cp", "--sparse=always", filled, self._image)
        self._mount()

    def handle(self) -> int:
        """Return a descriptor by which a child can cut the power."""
        if self.disk < 0:
            self.disk = os.open(self.place, os.O_RDONLY)
        return self.disk

    def back(self) -> None:
        """Let the power return: what was not durable is lost."""
        self._unmount()
        self._mount()

    def end(self) -> None:
        if os.path.ismount(self.place):
            self._unmount()

    def _mount(self) -> None:
        run("mount", "-o", "loop,noauto_da_alloc", self._image, self.place)

    def _unmount(self) -> None:
        if self.disk >= 0:
            os.close(self.disk)
            self.disk = -1
        run("umount", self.place)


class Small(Folder):
    """A disk in memory that may be filled up to some bytes or files; OSError where none can be mounted here."""

    NAME = "a disk in memory"

    def __init__(self, root: Path) -> None:
        self.place = root / "small"
        self.place.mkdir(parents=True, exist_ok=True)
        self.begin("nothing", lambda place: None)
        self.end()

    def begin(self, name: str, fill: Fill) -> None:
        self.end()
        run("mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,nr_inodes=20000", "tmpfs", self.place)
        fill(self.place)

    def left(self, size: int | None = None, files: int | None = None) -> None:
        """Leave so many bytes, or so many files and folders; without both, plenty."""
        used = os.statvfs(self.place)
        now = (used.f_blocks - used.f_bfree) * used.f_frsize
        whole = MEGABYTES << 20 if size is None else max(now + size, used.f_frsize)
        inodes = 20000 if files is None else used.f_files - used.f_ffree + files
        run("mount", "-o", f"remount,size={whole},nr_inodes={inodes}", self.place)

    def end(self) -> None:
        if os.path.ismount(self.place):
            run("umount", self.place)


def run(*words: object) -> None:
    """Run a program of the system; OSError with what it said where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{words[0]}: {done.stderr.strip() or done.returncode}")
