"""simsearch/defects/shown.py and the page's section: which pictures are shown, and what older documents lack."""

from __future__ import annotations

import copy
import re

from simsearch.defects.shown import MOST_KINDS, pictures
from simsearch.page.html import Pictures
from simsearch.report.defects import Told
from simsearch.report.sections.document import section

KINDS = {**dict.fromkeys(range(10, 17), "cut"), **dict.fromkeys(range(17, 20), "hole")}
LABELS = [KINDS.get(row, "good") for row in range(20)]


def told(defective=(0.5, 4.0, 2.0, 9.0, 3.0, 8.0, 7.0, 6.0, 1.0, 5.0)):
    """Rows 0 to 3 set the threshold of 2.5, 4 to 9 are other normal ones, from 10 on defective ones."""
    rate = {"share": 0.5, "interval": [0.25, 0.75], "images": 6, "groups": 6}
    area = {"auroc": 0.9, "interval": [0.8, 1.0], "defective": 7, "groups": 7, "found": rate}
    return {
        "schema": 1, "normal": "good", "method": "mean", "chosen": None, "false_alarms": 0.2, "threshold": 2.5,
        "false_alarms_spread": [0.0, 0.5], "grouped": False, "warnings": [], "pixels": None,
        "calibration": {"how": "split", "images": 4, "groups": 4, "rows": [0, 1, 2, 3], "scores": [1.0, 2.4, 0.5, 2.0]},
        "scored": {
            "normal": {"rows": [4, 5, 6, 7, 8, 9], "scores": [0.1, 2.6, 0.2, 0.3, 2.9, 0.4]},
            "defective": {"rows": list(range(10, 10 + len(defective))), "scores": list(defective)},
        },
        "test": {"normal": 6, "defective": 10, "false_alarms": rate, "found": rate, "auroc": 0.9,
                 "interval": [0.8, 1.0], "kinds": {"cut": area, "hole": dict(area)}},
    }  # fmt: skip


def rows(entries):
    return [entry.row for entry in entries]


def test_worst_nearest_and_best_come_first():
    found = pictures(told(), LABELS.__getitem__)
    assert {name: rows(entries) for name, entries in found.lists.items()} == {
        "alarms": [8, 5],
        "missed": [10, 18, 12],
        "near": [5, 8, 12],
        "surest": [13, 15, 16],
        "normal": [4, 6, 7],
        "unusual": [1, 3, 0],
    }
    assert {kind: rows(entries) for kind, entries in found.kinds.items()} == {"cut": [10, 11, 13], "hole": [18, 19, 17]}
    assert found.rows() == [0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18, 19]


def test_one_kind_has_no_list_of_its_own_and_of_many_kinds_the_first_have():
    assert pictures(told(), lambda row: "one").kinds == {}
    assert len(pictures(told(), str).kinds) == MOST_KINDS
    assert "missed" not in pictures(told(()), LABELS.__getitem__).lists


def drawn(one):
    facts = {"defects": one, "defect_words": Told(one).words()}
    shown = Pictures(lambda row: b"p", lambda row: f"{row}.png", LABELS)
    return section("defects", facts=facts, pictures=shown, labels=LABELS)


def test_the_section_of_a_method_without_places_has_thumbnails_and_says_nothing_of_pixels():
    page = drawn(told())
    assert set(re.findall(r'href="#(\D+)\d+"', page)) == {"p"}
    assert 'id="defect-roc-title"' in page
    assert "50.0\u00a0%" in page
    assert not re.search(r"[Pp]ixel|mask|frame", page)


def test_a_document_of_an_older_version_is_shown_as_far_as_it_goes():
    old = copy.deepcopy(told())
    del old["calibration"]["rows"], old["pixels"]
    for area in old["test"]["kinds"].values():
        del area["found"]
    page = drawn(old)
    assert "Nearest to the threshold" in page
    assert "Most unusual" not in page


def test_normal_pictures_alone_have_no_roc():
    one = told(())
    one["scored"]["normal"] = {"rows": [], "scores": []}
    one["test"] = {"normal": 0, "defective": 0, "false_alarms": None, "found": None}
    page = drawn(one)
    assert "Most unusual of the normal ones" in page
    assert "ROC" not in page
    assert "Defects by kind" not in page
