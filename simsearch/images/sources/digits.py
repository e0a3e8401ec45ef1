"""digits: scikit-learn's 1,797 handwritten digits, written out once as PNG files in class folders."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.images.sources.folders import open_folder
from simsearch.images.sources.source import FileSource, fingerprint_files
from simsearch.images.sources.walk import Picking

MARKER = ".complete.json"


def open_digits(home: Path, *, exclude: list[str], memory: HashMemory) -> FileSource:
    """Return the digits as a folder source below home/digits; written first when they are missing or not as written."""
    folder = home / "digits"
    if not _is_whole(folder, memory):
        try:
            _write(folder)
        except OSError as error:
            raise SourceError(
                f"cannot write the digits to {str(folder)!r}: {error.strerror}",
                hint="give a --home that can be written",
            ) from None
    source = open_folder(str(folder), spec="digits", picking=Picking(tuple(exclude), rules=1), title="Digits")
    source.identity = "digits"
    source.left_out.hidden -= 1  # the marker
    return source


def _content(folder: Path, memory: HashMemory) -> dict[str, object]:
    """Return the number of the files in the class folders and one hash over their names and bytes."""
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
    lines = [f"{name} {size} {digest}" for name, size, digest in fingerprint_files(str(folder), names, memory)]
    return {"files": len(names), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def _is_whole(folder: Path, memory: HashMemory) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(marker == _content(folder, memory))


def _write(folder: Path) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    with fresh_folder(folder, ".digits-") as fresh:
        for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            path = fresh / str(label) / f"{number:04d}.png"
            path.parent.mkdir(exist_ok=True)
            # Stored, not compressed: the same bytes, and so the same digests, with every version of zlib.
            Image.fromarray(image).save(path, "PNG", compress_level=0)
        with HashMemory(None) as nothing:
            marker = json.dumps(_content(fresh, nothing))
        (fresh / MARKER).write_text(marker, encoding="utf-8")


@contextmanager
def fresh_folder(target: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` after the block; raises OSError when that cannot be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        try:
            fresh.rename(target)
        except OSError:
            # Something is there: move it aside first, so that no moment shows a mixture.
            aside = Path(tempfile.mkdtemp(prefix=".old-", dir=target.parent))
            target.rename(aside / target.name)
            fresh.rename(target)
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
