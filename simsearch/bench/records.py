"""What a night is made of: cells, figures, findings. Plain data that history keeps and the outputs show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simsearch.arrays import Numbers

Values = Mapping[str, Numbers]
Status = Literal["measured", "failed", "dropped"]


def kept(image: str) -> str:
    """Return the name of an image as a history holds it: without bytes that are no text."""
    return image.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix: a recipe with a seed, an index factory and search settings.

    `slot` is its place among the cells of its recipe and seed: (factory, search settings) as they are counted in the
    matrix. It pairs cells of two nights whose names differ because a setting was changed.
    """

    recipe: str
    seed: int
    factory: str
    search: tuple[tuple[str, int], ...]
    argument: str
    settings: tuple[str, ...]
    slot: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """Return the name of the cell: "digits seed 0 IVF16,Flat nprobe=4"."""
        return " ".join([self.recipe, f"seed {self.seed}", self.factory, *(f"{k}={v}" for k, v in self.search)])


@dataclass(frozen=True)
class NightFigure:
    """One figure of a cell: metric, k (None where it has none), scope, value, 95 % interval and how many it is over."""

    metric: str
    k: int | None
    scope: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def key(self) -> tuple[str, int | None, str]:
        """Return what it is, without its value."""
        return self.metric, self.k, self.scope


@dataclass(frozen=True)
class Result:
    """What became of a cell. `status`: measured, failed (`stage` and `error` say where and why) or dropped (for time).

    `digests` are the (digest, content) references of its artifacts, `seconds` those of its stages. `per_query` holds
    float arrays (Q,) in the order of `queries`, the names of the query images; NaN: no value for that query.
    `per_image` holds float arrays (T,) in the order of `tried`, the names of the images that tried the scores of a
    recipe with [defects]: "score", "defective" and "flagged" (0 or 1), "group" (images of one number are of one group).
    `broken`: it failed because an index does not hold what it promises, which is a regression.
    """

    cell: Cell
    status: Status
    stage: str | None = None
    error: str | None = None
    broken: bool = False
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    figures: tuple[NightFigure, ...] = ()
    queries: tuple[str, ...] = ()
    per_query: Values = field(default_factory=dict)
    tried: tuple[str, ...] = ()
    per_image: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Night:
    """One run of the job. `number` counts up for ever; `verdict` is None while it runs.

    `machine` is in words and `fingerprint` its digest; `commit` is that of the working folder, `code` a digest of
    simsearch's own files, `matrix` the digest of the matrix file.
    """

    number: int
    started: str
    commit: str | None
    code: str
    matrix: str
    machine: str
    fingerprint: str
    versions: Mapping[str, str | None]
    finished: str | None = None
    verdict: Literal["pass", "regression", "failed", "abandoned"] | None = None
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Return the name of its scratch area."""
        return f"night-{self.number:06d}"


@dataclass(frozen=True)
class Loser:
    """A class, query or image that lost: its name, how many of these it is over, and its mean before and after."""

    name: str
    n: int
    before: float
    after: float


@dataclass(frozen=True)
class Cause:
    """Which stage moved (None where no one stage can be told apart), and how that is known.

    The stages are data, embedder, features, defects, index and search settings, in the order in which data flow.

    `classes` and `queries` are those that lost most, in the metric that `of` names and that is `over` queries, or
    images. `picture`: PNG bytes of queries
    with their neighbours before and after, None where they could not be drawn.
    """

    stage: str | None
    why: str
    classes: tuple[Loser, ...] = ()
    queries: tuple[Loser, ...] = ()
    picture: bytes | None = None
    of: str = ""
    over: tuple[str, str] = ("query", "queries")


@dataclass(frozen=True)
class Finding:
    """A figure of tonight against that of the accepted night, over the `n` queries that both have.

    `difference` is after - before with its 95 % interval and p-value, `p_holm` corrected for all tests of the night;
    for speed `before` and `after` are ratios to the reference workload, and p is None. `worse` fails the night.
    """

    cell: str
    metric: str
    k: int | None
    scope: str
    before: float
    after: float
    difference: float
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    n: int | None = None
    worse: bool = False
    better: bool = False
    cause: Cause | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a night: every comparison, and notes on what was not compared and why."""

    outcome: Literal["pass", "regression", "failed"]
    findings: tuple[Finding, ...]
    failed: tuple[Result, ...]
    dropped: tuple[Cell, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def code(self) -> int:
        """Return the exit code: 0 pass, 1 regression, 2 something could not run."""
        return {"pass": 0, "regression": 1, "failed": 2}[self.outcome]

    @property
    def worse(self) -> tuple[Finding, ...]:
        """Return the findings that fail the night."""
        return tuple(finding for finding in self.findings if finding.worse)


@dataclass(frozen=True)
class Story:
    """All that the outputs show: the night, the accepted one it is held against, its results and verdict, and trends.

    `trend` is every figure of every finished night, oldest first: (night, results without per-query values).
    `accepts` are the nights that were ever accepted, by number, with the reason that was given.
    """

    night: Night
    accepted: Night | None
    results: tuple[Result, ...]
    verdict: Verdict
    trend: tuple[tuple[Night, tuple[Result, ...]], ...] = ()
    accepts: Mapping[int, str] = field(default_factory=dict)
