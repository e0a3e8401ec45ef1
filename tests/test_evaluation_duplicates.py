"""Groups of duplicates against what was planted, and against a slow loop."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from simsearch.evaluation.details import others as module
from simsearch.evaluation.details.duplicates import duplicates
from simsearch.evaluation.details.others import nearest_others, one_of_each
from simsearch.page.html import Pictures
from simsearch.report.sections.document import section


class Source:
    def __init__(self, rows):
        self.rows, self.shape = rows, rows.shape

    def read(self, start, stop):
        return self.rows[start:stop]


def digests(keys):
    return np.array([hashlib.sha256(str(key).encode()).digest() for key in keys], dtype="S32")


def looked(digests, looks, source):
    return duplicates(digests, looks, source, nearest_others(source, one_of_each(digests), 12))


@pytest.fixture
def planted():
    """(digests, features) of 60 rows: 3 copies 5 = 17 = 40 and 8 = 9; near by score 20 ~ 21 ~ 22, and 30 ~ 5."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(60, 32)).astype(np.float32)
    rows[[17, 40]], rows[9] = rows[5], rows[8]
    rows[21], rows[22] = 3 * rows[20] + 0.01, rows[20] - 0.01
    rows[30] = rows[5] + 0.005
    keys = np.arange(60)
    keys[[17, 40]], keys[9] = 5, 8
    return digests(keys), rows


def test_copies_looks_and_scores_are_told_apart(planted):
    found = looked(planted[0], [[5, 17, 33], [8, 9], [1, 2]], Source(planted[1]))
    assert [group["rows"] for group in found["copies"]["listed"]] == [[5, 17, 40], [8, 9]]
    assert (found["copies"]["groups"], found["copies"]["images"]) == (2, 5)
    assert found["copies"]["listed"][0]["score"] == pytest.approx(1)
    assert sorted(group["rows"] for group in found["looks"]["listed"]) == [[1, 2], [5, 33]]
    near = found["score"]
    assert sorted(group["rows"] for group in near["listed"]) == [[5, 30], [20, 21, 22]]
    assert (near["above"], near["rows"], near["groups"], near["images"]) == (0.999, 57, 2, 5)
    scores = [group["score"] for group in near["listed"]]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.999


def test_scores_against_a_slow_loop():
    random = np.random.default_rng(1)
    rows = (random.normal(size=(20, 4))[random.integers(0, 20, 300)] + 0.02 * random.normal(size=(300, 4))).astype(
        np.float32
    )
    found = looked(digests(range(300)), None, Source(rows))
    assert found["looks"] is None
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T
    expected = []
    for row in range(300):
        if any(row in group for group in expected):
            continue
        near = [int(o) for o in np.argsort(-scores[row], kind="stable")[:11] if scores[row, o] > 0.999 and o != row]
        joins = [group for group in expected if set(near) & set(group) and scores[row, group[0]] > 0.999]
        fresh = [other for other in near if not any(other in group for group in expected)]
        if joins:
            joins[0].append(row)
        elif fresh:
            expected.append([row, *fresh])
    expected = [[group[0], *sorted(group[1:])] for group in expected]
    assert max(map(len, expected)) > 11
    assert found["score"]["groups"] == len(expected) > 5
    assert found["score"]["images"] == sum(map(len, expected))
    listed = {tuple(group["rows"]) for group in found["score"]["listed"]}
    assert listed <= {tuple(group[:20]) for group in expected}


def test_large_corpora_are_sampled_and_lists_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 50 * 400)
    rows = np.repeat(np.random.default_rng(0).normal(size=(200, 16)), 2, axis=0).astype(np.float32)
    rows[1::2] += 1e-4
    found = looked(digests(range(400)), [[i, i + 1] for i in range(0, 400, 2)], Source(rows))
    assert found["score"]["rows"] == 50
    assert 25 <= found["score"]["groups"] <= 50
    assert (found["looks"]["groups"], len(found["looks"]["listed"])) == (200, 50)
    found = looked(digests([0] * 400), None, Source(rows))
    assert found["copies"]["groups"] == 1
    assert found["copies"]["listed"][0] == {
        "images": 400,
        "rows": list(range(20)),
        "score": found["copies"]["listed"][0]["score"],
    }
    assert (found["score"]["rows"], found["score"]["groups"]) == (1, 0)


def test_the_page_shows_them(planted):
    def groups(found):
        pictures = Pictures(lambda row: b"picture", lambda row: f"<{row}>", [])
        return section("duplicates", report={"duplicates": found}, pictures=pictures)

    html = groups(looked(planted[0], [[1, 2]], Source(planted[1])))
    assert "2 groups, 5 images in all, of the very same bytes" in html
    assert "1 group, 2 images in all, that look the same" in html
    assert "above 0.999" in html
    assert html.count("<use href") == 5 + 2 + 5
    assert "&lt;17&gt;" in html
    assert groups(None) == ""
    none = looked(digests(range(3)), None, Source(np.eye(3, dtype=np.float32)))
    html = groups(none)
    assert "No images of the very same bytes" in html
    assert "look the same" not in html
