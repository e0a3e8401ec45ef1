"""A step of a build: what a stage is made of and how, so that it can be looked up before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simsearch.artifacts import Workspace, digest_of
from simsearch.console import Progress

References = dict[str, dict[str, str]]
Result = tuple[dict[str, Any], str]  # facts of the artifact, and the rest of the line
Work = Callable[[Workspace, Progress], Result]


@dataclass(frozen=True)
class Step:
    """One stage of a build, ready to be made: `kind` is the folder of its artifacts, `title` begins its line.

    `inputs` are (digest, content) references: the digests enter the address, the contents are compared with what an
    artifact was made from. `work` writes into the workspace.
    """

    kind: str
    title: str
    version: int  # raised when the same settings and inputs would give another artifact
    settings: dict[str, Any]
    inputs: References
    work: Work = field(repr=False)
    quick: bool = False  # takes no time that is worth a line

    @property
    def digest(self) -> str:
        """The address of the artifact."""
        return digest_of(
            {
                "stage": self.kind,
                "version": self.version,
                "settings": self.settings,
                "inputs": {key: reference["digest"] for key, reference in self.inputs.items()},
            }
        )
