"""Strangers: the table against a loop over val images, wrong first hits by score, collapse, and one figure at k = 1."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from conftest import artifact_file, run_cli
from test_evaluation_details import LABELS, Array, C, D, G, V, make, run

from simsearch.evaluation.collapse import spread
from simsearch.evaluation.evaluate import Features
from simsearch.evaluation.false_alarms import pair_shares, stranger_shares
from simsearch.evaluation.strangers import stranger_table
from simsearch.report.summary import summarize
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize

VAL = np.arange(G - V, G)


def best_of_others(features, labels, val, gallery):
    """The best score of each val row among gallery rows of another label, one by one."""
    units = normalize(features).astype(np.float64)
    others = [[j for j in range(gallery) if labels[j] >= 0 and labels[j] != labels[i]] for i in val if labels[i] >= 0]
    rows = [i for i in val if labels[i] >= 0]
    return np.array([max(units[i] @ units[j] for j in of) for i, of in zip(rows, others, strict=True) if of])


@pytest.mark.parametrize("rows", [7, 8192])
def test_the_table_counts_val_images_that_find_so_much_without_their_label(monkeypatch, rows):
    monkeypatch.setattr("simsearch.evaluation.strangers._ROWS", rows)
    source, labels = make(1), LABELS.copy()
    labels[::17] = -1
    found = json.loads(json.dumps(stranger_table(source, labels, VAL, G)))
    best = best_of_others(source.features, labels, VAL, G)
    assert found["images"] == len(best) < V
    listed, shares = np.array(found["table"]).T
    assert (np.diff(listed) < 0).all()
    assert (np.diff(shares) > 0).all()
    assert shares[-1] == 1.0
    for score in np.linspace(-1, 1, 41):
        above, below = ((best >= score + d).mean() for d in (0.2, -0.2))
        assert max(above, 1 / len(best)) <= stranger_shares(found).reached(score).share <= max(below, 1 / len(best))
        near = stranger_shares(found).reached(float(best[np.abs(best - score).argmin()]))
        assert near.share == pytest.approx((best >= best[np.abs(best - score).argmin()] - 1e-6).mean(), abs=1e-4)
    assert stranger_shares(found).reached(float(best.max())) == (pytest.approx(1 / len(best), rel=1e-3), False)
    assert stranger_shares(found).reached(float(best.max()) + 1e-4) == (1 / len(best), True)


def test_many_val_images_make_at_most_2000_entries_and_keep_the_highest():
    random = np.random.default_rng(0)
    features = random.standard_normal((6000, 3)).astype(np.float32)
    labels = np.arange(6000) % 50
    found = stranger_table(Array(features), labels, np.arange(2000, 6000), 2000)
    assert found["images"] == 4000
    assert 500 < len(found["table"]) <= 2000
    units = normalize(features)
    scores = units[2000:] @ units[:2000].T
    scores[labels[2000:, None] == labels[:2000]] = -1
    best = np.sort(scores.max(axis=1))[::-1]
    top = np.array(found["table"])[:300]
    np.testing.assert_allclose(top[:, 0], np.unique(best)[::-1][:300], atol=1e-6)
    for score in (0.999, 0.9995, 0.9999):
        assert stranger_shares(found).reached(score).share == pytest.approx((best >= score).mean(), rel=0.02)


def test_where_nobody_can_be_a_stranger_there_is_no_table():
    source = make(1)
    assert stranger_table(source, LABELS, VAL[:0], G) is None
    assert stranger_table(source, np.full_like(LABELS, -1), VAL, G) is None
    assert stranger_table(source, np.zeros_like(LABELS), VAL, G) is None
    one = np.zeros_like(LABELS)
    one[G - 1] = 1  # this one meets the zeros, they meet it
    assert stranger_table(source, one, VAL, G)["images"] == V


def test_no_query_is_ever_a_stranger_of_the_table():
    found = run()
    assert found.strangers == stranger_table(make(1), LABELS, VAL, G)
    mixed = run(val_rows=np.arange(G - V, len(LABELS)))  # queries among them are left out
    assert mixed.strangers == found.strangers
    assert run(val_rows=[]).strangers is None
    assert "no val image" in run(val_rows=[]).report["reasons"]["strangers"]
    without = run(labels=None)
    assert without.strangers is without.report["first_hits_by_score"] is None


@pytest.mark.parametrize("factory_rows", [False, True])
def test_wrong_first_hits_by_score_are_those_of_the_index(factory_rows):
    recipe = make(1)
    if factory_rows:  # many equal scores, which are never divided
        recipe.features[G : G + 45] = recipe.features[:45]
    found = run(recipe)
    table = found.report["first_hits_by_score"]
    units = normalize(recipe.features).astype(np.float64)
    scores = units[G:] @ units[:G].T
    first, best = scores.argmax(axis=1), scores.max(axis=1)
    wrong = LABELS[first] != LABELS[G:]
    assert sum(entry["queries"] for entry in table) == len(best)
    assert sum(entry["wrong"] for entry in table) == wrong.sum()
    for entry in table:
        inside = (best >= entry["low"] - 1e-6) & (best <= entry["high"] + 1e-6)
        assert (entry["queries"], entry["wrong"]) == (inside.sum(), wrong[inside].sum())
        assert entry["share"] == entry["wrong"] / entry["queries"]
        low, high = entry["interval"]
        assert low <= entry["share"] <= high
        told = stranger_shares(found.strangers).reached(entry["low"]).share
        assert entry["stranger_rate"] == pytest.approx(told, rel=1e-3)
    lows = [entry["low"] for entry in table]
    assert lows == sorted(set(lows), reverse=True)
    assert len(table) == 10 if not factory_rows else len(table) < 10


def test_recall_precision_and_error_at_1_are_one_figure():
    report = run().report
    for figures in report["systems"].values():
        recall, precision = figures["recall"]["1"], figures["precision"]["1"]
        error = figures["cross_boundary_error"]["1"]["all"]
        assert precision == recall
        assert error == pytest.approx(1 - recall, abs=1e-12)
        low, high = figures["intervals"]["recall"]["1"]
        assert figures["intervals"]["precision"]["1"] == [low, high]
        assert figures["intervals"]["cross_boundary_error"]["1"]["all"] == [1 - high, 1 - low]
        assert figures["intervals"]["precision"]["5"] != figures["intervals"]["recall"]["5"]


def test_one_point_and_one_line_are_a_collapse_and_two_labels_may_be_opposite():
    random = np.random.default_rng(0)
    point = normalize(np.ones((200, D)) + 1e-3 * random.standard_normal((200, D)))
    found = spread(point, C)
    assert found.collapsed
    assert "one point" in found.words
    line = point * random.choice([-1, 1], 200)[:, None]
    assert spread(np.full((9, 3), 0.57735032, np.float32), 3).mean_cosine == 1.0, "whatever rounding makes of lengths"
    assert spread(line, 3).collapsed
    assert "one line" in spread(line, 3).words
    assert not spread(line, 2).collapsed
    assert not spread(normalize(random.standard_normal((200, D))), C).collapsed
    wide = normalize(random.standard_normal((5, 40)))
    values = np.linalg.svd(wide, compute_uv=False) ** 2 / len(wide)
    assert spread(wide, C).effective_rank == pytest.approx(np.exp(-(values * np.log(values)).sum()))
    assert spread(point[:1], C) is None
    assert spread(point, 1) is None


def test_a_collapse_is_the_first_thing_that_is_said():
    healthy = run().report
    assert not healthy["collapse"]["collapsed"]
    assert "COLLAPSED" not in summarize(healthy)
    recipe = make(1)
    recipe.features[:] = 1 + 1e-7 * recipe.features
    found = run(recipe)
    assert found.report["collapse"]["collapsed"]
    assert found.report["collapse"]["mean_cosine"] == pytest.approx(1)
    assert summarize(found.report).startswith("COLLAPSED: ")
    # Ties at the top of both tables are kept whatever rounding does to them: the truth is 1 in 1.
    for table, read in ((found.strangers, stranger_shares), (found.false_accepts, pair_shares)):
        for score in (1.0, 0.9999999, 0.9999995):
            assert read(table).reached(score).share == 1.0


def test_only_val_rows_of_a_build_stand_behind_its_rates(built):
    home = built[1]
    with artifact_file(home, "dataset", "images.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    val = [i for i, record in enumerate(records) if record["val"] == "1"]
    assert val
    assert not [i for i in val if records[i]["query"] == "1"]
    names = sorted({record["label"] for record in records})
    labels = np.array([names.index(record["label"]) for record in records])
    far = json.loads(artifact_file(home, "evaluate", "far.json").read_bytes())
    strangers = json.loads(artifact_file(home, "evaluate", "strangers.json").read_bytes())
    assert far["images"] == strangers["images"] == len(val)
    gallery = sum(record["gallery"] == "1" for record in records)
    with FeatureFile(artifact_file(home, "embed", "features.h5")) as file:
        features = file.read(0, len(records))
    best = best_of_others(features, labels, val, gallery)
    assert max(score for score, _ in strangers["table"]) == pytest.approx(best.max(), abs=1e-6)
    units = normalize(features[val])
    pairs = (units @ units.T)[np.triu_indices(len(val), 1)]
    different = pairs[(labels[val][:, None] != labels[val])[np.triu_indices(len(val), 1)]]
    assert far["pairs"] == len(different)
    assert far["table"][0][0] == pytest.approx(different.max(), abs=1e-6)


def test_a_hit_says_how_many_strangers_score_as_much(built):
    query = built[0] / "class 0" / "00.png"
    (line,) = run_cli("query", query, "--json", "--home", built[1], check=0).stdout.splitlines()
    for hit in json.loads(line)["hits"]:
        assert 0 < hit["stranger_rate"] <= 1
        assert 0 < hit["false_accept_rate"] <= 1
        for key in ("false_accept_rate_at_most", "stranger_rate_at_most"):
            assert hit.get(key, True) is True
    shown = run_cli("query", query, "--home", built[1], check=0).stdout.splitlines()
    assert shown[1].split() == ["score", "label", "strangers", "image"]


def test_a_collapse_without_training_is_put_down_to_the_images():
    flat = make(1)
    flat.features[:] = 1 + 1e-7 * flat.features
    alike = summarize(run(flat, features=Features(flat, flat, make(3))).report)
    assert "nothing was trained: the images are flat or all but the same to this backbone" in alike
    assert "learning_rate" not in alike
    assert "try a smaller training.learning_rate" in summarize(run(flat).report)
    bare = run(flat, features=Features(flat, flat, make(3))).report | {"unanswerable": None}
    assert "nothing was trained" in summarize(bare)
    assert "learning_rate" in summarize(bare | {"unmeasured": "one label"})
