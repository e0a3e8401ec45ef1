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
    from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

    error = deviation / math.sqrt(count)
    reach = float(stdtrit(count - 1, 0.975)) * error
    return mean, (mean - reach, mean + reach), min(1.0, 2 * float(stdtr(count - 1, -abs(mean) / error)))
