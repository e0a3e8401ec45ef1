"""What all campaigns add up to: a file of trials by fault and operation, and of the runs with their seeds."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What a row of the published table is called, and the faults that it counts.
ROWS = {
    "power cuts": ("cut", "journal"),
    "kills": ("kill", "clock"),
    "full disks, no room for files": ("full", "inodes"),
    "failing fsync": ("fsync",),
    "failing writes": ("write",),
    "damaged files": ("flipped", "shortened", "zeroed", "deleted"),
    "two writers and a reader": ("together",),
    "a command on a build that is served": ("served",),
    "a picture that changes while it is read": ("edit",),
}
FILE = Path(__file__).with_name("counts.json")


def machine() -> str:
    """Return the processor, its cores and the kernel."""
    import os

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores, {name}, Linux {platform.release().partition('-')[0]}"


@dataclass
class Counts:
    """Trials, those that the fault did not meet, and red ones, by fault and operation; runs; mutants by name."""

    faults: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    mutants: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Counts:
        """Return what was counted so far."""
        return cls(**json.loads(path.read_bytes())) if path.exists() else cls()

    def add(self, fault: str, operation: str, *, met: bool, red: bool) -> None:
        """Count a trial."""
        counted = self.faults.setdefault(fault, {}).setdefault(operation, [0, 0, 0])
        for place, one in enumerate((True, not met, red)):
            counted[place] += one

    def write(self, path: Path) -> None:
        """Keep them, sorted."""
        path.write_text(json.dumps(vars(self), indent=1, sort_keys=True) + "\n")

    def total(self, fault: str) -> list[int]:
        """Return trials, those not met, red ones, of a fault."""
        rows = list(self.faults.get(fault, {}).values())
        return [sum(column) for column in zip(*rows, strict=True)] if rows else [0, 0, 0]

    def table(self) -> list[str]:
        """Return the rows of the table of docs/trust.md: what, trials, of them met, red."""
        lines = []
        for row, faults in ROWS.items():
            trials, missed, red = (sum(column) for column in zip(*map(self.total, faults), strict=True))
            lines.append(f"| {row} | {trials:,} | {trials - missed:,} | {red:,} |")
        return lines
