"""What the whole evaluation hands to pictures: neighbours, figures by label, checks, and what a score means."""

import json

import numpy as np
import pytest

from simsearch.evaluation.evaluate import Features, evaluate
from simsearch.evaluation.false_alarms import pair_shares
from simsearch.report.summary import summarize
from simsearch.vectors.index import build
from simsearch.vectors.normalize import NEARLY_EQUAL

G, Q, D, C, V = 200, 90, 8, 5, 60  # the last V gallery rows are val rows
LABELS = np.random.default_rng(0).integers(0, C, G + Q)
NAMES = [f"label {i}" for i in range(C)]
FEW = "fewer than 10 labels, or than half of them, have 2 photos in the gallery"


class Array:
    def __init__(self, features):
        self.features = features

    @property
    def shape(self):
        return self.features.shape

    def read(self, start, stop):
        return self.features[start:stop].copy()


def make(seed, noise=0.7):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((C, D))
    return Array((centres[LABELS] + noise * random.standard_normal((G + Q, D))).astype(np.float32))


def run(recipe=None, **options):
    recipe = recipe or make(1)
    arguments = {
        "build": "test",
        "features": Features(recipe, make(2), make(3)),
        "gallery": G,
        "query_rows": np.arange(G, G + Q),
        "labels": LABELS,
        "label_names": NAMES,
        "val_rows": np.arange(G - V, G),
        "index": build(lambda: [recipe.features[: options.get("gallery", G)]], D, "Flat"),
        "index_bytes": 1,
        "ks": [1, 5, 10],
    }
    found = evaluate(**{**arguments, **options})
    for part in (found.report, found.details, found.false_accepts):
        assert json.loads(json.dumps(part, allow_nan=False)) == part
    return found


def test_neighbours_are_of_three_kinds():
    found = run()
    entries, per_query = found.details["neighbours"], found.per_query
    assert [entry["kind"] for entry in entries] == ["typical"] * 8 + ["boundary"] * 8 + ["worst"] * 8
    wrong = per_query["recipe/index/error@10"]
    worst = [entry for entry in entries if entry["kind"] == "worst"]
    assert sorted((wrong[entry["row"] - G] for entry in worst), reverse=True)[0] == wrong.max()
    for entry in entries:
        assert entry["label"] == NAMES[LABELS[entry["row"]]]
        assert len(entry["hits"]) == 10
        scores = [hit["score"] for hit in entry["hits"]]
        assert scores == sorted(scores, reverse=True)
        assert all(hit["label"] == NAMES[LABELS[hit["row"]]] for hit in entry["hits"])
        share = np.mean([hit["label"] != entry["label"] for hit in entry["hits"]])
        assert share == pytest.approx(wrong[entry["row"] - G])
        if entry["kind"] == "boundary":
            assert per_query["boundary"][entry["row"] - G]
        if entry["kind"] == "worst":
            assert share > 0
    assert run().details == found.details


def test_the_worst_are_all_wrong_then_the_surest_mistakes():
    features = np.zeros((9, 3), np.float32)
    labels = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1])
    features[:5] = [1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0.1, 1, 0], [0, 1, 0.1]
    features[5:] = [0, 1, 0.01], [1, 0.9, 0], [1, 0.05, 0], [0, 1, 0.05]  # all wrong; mixed; right; right
    found = evaluate(
        build="t", features=Features(Array(features)), gallery=5, query_rows=np.arange(5, 9), labels=labels,
        index=build(lambda: [features[:5]], 3, "Flat"), index_bytes=1, ks=[2],
    )  # fmt: skip
    worst = [entry["row"] for entry in found.details["neighbours"] if entry["kind"] == "worst"]
    assert worst == [5]
    assert found.details["neighbours"][0]["label"] in ("0", "1")  # numbers where there are no names
    assert found.report["label_suspects"] is None
    assert found.report["reasons"] == {
        "comparisons": "no baseline",
        "gallery_curve": FEW,
        "norm_buckets": "no baseline",
        "label_suspects": "fewer than 5 neighbours were looked at",
        "false_accepts": "the val images have no pair of different labels",
        "strangers": "no val image, or no other label in the gallery",
    }


