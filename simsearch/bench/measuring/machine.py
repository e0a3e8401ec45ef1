"""Which machine and which code a night ran on."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

from simsearch.artifacts import digest_of
from simsearch.versions import cpu, usable_cores

PACKAGE = Path(__file__).parent.parent
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def machine() -> tuple[str, str]:
    """Return the machine in words, and a fingerprint of what decides its speed: processor, cores, memory, system."""
    memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    words = f"{cpu()}, {usable_cores()} cores, {memory} GiB, {platform.system()} {platform.machine()}"
    return words, digest_of(words)[:16]


def commit() -> str | None:
    """Return the commit of the working folder, with "-dirty" when it was changed; None where there is none."""
    given = os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA")
    if given:
        return given[:64]
    try:
        asked = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        found = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()[:64] or None if found.returncode == 0 else None


def code_digest() -> str:
    """Return a digest of simsearch's own files: a night is never continued by another code."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def reset_peak() -> None:
    """Let the peak memory of this process be counted from now on, where the system can."""
    with suppress(OSError):
        CLEAR.write_text("5")


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes since `reset_peak`, None where the system does not tell."""
    told = _told(STATUS, "VmHWM")
    return int(told.split()[0]) * 1024 if told else None


def _told(path: Path, key: str) -> str:
    """Return what a file of /proc says of `key`, "" where it says nothing."""
    with suppress(OSError):
        for line in path.read_text().splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""
