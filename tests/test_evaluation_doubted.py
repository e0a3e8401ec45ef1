"""Labels that the nearest others of an image do not say, against what was planted and a plain account."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simsearch.evaluation.details import others as module
from simsearch.evaluation.details.around import Small, look_around
from simsearch.evaluation.details.doubted import NEIGHBOURS, doubted
from simsearch.evaluation.details.others import nearest_others
from simsearch.evaluation.vote import vote, votes_for
from simsearch.report.sections.errors import doubt_words

LABELS, EACH, DIM = 8, 25, 12


class Source:
    def __init__(self, rows):
        self.rows, self.shape = rows, rows.shape

    def read(self, start, stop):
        return self.rows[start:stop]


@pytest.fixture
def features():
    """Raw features of 8 labels of 25 images, those of a label near each other."""
    random = np.random.default_rng(3)
    centres = np.repeat(random.standard_normal((LABELS, DIM)), EACH, axis=0)
    return (5 * (centres + 0.25 * random.standard_normal(centres.shape))).astype(np.float32)


@pytest.fixture
def labels():
    return np.repeat(np.arange(LABELS), EACH)


def every(features):
    return np.ones(len(features), dtype=np.bool_)


def ask(features, labels, *alike, k=NEIGHBOURS):
    return doubted(nearest_others(Source(features), every(features), k), labels, alike, str)


def test_planted_labels_are_doubted_and_the_right_one_is_said(features, labels):
    given = labels.copy()
    given[[7, 60, 110, 199]] = [3, 0, 6, 1]
    found = ask(features, given)
    assert {(one["row"], one["label"], one["says"]) for one in found["listed"]} == {
        (7, "3", "0"), (60, "0", "2"), (110, "6", "4"), (199, "1", "7"),
    }  # fmt: skip
    assert (found["asked"], found["of"], found["total"]) == (200, 200, 4)
    assert ask(features, labels)["listed"] == []


def test_against_a_plain_account(features):
    random = np.random.default_rng(0)
    labels = random.integers(-1, 9, len(features))
    found = ask(features, labels)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = []
    for row in np.flatnonzero(labels >= 0):
        scores = unit @ unit[row]
        scores[row] = -np.inf
        near = [one for one in np.argsort(-scores, kind="stable")[:15] if labels[one] >= 0]
        weights = np.exp((scores[near] - scores[near].max()) / 0.07)
        shares = np.bincount(labels[near], weights / weights.sum(), minlength=9)
        if len(near) >= 5 and shares[labels[row]] <= 0.05 and shares.max() >= 0.2:
            expected.append((shares[labels[row]] - shares.max(), row, shares.argmax(), shares.max()))
    assert len(expected) > 5
    assert [(one["row"], one["says"]) for one in found["listed"]] == [
        (row, str(says)) for _, row, says, _ in sorted(expected)
    ]
    assert [one["share"] for one in found["listed"]] == pytest.approx(
        [share for *_, share in sorted(expected)], abs=1e-4
    )
    assert found["asked"] == found["of"] == (labels >= 0).sum()


def test_what_belongs_together_is_not_heard(features, labels):
    """A wrong label that a whole series has: without the series it is doubted."""
    series = np.full(len(labels), -1)
    series[25:41] = 5
    given = labels.copy()
    given[25:41] = 7
    assert ask(features, given)["listed"] == []
    found = ask(features, given, series, k=NEIGHBOURS + 15)
    assert {one["row"] for one in found["listed"]} == set(range(25, 41))
    assert {one["says"] for one in found["listed"]} == {"1"}


@pytest.mark.parametrize("together", [True, False])
def test_a_label_that_no_other_image_has_cannot_be_doubted(features, labels, together):
    given = labels.copy()
    given[[3, 4]] = LABELS  # both lie among label 0
    pair = np.where(given == LABELS, 0, -1)
    found = ask(features, given, *([pair] if together else []), k=NEIGHBOURS + 1)
    assert found["total"] == 0 if together else found["listed"][0]["says"] == "0"


def test_few_neighbours_say_nothing(features, labels):
    unknown = np.where(np.isin(np.arange(len(labels)), [0, 26, 27, 28, 29]), labels, -1)
    unknown[1:3] = 0
    assert ask(features[:30], unknown[:30])["total"] == 0
    assert ask(features[:1], labels[:1])["total"] == 0


def test_many_are_cut_and_counted(features, labels, monkeypatch):
    monkeypatch.setattr("simsearch.evaluation.details.doubted.MOST_LISTED", 2)
    given = labels.copy()
    given[[7, 60, 110]] = [3, 0, 6]
    found = {"by": "features", **ask(features, given)}
    assert (found["total"], len(found["listed"])) == (3, 2)
    assert doubt_words(found).endswith("the 15 nearest vote for that one; the surest 2 are listed.")
    assert doubt_words(found).startswith("Of 200 images, 3 lie among others of another label, by features that learnt")


def test_large_corpora_are_sampled_and_wide_features_made_narrow(features, labels, monkeypatch):
    random = np.random.default_rng(0)
    wide = (features @ random.standard_normal((DIM, 400))).astype(np.float32)
    whole = nearest_others(Source(wide), every(wide), 15)
    monkeypatch.setattr(module, "MOST_PAIRS", len(wide) ** 2)
    narrow = nearest_others(Source(wide), every(wide), 15, narrow=True)
    np.testing.assert_array_equal(whole.rows, narrow.rows)  # they spread along 12 axes only
    monkeypatch.setattr(module, "MOST_PAIRS", 50 * len(wide))
    found = doubted(nearest_others(Source(wide), every(wide), 15), labels, (), str)
    assert (found["asked"], found["of"]) == (50, 200)
    assert "Of 50 images looked at, of 200, 0 lie" in doubt_words({"by": "pictures", **found})


def around(features, labels, untrained=None, pictures=None, keys=None):
    digests = np.arange(len(features)) if keys is None else keys
    names = [f"label {one}" for one in labels]
    return look_around(digests.astype("S32"), None, Source(features), untrained, pictures, names, None)


def test_features_that_learnt_from_no_label_are_asked_before_others(features, labels):
    given = labels.copy()
    given[7] = 3
    learnt = features.copy()
    learnt[7] = features[3 * EACH]  # as a head puts it that learnt the mistake
    assert around(learnt, given)["label_doubts"]["total"] == 0
    found = around(learnt, given, untrained=Source(features))["label_doubts"]
    assert (found["by"], found["total"], found["listed"][0]["row"]) == ("untrained", 1, 7)
    blind = np.zeros_like(features)
    assert around(learnt, given, untrained=Source(blind))["label_doubts"]["by"] == "features"
    json.dumps(found, allow_nan=False)


def test_pictures_are_asked_where_they_tell_labels_apart(features, labels):
    given = labels.copy()
    given[7] = 3
    shades = np.clip(120 + 8 * features, 0, 255).astype(np.uint8).reshape(-1, 3, 4)
    learnt = features.copy()
    learnt[7] = features[3 * EACH]
    found = around(learnt, given, pictures=shades)["label_doubts"]
    assert (found["by"], [one["row"] for one in found["listed"]]) == ("pictures", [7])
    noise = np.random.default_rng(0).integers(0, 255, shades.shape).astype(np.uint8)
    assert around(learnt, given, pictures=noise)["label_doubts"]["by"] == "features"
    flat = Small(np.full((5, 3, 4), 9, np.uint8))
    np.testing.assert_array_equal(flat.read(1, 3), np.eye(13, dtype=np.float32)[[12, 12]])


def test_a_copy_hears_no_copy_and_is_no_second_line(features, labels):
    given, keys = labels.copy(), np.arange(len(labels))
    features[[8, 9]], keys[[8, 9]], given[[7, 8, 9]] = features[7], 7, 3
    found = around(features, given, keys=keys)["label_doubts"]
    assert [one["row"] for one in found["listed"]] == [7]
    assert found["of"] == len(labels) - 2


def test_without_labels_nothing_is_doubted(features):
    found = look_around(np.arange(200).astype("S32"), None, Source(features), None, None, None, None)
    assert found["label_doubts"] is None


def test_shares_of_votes():
    scores, labels = np.array([[0.9, 0.83, 0.2], [0.5, 0.4, 0.3]]), np.array([[1, 2, 1], [-1, -1, -1]])
    first = 1 / (1 + np.exp(-1) + np.exp(-10))
    found = votes_for(scores, labels, np.array([1, 1]))
    np.testing.assert_allclose(found, [first * (1 + np.exp(-10)), 0])
    assert vote(scores, labels).labels.tolist() == [1, -1]
    assert votes_for(np.empty((0, 0)), np.empty((0, 0), int), np.empty(0, int)).shape == (0,)
