"""Files and folders that are there after a power cut: written, made durable, and renamed, in this order."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simsearch.errors import disk_error


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Raise DiskError where the block finds the disk of `path` full; `size` are the bytes that it needs, if known."""
    try:
        yield
    except Exception as error:
        told = disk_error(error, path, size)
        if told is None:
            raise
        raise told from error


def reserve(descriptor: int, size: int) -> None:
    """Ask the system for the `size` bytes of an open file: a full disk is met here, not in the middle. Raises OSError.

    The file system may have no such call; what is written then meets the full disk itself.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def write_durably(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a power cut leaves the old or the new content, never a mixture."""
    with writing(path, len(data)), replaced(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary file's name; what the block writes there replaces `path`, as `write_durably` does it."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        fsync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing, durably: what is put into it would go with it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        fsync(folder.parent)


def link_or_copy(old: Path, new: Path) -> None:
    """Make the finished file `old` also stand at `new`: a hard link, or a copy where the file system has none."""
    try:
        os.link(old, new)
    except OSError:
        with writing(new, old.stat().st_size):
            shutil.copyfile(old, new)


def fsync(path: Path) -> None:
    """Make a file durable, or what was made, renamed or removed in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def bytes_below(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where nothing is."""
    inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    total = 0
    for one in inside if path.is_dir() else (path,):
        with suppress(FileNotFoundError):
            total += one.lstat().st_size
    return total
