"""Every figure of a system, in one table: its names, its direction, how it is computed, and where it is shown.

A new figure is a row here and a function of `Block`: mean, interval, queries.npz, seeds, `compare`, the gate, the page
and the terminal table are loops over FIGURES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from simsearch.evaluation.false_alarms import FALSE_ACCEPT_RATES

if TYPE_CHECKING:  # the reader of a report needs no numpy
    from simsearch.arrays import Numbers
    from simsearch.evaluation.retrieval import Block
    from simsearch.evaluation.verification import Verification

Rates = Mapping[float, float | None]  # a value at each false accept rate


def first_k(ks: Sequence[int]) -> int:
    """Return the k of the headline's recall."""
    return ks[0]


def headline_k(ks: Sequence[int]) -> int:
    """Return the k of the headline's errors: 10 where it was asked, else the last."""
    return 10 if 10 in ks else ks[-1]


@dataclass(frozen=True)
class Figure:
    """A figure of a system: a mean over queries, or over pairs of queries.

    `values` of a block of queries, (B,) at k, or `pairs`. `by` is what it is measured at: k, a false accept rate or
    nothing. `scopes` are the queries that it is over. `group` is where it stands on the page. `file` is its name in
    queries.npz, None: not kept there. A `deep` one looks at as many rows as the largest label has, which an approximate
    index is not asked for. `heads` choose the k at which the terminal shows it, the first of them its headline; () is
    shown on the page alone. `least` is the loss that matters to `compare` and the gate; None is never judged, but kept
    by nights where it is `watched`.
    """

    key: str
    name: str
    group: Literal["recall", "error", "precision", "share", "pairs"]
    values: Callable[[Block, int], Numbers] | None = None
    pairs: Callable[[Verification], float | Rates] | None = None
    by: Literal["k", "rate"] | None = "k"
    scopes: tuple[str, ...] = ("all",)
    higher_is_better: bool = True
    interval: Literal["wilson", "bootstrap"] | None = "bootstrap"
    file: str | None = None
    deep: bool = False
    heads: tuple[Callable[[Sequence[int]], int], ...] = ()
    least: float | None = None
    watched: bool = False
    words: str = ""  # in sentences, where these are not the name


FIGURES = (
    Figure("recall", "recall", "recall", lambda found, k: found.hit(k), interval="wilson", file="hit",
           heads=(first_k, headline_k), least=0.002),
    Figure("relevant_recall", "relevant_recall", "share", lambda found, k: found.share(k)),
    Figure("precision", "precision", "precision", lambda found, k: found.precision(k)),
    Figure("map_at_r", "MAP@R", "share", lambda found, k: found.average_precision(), by=None, file="average_precision",
           deep=True, heads=(first_k,), least=0.002),
    Figure("r_precision", "R-precision", "share", lambda found, k: found.precision_at_r(), by=None, file="r_precision",
           deep=True),
    Figure("cross_boundary_error", "error", "error", lambda found, k: found.error(k), scopes=("all", "boundary"),
           higher_is_better=False, file="error", heads=(headline_k,), least=0.002, words="cross-boundary error"),
    Figure("roc_auc", "ROC AUC", "pairs", pairs=lambda found: found.roc_auc, by=None, watched=True),
    Figure("eer", "EER", "pairs", pairs=lambda found: found.eer, by=None, higher_is_better=False),
    Figure("tar_at_far", "TAR at FAR", "pairs", pairs=lambda found: found.tar_at_far, by="rate"),
    Figure("inversion_rate", "inversion rate", "pairs", pairs=lambda found: found.inversion_rate, by=None,
           higher_is_better=False, watched=True),
)  # fmt: skip
BY_KEY = {figure.key: figure for figure in FIGURES}
CLAIM = "cross_boundary_error"  # what the project claims to lower, over boundary queries


class Place(NamedTuple):
    """Where a figure stands: its key, the k (or the rate) that it is measured at, and the queries that it is over."""

    key: str
    k: float | None = None
    scope: str = "all"

    @property
    def figure(self) -> Figure:
        """The row of the table."""
        return BY_KEY[self.key]

    @property
    def hits(self) -> Literal["right", "wrong"] | None:
        """What its values count where each is 0 or 1: precision@1 and error@1 are recall@1 in other words."""
        if self.figure.interval == "wilson" or (self.key == "precision" and self.k == 1):
            return "right"
        return "wrong" if self.key == CLAIM and self.k == 1 else None

    @property
    def title(self) -> str:
        """Its name without the scope: "error@10", "MAP@R", "TAR at FAR 0.001"."""
        if self.k is None:
            return self.figure.name
        return f"{self.figure.name}{'@' if self.figure.by == 'k' else ' '}{self.k}"

    @property
    def scoped(self) -> str:
        """The name with the scope where there are several: "error@10 boundary"."""
        return self.title if len(self.figure.scopes) == 1 else f"{self.title} {self.scope}"

    @property
    def steps(self) -> tuple[str, ...]:
        """The keys that lead to it in report.json: "cross_boundary_error", "10", "boundary"."""
        at = () if self.k is None else (str(self.k),)
        return (self.key, *at, self.scope) if len(self.figure.scopes) > 1 else (self.key, *at)

    def stored(self, system: str) -> str:
        """Return the key of its values in queries.npz: "recipe/index/error@10", of whatever scope."""
        return f"{system}/{self.figure.file}" + ("" if self.k is None else f"@{self.k}")

    def of(self, tree: Any) -> Any:
        """Return what stands there in a tree of figures (or of their intervals); None where a step is missing."""
        for step in self.steps:
            tree = tree.get(step) if isinstance(tree, Mapping) else None
        return tree


def places(figure: Figure, ks: Sequence[int]) -> Iterator[Place]:
    """Yield the places of a figure, by what it is measured at, then by scope."""
    steps: Mapping[str | None, Sequence[float | None]] = {"k": ks, "rate": FALSE_ACCEPT_RATES, None: (None,)}
    for step in steps[figure.by]:
        yield from (Place(figure.key, step, scope) for scope in figure.scopes)


def all_places(ks: Sequence[int]) -> list[Place]:
    """Return the places of every figure, in the order of the table."""
    return [place for figure in FIGURES for place in places(figure, ks)]


def columns(ks: Sequence[int], most: int | None = None) -> list[Place]:
    """Return what the terminal shows of a system, figures at k first; of each figure `most` of its heads."""
    return [
        Place(figure.key, head(ks) if figure.by else None, scope)
        for figure in sorted(FIGURES, key=lambda figure: figure.by is None)
        for head in figure.heads[:most]
        for scope in figure.scopes
    ]


def heads(ks: Sequence[int]) -> list[Place]:
    """Return one place of each figure that the terminal shows, over each of its scopes: what is compared and judged."""
    return columns(ks, 1)


def headline(ks: Sequence[int]) -> tuple[Place, Place]:
    """Return the two places that a report speaks of first: recall at the first k, and the claim over the boundary."""
    return Place("recall", first_k(ks)), Place(CLAIM, headline_k(ks), "boundary")
