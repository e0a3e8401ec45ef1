"""Student's t over a few values."""

from __future__ import annotations

import math
from collections.abc import Sequence

_NO_SPREAD = 1e-12  # differences of the same shares, summed in another order, differ by less


def t_test(values: Sequence[float]) -> tuple[float, tuple[float, float] | None, float | None]:
    """Return mean, 95 % t interval (low, high) and two-sided p-value of "the mean is zero", of at least two values.

    Student 1908, The probable error of a mean. Values without any spread say nothing about the spread of further ones:
    interval and p-value are then None, but for zeros alone, which are (0, 0) and 1. Raises ValueError for fewer values.
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"expected at least two values, seen {count}")
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    if deviation < _NO_SPREAD:
        return (0.0, (0.0, 0.0), 1.0) if abs(mean) < _NO_SPREAD else (mean, None, None)
    return mean, *t_interval(mean, deviation / math.sqrt(count), count - 1)


def t_interval(estimate: float, error: float, freedom: int) -> tuple[tuple[float, float], float]:
    """Return the 95 % t interval (low, high) of an estimate and the two-sided p-value of "it is zero".

    `error`, above 0, is its standard error with `freedom` degrees of freedom.
    """
    from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

    reach = float(stdtrit(freedom, 0.975)) * error
    return (estimate - reach, estimate + reach), min(1.0, 2 * float(stdtr(freedom, -abs(estimate) / error)))
