"""The fastest index that reaches a recall target, found by measuring."""

from simsearch.vectors.tuning.choice import Choice
from simsearch.vectors.tuning.choose import choose

__all__ = ["Choice", "choose"]
