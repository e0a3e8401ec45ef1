"""What all runs add up to: inputs by parser and by what came of them, and the runs with their seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("fuzz_counts.json")
LETTERS = "rsvx"  # refused, the answer of the good file, another valid one, a find


@dataclass
class FuzzCounts:
    """Inputs of each parser by letter, runs, and the mutants that were found."""

    parsers: dict[str, dict[str, int]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    mutants: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> FuzzCounts:
        """Return what was counted so far."""
        return cls(**json.loads(path.read_bytes())) if path.exists() else cls()

    def add(self, parser: str, letter: str) -> None:
        """Count an input."""
        counted = self.parsers.setdefault(parser, dict.fromkeys(LETTERS, 0))
        counted[letter] += 1

    def write(self, path: Path) -> None:
        """Keep them, sorted."""
        path.write_text(json.dumps(vars(self), indent=1, sort_keys=True) + "\n")

    def total(self) -> int:
        """Return how many inputs were read."""
        return sum(sum(counted.values()) for counted in self.parsers.values())

    def table(self) -> list[str]:
        """Return the rows of the table of docs/trust.md: parser, inputs, refused, as the good file, valid, finds."""
        rows = {name: list(map(counted.get, LETTERS)) for name, counted in self.parsers.items()}
        rows["together"] = [sum(column) for column in zip(*rows.values(), strict=True)]
        return [
            f"| {name.replace('-', ' ')} | {sum(row):,} | {' | '.join(f'{one:,}' for one in row)} |"  # type: ignore[arg-type]
            for name, row in rows.items()
        ]
