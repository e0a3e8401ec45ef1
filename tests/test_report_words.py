"""Every system has a name that people read, and a sentence that says what it is."""

from __future__ import annotations

from simsearch.evaluation.comparison import BASELINES, HEADLINE
from simsearch.report.words import MEANINGS, NAMES, system_words


def test_every_system_of_a_report_has_a_name_of_its_own(arguments):
    keys = set(arguments["report"]["systems"])
    assert keys >= {HEADLINE, *BASELINES}
    assert keys == set(NAMES) == set(MEANINGS)
    assert len(set(NAMES.values())) == len(NAMES)
    assert not [name for name in NAMES.values() if "/" in name or len(name) > 18]  # a column of the terminal
    assert system_words("recipe/index") == "your search"


def test_a_system_that_is_not_known_keeps_its_key():
    assert system_words("recipe/toy") == "recipe/toy"
