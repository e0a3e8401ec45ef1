"""Which method: the one that best tells normal images of a validation part from defects, real ones or made ones.

Neither the test part nor the calibration part is asked: a method that was chosen by the images that set its threshold
would pass them too easily.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simsearch.arrays import Doubles, Floats
from simsearch.defects.pooled import POOLED
from simsearch.errors import VectorsError
from simsearch.statistics.ranks import auroc

Scored = tuple[Doubles, Doubles]  # defect scores of the validation part's normal images, and of defective ones

_DIGITS = 3  # of an AUROC: what agrees in them is a tie


@dataclass(frozen=True)
class Chosen:
    """The `method` taken, the image AUROC of each on the validation part, and in words which and by what."""

    method: str
    figures: dict[str, float]
    synthetic: bool
    reason: str


def choose_method(scored: Mapping[str, Scored], *, synthetic: bool) -> Chosen:
    """Return the method with the best image AUROC; of several that agree in three digits the first, so: simplest first.

    `synthetic`: the defective ones were made by cut and paste (synthetic.py), for want of any at hand. Raises
    VectorsError where there is no method, no normal or no defective image.
    """
    if not scored or not all(len(normal) and len(defective) for normal, defective in scored.values()):
        raise VectorsError(
            "no method can be chosen: expected normal and defective images of a validation part, seen none",
            hint="name the method: " + ", ".join(POOLED),
        )
    figures = {method: auroc(defective, normal) for method, (normal, defective) in scored.items()}
    best = max(figures, key=lambda method: round(figures[method], _DIGITS))
    normal, defective = scored[best]
    kind = "made by cut and paste, which rank methods and promise nothing" if synthetic else "at hand"
    others = ", ".join(f"{method} {area:.3f}" for method, area in figures.items() if method != best)
    reason = (
        f"{best}: image AUROC {figures[best]:.3f} by {len(normal):,} normal images against {len(defective):,} "
        f"defective, {kind}{f'; {others}' if others else ''}"
    )
    return Chosen(best, figures, synthetic, reason)


def score_pooled(
    fit: Floats, normal: Floats, defective: Floats, methods: Sequence[str] = tuple(POOLED)
) -> dict[str, Scored]:
    """Return what each pooled score, fitted on features `fit` (N, D), says of `normal` and `defective` ones (M, D).

    A method that cannot be fitted to them is left out. Raises VectorsError where none can.
    """
    found: dict[str, Scored] = {}
    failed: VectorsError | None = None
    for method in methods:
        try:
            detector = POOLED[method].fit(fit)
        except VectorsError as error:
            failed = error
            continue
        found[method] = detector.scores(normal), detector.scores(defective)
    if not found and failed is not None:
        raise failed
    return found