def test_figures_by_label_leaks_and_buckets_are_in_the_report():
    found = run()
    report = found.report
    assert sorted(entry["label"] for entry in report["per_class"]) == NAMES
    assert report["per_class"] == found.details["per_class"]
    assert sum(entry["queries"] for entry in report["per_class"]) == Q
    leaked = sum(entry["count"] for entry in report["leaks"])
    assert leaked / Q / 10 == pytest.approx(report["systems"]["recipe/index"]["cross_boundary_error"]["10"]["all"])
    for side in ("baseline", "baseline_cosine", "recipe"):
        for third in ("short", "middle", "long"):
            assert 0.5 < report["norm_buckets"][side][third]["roc_auc"] < 1
            assert "curve" not in report["norm_buckets"][side][third]
            assert found.details["norm_buckets"][side][third]["curve"]
    assert report["label_suspects_total"] == len(report["label_suspects"])
    assert report["reasons"] == {"gallery_curve": FEW}


def test_near_duplicates_are_found_across_and_twins_join_them():
    recipe = make(1)
    recipe.features[G + 3] = 2 * recipe.features[8]  # the same direction
    report = run(recipe, twins=np.array([[4, 17]])).report["near_duplicates"]
    assert report["pairs"][0] == {"row": G + 4, "other_row": 17, "kind": "hash", "score": None}
    assert report["pairs"][1] == {"row": G + 3, "other_row": 8, "kind": "score", "score": 1.0}
    assert (report["score_above"], report["queries"], report["with"]["queries"]) == (NEARLY_EQUAL, 1, Q)
    assert report["without"]["queries"] == Q - 1
    assert report["without"]["recipe/index"]["cross_boundary_error"]["10"]["boundary"] is not None


def test_what_a_score_means_is_read_from_val_rows_alone():
    found = run()
    same = found.false_accepts["images"], found.false_accepts["pairs"]
    counts = np.bincount(LABELS[G - V : G])
    assert same == (V, (V * V - (counts**2).sum()) // 2)
    shares = pair_shares(found.false_accepts)
    assert 0 < shares.reached(0.9).share < shares.reached(0.0).share < 1
    mixed = run(val_rows=np.arange(G - V, G + Q))  # queries among them are left out
    assert mixed.false_accepts == found.false_accepts
    assert run(val_rows=[]).false_accepts is None
    assert run(val_rows=[3]).false_accepts is None


def test_without_labels_neighbours_and_duplicates_stay():
    found = run(labels=None)
    assert {entry["kind"] for entry in found.details["neighbours"]} == {"typical"}
    assert {entry["label"] for entry in found.details["neighbours"]} == {None}
    assert found.details["per_class"] is found.details["norm_buckets"] is found.false_accepts is None
    assert found.report["near_duplicates"]["with"] == {"queries": Q}
    assert set(found.report["reasons"].values()) == {"no labels"}
    assert found.report["systems"]["recipe/index"]["intervals"] is None


@pytest.mark.parametrize(
    "options",
    [
        {"labels": np.zeros(G + Q, int)},
        {"labels": np.arange(G + Q) % 3 - 1},
        {"labels": np.where(np.arange(G + Q) < G, 0, 1)},
        {"labels": np.arange(G + Q), "label_names": None},
        {"gallery": 1, "query_rows": [1]},
        {"gallery": 2, "query_rows": [0, 1], "labels": np.zeros(G + Q, int), "val_rows": [0, 1]},
        {"gallery": 2, "query_rows": [0, 1], "labels": np.arange(G + Q) % 2, "label_names": None},
        {"ks": [3, 5000]},
        {"ks": [1]},
    ],
)
def test_odd_data_give_a_report(options):
    found = run(**options)
    assert summarize(found.report)
    assert len(found.details["neighbours"]) >= 0


def test_many_labels_stay_out_of_the_report(monkeypatch):
    monkeypatch.setattr("simsearch.evaluation.details.collect.MOST_CLASSES", 2)
    found = run()
    assert len(found.report["per_class"]) == 2
    assert len(found.details["per_class"]) == C
