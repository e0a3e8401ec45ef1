"""No query finds its own group, and no pair within a group counts: each figure against a slow and obvious loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from simsearch.errors import VectorsError
from simsearch.evaluation import few_shot as shots_module
from simsearch.evaluation.boundary import boundary_queries
from simsearch.evaluation.details.norm_buckets import norm_buckets
from simsearch.evaluation.evaluate import Features, evaluate
from simsearch.evaluation.false_alarm_table import false_accept_table
from simsearch.evaluation.few_shot import few_shot
from simsearch.evaluation.own import Own, numbered
from simsearch.evaluation.retrieval import relevant_counts
from simsearch.evaluation.strangers import stranger_table
from simsearch.evaluation.verification import verify
from simsearch.vectors.index import build
from simsearch.vectors.normalize import normalize


class Array:
    def __init__(self, features):
        self.features, self.shape = features, features.shape

    def read(self, start, stop):
        return self.features[start:stop].copy()


@st.composite
def cases(draw):
    """(features, labels, groups, gallery, query rows): groups within and over labels, leave-one-out or not."""
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    gallery, more = draw(st.integers(8, 40)), draw(st.integers(1, 12))
    total = gallery + more
    labels = random.integers(-1 if draw(st.booleans()) else 0, draw(st.integers(2, 4)), total)
    groups = random.integers(-3, draw(st.integers(1, 12)), total).clip(-1)
    if draw(st.booleans()):
        groups = np.where(groups >= 0, 10 * groups + labels, -1)
    inside = random.permutation(gallery)[: draw(st.integers(0, gallery))]
    rows = np.concatenate((inside, np.arange(gallery, total)[: draw(st.integers(0, more))])).astype(np.int64)
    features = (random.normal(size=(total, 5)) + 1.5 * labels[:, None]).astype(np.float32)
    return features, labels, groups, gallery, rows if len(rows) else np.array([0])


def others(row, groups, gallery):
    """The gallery rows that a query may find."""
    return [g for g in range(gallery) if g != row and (groups[row] < 0 or groups[g] != groups[row])]


def measured(case, ks=(1, 3, 10), factory="Flat", **options):
    features, labels, groups, gallery, rows = case
    return evaluate(
        build="t",
        features=Features(Array(features), Array(features), Array(features)),
        gallery=gallery,
        query_rows=rows,
        labels=labels,
        groups=groups,
        index=build(lambda: [features[:gallery]], features.shape[1], factory, rows=gallery),
        index_bytes=1,
        ks=ks,
        **options,
    )


@settings(max_examples=6, deadline=None)
@given(cases())
def test_every_figure_equals_a_loop_over_the_rows_that_a_query_may_find(case):
    check_figures(case)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(cases())
def test_every_figure_of_many_cases_equals_the_loop(case):
    check_figures(case)


def check_figures(case):
    features, labels, groups, gallery, rows = case
    allowed = {row: others(row, groups, gallery) for row in rows.tolist()}
    width = min(map(len, allowed.values()))
    if width < 1:
        with pytest.raises(VectorsError, match="group of a query"):
            measured(case)
        return
    found = measured(case)
    unit = normalize(features)
    distances = ((features[:, None].astype(np.float64) - features[None]) ** 2).sum(-1)
    for system, scores in (("recipe/cosine", unit @ unit.T), ("recipe/raw-l2", -distances), ("recipe/index", None)):
        scores = unit @ unit.T if scores is None else scores
        hits, errors, average, relevant = [], [], [], []
        for row in rows.tolist():
            ranked = sorted(allowed[row], key=lambda g: (-scores[row, g], g))
            right = [labels[g] == labels[row] >= 0 for g in ranked]
            relevant.append(sum(right))
            if not sum(right):
                hits.append([math.nan] * 3)
                errors.append([math.nan] * 3)
                average.append(math.nan)
                continue
            hits.append([float(any(right[: min(k, width)])) for k in (1, 3, 10)])
            errors.append([1 - sum(right[: min(k, width)]) / min(k, width) for k in (1, 3, 10)])
            average.append(sum(sum(right[: i + 1]) / (i + 1) for i in range(sum(right)) if right[i]) / sum(right))
        np.testing.assert_array_equal(found.per_query["relevant"], relevant)
        for i, k in enumerate((1, 3, 10)):
            np.testing.assert_array_equal(found.per_query[f"{system}/hit@{k}"], np.array(hits)[:, i])
            np.testing.assert_allclose(found.per_query[f"{system}/error@{k}"], np.array(errors)[:, i], atol=1e-12)
        np.testing.assert_allclose(found.per_query[f"{system}/average_precision"], average, atol=1e-6)
    assert set(found.report["index"]["ann_recall"].values()) == {1.0}
    for listed in found.details["neighbours"]:
        assert {hit["row"] for hit in listed["hits"]} <= set(allowed[listed["row"]])
    for pair in found.report["near_duplicates"]["pairs"]:
        assert pair["other_row"] in allowed[pair["row"]]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_boundary_and_relevant_rows_equal_a_loop(case):
    features, labels, groups, gallery, rows = case
    own = Own.of(rows, gallery, groups)
    margins, relevant = [], []
    for i, row in enumerate(rows.tolist()):
        allowed = others(row, groups, gallery)
        same = [g for g in allowed if labels[g] == labels[row] >= 0]
        relevant.append(len(same))
        classes = sorted(set(labels[:gallery].tolist()) - {int(labels[row]), -1})
        if same and classes:
            query = features[row].astype(np.float64)
            d_own = np.linalg.norm(query - features[same].astype(np.float64).mean(axis=0))
            means = [features[:gallery][labels[:gallery] == other].astype(np.float64).mean(axis=0) for other in classes]
            d_other = min(np.linalg.norm(query - mean) for mean in means)
            margins.append(((d_other - d_own) / (d_other + d_own), i))
    assert relevant_counts(labels[rows], labels[:gallery], own).tolist() == relevant
    assert own.counts.tolist() == [gallery - len(others(row, groups, gallery)) for row in rows.tolist()]
    expected = np.zeros(len(rows), bool)
    expected[[i for _, i in sorted(margins)[: math.ceil(len(margins) / 10)]]] = True
    halves = [features[: gallery // 2], features[gallery // 2 : gallery]]
    got = boundary_queries(features[rows], halves, labels[rows], labels[:gallery], own)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("score", ["l2", "ip"])
def test_pairs_within_a_group_are_no_pairs(score):
    random = np.random.default_rng(3)
    labels = random.integers(-1, 4, 400)
    features = (random.normal(size=(4, 6))[labels] + random.normal(size=(400, 6))).astype(np.float32)
    groups = random.integers(-20, 60, 400).clip(-1)
    got = verify(features, labels, score, groups=groups)
    first, second = np.triu_indices(400, 1)
    kept = (labels[first] >= 0) & (labels[second] >= 0)
    kept &= (groups[first] < 0) | (groups[first] != groups[second])
    first, second = first[kept], second[kept]
    a, b = features[first].astype(np.float64), features[second].astype(np.float64)
    values = (a * b).sum(1) if score == "ip" else -((a - b) ** 2).sum(1)
    same = labels[first] == labels[second]
    assert (got.same, got.different) == (same.sum(), (~same).sum())
    assert got.roc_auc == pytest.approx(roc_auc_score(same, values), abs=1e-4)
    alone = verify(features, labels, score, groups=np.full(400, -1))
    assert alone == verify(features, labels, score) != got


def test_thirds_by_norm_leave_pairs_of_a_group_out_too():
    random = np.random.default_rng(4)
    labels, groups = random.integers(0, 3, 300), random.integers(-20, 30, 300).clip(-1)
    features = (random.normal(size=(3, 6))[labels] + random.normal(size=(300, 6))).astype(np.float32)
    found = norm_buckets(features, features, labels, np.arange(300), groups)
    order = np.argsort(np.linalg.norm(features.astype(np.float64), axis=1), kind="stable")
    for bucket, members in zip(("short", "middle", "long"), np.array_split(order, 3), strict=True):
        first, second = (members[i] for i in np.triu_indices(len(members), 1))
        kept = (groups[first] < 0) | (groups[first] != groups[second])
        same = labels[first] == labels[second]
        expected = {"pairs": kept.sum(), "same": (kept & same).sum(), "different": (kept & ~same).sum()}
        assert {key: found["buckets"][bucket][key] for key in expected} == expected
        whole = verify(features[members], labels[members], "l2", groups=groups[members])
        assert found["baseline"][bucket]["roc_auc"] == whole.roc_auc
        assert expected["pairs"] == whole.same + whole.different


@pytest.mark.parametrize(("ways", "shots"), [(5, 1), (4, 3)])
def test_no_support_is_of_the_group_of_its_query(monkeypatch, ways, shots):
    random = np.random.default_rng(5)
    labels = np.repeat(np.arange(10), 12)
    groups = np.where(np.arange(120) % 12 < 9, np.arange(120) // 3, -1)  # three of three, and three alone
    groups[labels == 8] = 100  # one group: nobody is left to support
    groups[[0, 13]] = 77  # a group of two labels
    embeddings = normalize((random.normal(size=(10, 8))[labels] + random.normal(size=(120, 8))).astype(np.float32))
    order = random.permutation(120)
    embeddings, labels, groups = embeddings[order], labels[order], groups[order]
    drawn = []
    answers = shots_module._answers
    monkeypatch.setattr(shots_module, "_answers", lambda images, of: drawn.append(images) or answers(images, of))
    found = few_shot(embeddings, labels, groups=groups, ways=ways, shots=shots, episodes=600, seed=1)
    row_of = {embedding.tobytes(): row for row, embedding in enumerate(embeddings)}
    right, queries, supports = 0, np.zeros(120, int), np.zeros(120, int)
    for episode in np.concatenate(drawn):
        rows = [[row_of[image.tobytes()] for image in way] for way in episode]
        for i, (*support, query) in enumerate(rows):
            assert len({labels[row] for row in (*support, query)}) == 1
            assert len({*support, query}) == shots + 1
            assert all(groups[query] < 0 or groups[row] != groups[query] for row in support)
            queries[query] += 1
            supports[support] += 1
            scores = [
                (embeddings[query] @ embeddings[row], j)
                for j, (*other, _) in enumerate(rows)
                for row in other
                if groups[query] < 0 or groups[row] != groups[query]
            ]
            right += max(scores)[1] == i
    assert found.accuracy == pytest.approx(right / (600 * ways), abs=1e-12)
    assert found.classes == 9
    assert not queries[labels == 8].any()
    assert (queries[labels != 8] > 0).all(), "every image is asked for"
    assert (supports[labels != 8] > 0).all()


def test_an_image_of_its_own_is_in_no_group_of_few_shot():
    """The first row is of none: beside one group of a label it makes an episode possible, alone in a group none."""
    embeddings = np.eye(6, dtype=np.float32)
    labels = np.repeat([0, 1], 3)
    found = few_shot(embeddings, labels, groups=np.array([-1, 0, 0, 0, 0, -1]), ways=2, shots=1, episodes=20)
    assert found.classes == 2
    assert few_shot(embeddings, labels, groups=np.array([0, 0, 0, 0, 0, -1]), ways=2, shots=1, episodes=20) is None


def test_images_that_all_are_of_their_own_are_as_without_groups():
    random = np.random.default_rng(6)
    labels = random.integers(0, 3, 60)
    features = (random.normal(size=(3, 6))[labels] + random.normal(size=(60, 6))).astype(np.float32)
    case = features, labels, np.full(60, -1), 40, np.arange(30, 60)
    found, plain = measured(case), measured((*case[:2], None, *case[3:]))
    for one in (found, plain):
        del one.report["index"], one.report["groups"]
    assert found.report == plain.report
    assert numbered(["", "", ""]) is None
    assert numbered(["b", "", "a", "b"]).tolist() == [1, -1, 0, 1]


def test_an_approximate_index_leaves_groups_out_as_well():
    random = np.random.default_rng(7)
    labels = np.arange(400) % 4
    features = (random.normal(size=(4, 6))[labels] + random.normal(size=(400, 6))).astype(np.float32)
    groups = np.arange(400) // 8
    found = measured((features, labels, groups, 320, np.arange(400)), factory="IVF4,Flat")
    assert 0.5 < found.report["index"]["ann_recall"]["10"] <= 1
    assert found.report["unanswerable"] == 0
    for listed in found.details["neighbours"]:
        assert all(hit["row"] // 8 != listed["row"] // 8 for hit in listed["hits"])


def test_bursts_flatter_until_they_are_told():
    """Shots of one object are nearly one vector, and objects of a label no nearer than others: recall is chance."""
    random = np.random.default_rng(8)
    objects = random.normal(size=(100, 16))
    labels, groups = np.repeat(np.arange(100) % 5, 4), np.repeat(np.arange(100), 4)
    features = (objects[groups] + 0.05 * random.normal(size=(400, 16))).astype(np.float32)
    case = features, labels, None, 400, np.arange(400)
    flattered = measured(case).report["systems"]["recipe/index"]["recall"]["1"]
    honest = measured((*case[:2], groups, *case[3:])).report["systems"]["recipe/index"]["recall"]["1"]
    assert flattered == 1
    assert honest < 0.4


def test_what_a_score_means_is_counted_without_pairs_of_a_group():
    """A group that has two labels is a mistake, and its pairs are no false alarms and no strangers."""
    random = np.random.default_rng(9)
    labels = random.integers(0, 3, 80)
    groups = random.integers(-10, 12, 80).clip(-1)
    features = normalize((random.normal(size=(12, 6))[groups] + 0.3 * random.normal(size=(80, 6))).astype(np.float32))
    scores, gallery, val = features @ features.T, 60, np.arange(40, 80)
    apart = (groups[:, None] < 0) | (groups[:, None] != groups)
    other = (labels[:, None] != labels) & apart
    pairs = [scores[i, j] for i in range(80) for j in range(i) if other[i, j]]
    found = false_accept_table(features, labels, groups)
    assert found["pairs"] == len(pairs) < false_accept_table(features, labels)["pairs"]
    assert found["table"][0][0] == pytest.approx(max(pairs), abs=1e-6)
    best = sorted((max(scores[i, j] for j in range(gallery) if other[i, j]) for i in val.tolist()), reverse=True)
    strangers = stranger_table(Array(features), labels, val, gallery, groups)
    assert strangers["images"] == 40
    for score, share in strangers["table"]:
        assert share == pytest.approx(np.mean(np.array(best) >= score - 1e-6))
    assert strangers["table"][0][0] < stranger_table(Array(features), labels, val, gallery)["table"][0][0]
