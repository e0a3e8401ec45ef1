"""The whole evaluation on small arrays: seven systems, leave-one-out, approximate indexes, nothing to measure."""

import json

import numpy as np
import pytest

from simsearch.errors import VectorsError
from simsearch.evaluation import systems
from simsearch.evaluation.evaluate import Features, evaluate
from simsearch.evaluation.figures import first_k, headline_k
from simsearch.evaluation.systems import SYSTEMS
from simsearch.report.summary import render_table, summarize
from simsearch.report.words import system_words
from simsearch.vectors.index import build
from simsearch.vectors.search import DEFAULT, Search

G, Q, D, C = 300, 120, 8, 4
LABELS = np.random.default_rng(0).integers(0, C, G + Q)


class Array:
    """Features in memory that count how often they are read."""

    def __init__(self, features):
        self.features, self.reads = features, 0

    @property
    def shape(self):
        return self.features.shape

    def read(self, start, stop):
        self.reads += 1
        assert 0 <= start <= stop <= len(self.features)
        return self.features[start:stop].copy()


def make(seed, noise):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((C, D))
    features = centres[LABELS] + noise * random.standard_normal((G + Q, D))
    return Array((features * random.gamma(8, 0.3, (G + Q, 1))).astype(np.float32))


def run(factory="Flat", *, recipe=None, queries=None, **options):
    recipe = recipe or make(1, 0.5)
    arguments = {
        "build": "test",
        "features": Features(recipe, make(2, 0.9), make(3, 0.9)),
        "gallery": G,
        "query_rows": np.arange(G, G + Q) if queries is None else queries,
        "labels": LABELS,
        "index": options.get("index") or build(lambda: [recipe.features[:G]], D, factory),
        "index_bytes": 123,
        "ks": [1, 5, 10],
    }
    found = evaluate(**{**arguments, **options})
    found.report["summary"] = summarize(found.report)  # as the evaluate stage does
    return found


def slow_error(features, kind, query, own, k):
    """Mean share of wrong labels among the first k, and the order, by plain sorting in float64."""
    base = features.features.astype(np.float64)
    if kind == "cosine":
        base = base / np.linalg.norm(base, axis=1, keepdims=True)
    distance = ((base[:G] - base[query]) ** 2).sum(1) if kind == "raw-l2" else -(base[:G] @ base[query])
    if own:
        distance[query] = np.inf
    order = np.argsort(distance, kind="stable")
    return (LABELS[order[:k]] != LABELS[query]).mean()


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_every_system_equals_a_plain_sort(leave_one_out):
    rows = np.arange(0, G, 3) if leave_one_out else np.arange(G, G + Q)
    features = Features(make(1, 0.5), make(2, 0.9), make(3, 0.9))
    result = run(queries=rows, features=features, recipe=features.recipe)
    assert list(result.report["systems"]) == list(SYSTEMS)
    for system, figures in result.report["systems"].items():
        side, kind = system.split("/")
        source = getattr(features, side)
        kind = "cosine" if kind == "index" else kind
        expected = [slow_error(source, kind, row, leave_one_out, 10) for row in rows]
        np.testing.assert_allclose(result.per_query[f"{system}/error@10"], expected, atol=1e-6)
        assert figures["cross_boundary_error"]["10"]["all"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert figures["precision"]["10"] == pytest.approx(1 - np.mean(expected), abs=1e-6)
        near = result.per_query["boundary"]
        assert figures["cross_boundary_error"]["10"]["boundary"] == pytest.approx(
            np.mean(np.array(expected)[near]), abs=1e-6
        )
    assert result.report["boundary_queries"] == -(-len(rows) // 10)
    assert result.report["systems"]["recipe/index"]["map_at_r"] == result.report["systems"]["recipe/cosine"]["map_at_r"]


def test_the_report_has_the_agreed_shape():
    report = json.loads(json.dumps(run().report, allow_nan=False))
    assert {key: report[key] for key in ("schema", "build", "queries", "gallery", "classes", "k", "few_shot")} == {
        "schema": 1, "build": "test", "queries": Q, "gallery": G, "classes": C, "k": [1, 5, 10], "few_shot": None,
    }  # fmt: skip
    keys = (
        "recall relevant_recall precision map_at_r r_precision cross_boundary_error "
        "roc_auc eer tar_at_far inversion_rate intervals"
    )
    for figures in report["systems"].values():
        assert list(figures) == keys.split()
        assert list(figures["recall"]) == ["1", "5", "10"]
        assert list(figures["intervals"]) == keys.split()[:-1]
        low, high = figures["intervals"]["cross_boundary_error"]["10"]["boundary"]
        assert low <= figures["cross_boundary_error"]["10"]["boundary"] <= high
        assert figures["intervals"]["roc_auc"] is None
        assert 0.5 < figures["roc_auc"] <= 1
        assert figures["inversion_rate"] == pytest.approx(1 - figures["roc_auc"])
        assert 0 <= figures["eer"] < 0.5
        assert list(figures["tar_at_far"]) == ["0.1", "0.01", "0.001", "0.0001"]
        assert figures["tar_at_far"]["0.01"] <= figures["tar_at_far"]["0.1"] <= 1
        assert figures["tar_at_far"]["0.0001"] is None  # of 7,140 pairs, too few
    assert list(report["verification"]) == ["pairs", "same", "different", "sampled"]
    assert report["verification"]["pairs"] == Q * (Q - 1) // 2
    same = np.bincount(LABELS[G:])
    assert report["verification"]["same"] == (same * (same - 1) // 2).sum()
    assert list(report["index"]) == ["factory", "ann_recall", "qps", "bytes", "ntotal"]
    assert report["index"]["ann_recall"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert (report["index"]["bytes"], report["index"]["ntotal"]) == (123, G)
    assert [(entry["metric"], entry["k"], entry["scope"], entry["baseline"]) for entry in report["comparisons"]] == [
        (metric, k, scope, f"baseline/{kind}")
        for metric, k, scope in (
            ("cross_boundary_error", 10, "boundary"), ("cross_boundary_error", 10, "all"), ("recall", 1, "all"),
        )
        for kind in ("raw-l2", "raw-ip", "cosine")
    ]  # fmt: skip
    entry = report["comparisons"][0]
    recipe, baseline = (
        report["systems"][entry[side]]["cross_boundary_error"]["10"]["boundary"] for side in ("system", "baseline")
    )
    assert entry["difference"] == pytest.approx(recipe - baseline, abs=1e-6)
    assert (entry["n"], entry["seeds"]) == (12, 1)
    assert entry["interval"][0] <= entry["difference"] <= entry["interval"][1]
    assert (entry["metric"], entry["scope"], entry["test"]) == (
        "cross_boundary_error",
        "boundary",
        "sign-flip permutation",
    )
    assert report["placebo"]["reference"] == baseline
    assert report["placebo"]["self"] > 0
    assert report["unanswerable"] == 0


@pytest.mark.parametrize(("factory", "search"), [("IVF8,Flat", Search(nprobe=1)), ("HNSW8", DEFAULT), ("SQ8", DEFAULT)])
def test_an_approximate_index_has_its_own_figures_and_no_map(factory, search):
    report = run(factory, search=search).report
    assert report["systems"]["recipe/index"]["map_at_r"] is None
    assert 0.3 < report["index"]["ann_recall"]["10"] <= 1
    assert report["index"]["factory"] == factory
    assert report["index"]["qps"] > 0


def test_ties_may_permute_in_ann_recall():
    doubled = np.repeat(make(1, 0.5).features[: (G + Q) // 2], 2, axis=0)
    report = run("HNSW32", recipe=Array(doubled), search=Search(efSearch=300), labels=None, ks=[1]).report
    assert report["index"]["ann_recall"]["1"] == 1


def test_rows_beyond_the_gallery_are_not_searched():
    recipe = make(1, 0.5)
    grown = build(lambda: [recipe.features], D, "Flat")
    figures, alone = run(recipe=recipe, index=grown).report, run(recipe=recipe).report
    assert figures["systems"] == alone["systems"]
    assert figures["index"]["ntotal"] == G + Q


def slow_inversion(features, kind):
    """Share of (within, between) couples of pairs of queries whose within-class one is the farther, in float64."""
    queries = features.features[G:].astype(np.float64)
    if kind == "cosine":
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    first, second = np.triu_indices(Q, 1)
    a, b = queries[first], queries[second]
    distance = ((a - b) ** 2).sum(1) if kind == "raw-l2" else -(a * b).sum(1)
    same = LABELS[G:][first] == LABELS[G:][second]
    between = np.sort(distance[~same])
    nearer, farther = (np.searchsorted(between, distance[same], side) for side in ("left", "right"))
    return (nearer + farther).mean() / 2 / len(between)


def test_verification_is_over_pairs_of_queries_in_the_space_of_each_system():
    features = Features(make(1, 0.5), make(2, 0.9), make(3, 0.9))
    systems = run("HNSW8", features=features, recipe=features.recipe).report["systems"]
    for system, figures in systems.items():
        side, kind = system.split("/")
        expected = slow_inversion(getattr(features, side), "cosine" if kind == "index" else kind)
        assert figures["inversion_rate"] == pytest.approx(expected, abs=1e-5)
    for key in ("roc_auc", "eer", "tar_at_far", "inversion_rate"):
        assert systems["recipe/index"][key] == systems["recipe/cosine"][key]


def test_few_shot_is_measured_when_asked_for():
    labels = np.arange(G + Q) % 30
    found = run(labels=labels, few_shot=True).report["few_shot"]
    assert list(found) == ["ways", "shots", "episodes", "accuracy", "interval", "classes"]
    assert (found["ways"], found["shots"], found["episodes"], found["classes"]) == (20, 1, 1000, 30)
    assert found["interval"][0] <= found["accuracy"] <= found["interval"][1]
    report = run(few_shot=True).report
    assert report["few_shot"] is None  # four labels are not twenty
    assert "way" not in render_table(report)
    assert run(labels=None, few_shot=True).report["few_shot"] is None


def test_the_table_says_inversions_and_few_shot():
    report = run().report
    report["few_shot"] = {
        "ways": 20, "shots": 1, "episodes": 1000, "accuracy": 0.957, "interval": [0.951, 0.963], "classes": 200,
    }  # fmt: skip
    words = " ".join(render_table(report).split())
    rates = [report["systems"][name]["inversion_rate"] for name in ("baseline/raw-l2", "baseline/cosine")]
    assert (
        f"inversion rate over 7,140 pairs: baseline, distance {rates[0]:.4f}; baseline, angle {rates[1]:.4f}" in words
    )
    assert "20-way 1-shot: 0.957 [0.951, 0.963], 1,000 episodes over 200 unseen labels (within one alphabet" in words
    assert max(map(len, render_table(report).splitlines())) <= 80
    report["verification"]["sampled"] = True
    assert "over 7,140 sampled pairs" in render_table(report)
    alone = run(features=Features(make(1, 0.5))).report
    assert "7,140 pairs: your search, exact 0." in render_table(alone)


def test_the_same_features_are_searched_once():
    recipe = make(1, 0.5)
    report = run(recipe=recipe, features=Features(recipe, recipe, recipe)).report
    assert report["systems"]["baseline/cosine"] == report["systems"]["recipe/cosine"]
    assert report["summary"].startswith("Normalization alone does")
    assert report["placebo"]["self"] == report["placebo"]["reference"]


def test_without_baseline_reference_or_labels_figures_are_null():
    report = run(features=Features(make(1, 0.5), None, make(3, 0.9))).report
    assert list(report["systems"]) == list(SYSTEMS[3:])
    assert report["comparisons"] == []
    assert report["placebo"] is None
    assert report["systems"]["recipe/index"]["cross_boundary_error"]["10"]["boundary"] is not None

    report = run(features=Features(make(1, 0.5), make(2, 0.9))).report
    assert report["systems"]["recipe/index"]["cross_boundary_error"]["10"] == {
        "all": pytest.approx(0, abs=0.5),
        "boundary": None,
    }
    assert report["comparisons"] == []

    result = run(labels=None)
    report = json.loads(json.dumps(result.report, allow_nan=False))
    assert (report["classes"], report["unanswerable"], report["boundary_queries"]) == (None, None, None)
    assert report["systems"]["baseline/cosine"]["recall"] == {"1": None, "5": None, "10": None}
    assert (report["verification"], report["systems"]["recipe/cosine"]["tar_at_far"]) == (None, None)
    assert report["index"]["ann_recall"]["10"] == 1.0
    assert report["summary"].startswith("No labels")
    assert list(result.per_query) == ["rows", *(f"recipe/index/ann@{k}" for k in (1, 5, 10))]  # needs no label
    assert max(map(len, render_table(report).splitlines())) <= 80


def test_k_beyond_the_gallery_and_single_classes_give_a_report():
    assert run(ks=[1, 5000]).report["systems"]["recipe/index"]["relevant_recall"]["5000"] == 1
    assert run(ks=[1, 5000], queries=np.arange(9)).report["systems"]["recipe/index"]["relevant_recall"]["5000"] == 1
    one = run(labels=np.zeros(G + Q, int)).report
    assert one["systems"]["recipe/index"]["cross_boundary_error"]["10"] == {"all": 0.0, "boundary": None}
    assert one["boundary_queries"] is None
    lonely = run(labels=np.arange(G + Q)).report
    assert one["verification"] is lonely["verification"] is None
    assert lonely["systems"]["recipe/index"]["roc_auc"] is None
    assert lonely["unanswerable"] == Q
    assert lonely["systems"]["recipe/index"]["recall"]["1"] is None
    assert "not measured" in lonely["summary"]


def test_per_query_values_survive_the_file(tmp_path):
    result = run()
    np.savez(tmp_path / "per_query.npz", allow_pickle=False, **result.per_query)
    with np.load(tmp_path / "per_query.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == set(result.per_query)
        np.testing.assert_array_equal(arrays["recipe/index/error@10"], result.per_query["recipe/index/error@10"])


def test_a_broken_feature_names_its_image():
    recipe = make(1, 0.5)
    index = build(lambda: [recipe.features[:G]], D, "Flat")
    for row in (7, G + 3):
        broken = Array(recipe.features.copy())
        broken.features[row] = np.nan
        with pytest.raises(VectorsError, match=f"image {row}.png is NaN"):
            run(recipe=broken, index=index, features=Features(broken), name=lambda i: f"{i}.png")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ks": []}, "k of at least 1"),
        ({"ks": [0]}, "k of at least 1"),
        ({"gallery": 9999}, "within 420 rows"),
        ({"query_rows": []}, "seen 0 queries"),
        ({"labels": LABELS[:5]}, r"expected the shape \(420,\), seen \(5,\)"),
        (
            {"features": Features(make(1, 1), Array(np.ones((3, D), np.float32)))},
            "baseline features: expected 420 rows",
        ),
        ({"features": Features(Array(np.ones((G + Q, 3), np.float32)))}, "index: expected at least 300 rows x 3"),
    ],
)
def test_input_that_does_not_fit_is_one_line(options, words):
    with pytest.raises(VectorsError, match=words):
        run(**options)


def test_the_table_fits_80_columns_and_says_dash_for_null():
    for report in (run().report, run("IVF8,Flat", ks=[1, 2000]).report):
        report["build"] = "a-name-of-63-characters-" * 3
        table = render_table(report)
        assert max(map(len, table.splitlines())) <= 80
        assert table.isascii()
        assert all(f"\n{system_words(system)} " in table for system in SYSTEMS)
    row = next(line for line in table.splitlines() if line.startswith("your search "))
    assert row.endswith(" -")


def test_the_table_has_a_row_for_every_comparison_and_the_sentence_an_interval():
    report = run().report
    lines = render_table(report).splitlines()
    for entry in report["comparisons"]:
        low, high = entry["interval"]
        told = f"{entry['difference']:+.4f} [{low:+.4f}, {high:+.4f}] {entry['p_value']:.4f}"
        assert any(line.startswith(system_words(entry["baseline"])) and line.endswith(told) for line in lines)
    low, high = report["systems"]["recipe/index"]["intervals"]["recall"]["1"]
    assert f"[{low:.3f}, {high:.3f}] on 120 queries" in report["summary"]
    report["systems"]["recipe/index"]["intervals"] = None
    assert f"recall@1 {report['systems']['recipe/index']['recall']['1']:.3f} on 120 queries" in summarize(report)


@pytest.mark.parametrize(
    ("recipe", "p", "words"),
    [(0.05, 0.001, "50 % less"), (0.2, 0.001, "100 % MORE"), (0.099, 0.6, "no difference seen")],
)
def test_the_sentence_says_which_way_it_fell(recipe, p, words):
    report = run().report
    for name, value in (
        ("recipe/index", recipe),
        ("baseline/raw-l2", 0.1),
        ("recipe/cosine", 0.1),
        ("baseline/cosine", 0.2),
    ):
        report["systems"][name]["cross_boundary_error"]["10"]["boundary"] = value
    report["comparisons"][0]["p_value"] = p
    assert words in summarize(report)
    assert summarize(report).startswith("recall@1")
    report["systems"]["baseline/cosine"]["cross_boundary_error"]["10"]["boundary"] = 0.1
    assert summarize(report).startswith("Normalization alone does")


def test_rows_are_gathered_in_any_order_from_any_block(monkeypatch):
    monkeypatch.setattr(systems, "_READ", 7)
    source = make(1, 0.5)
    for rows in (np.array([419, 0, 6, 7, 7, 300, 1]), np.empty(0, dtype=np.int64), np.arange(420)[::-1]):
        np.testing.assert_array_equal(systems.gather(source, rows), source.features[rows])
    blocks = list(systems.blocks(source, 20))
    assert [len(block) for block in blocks] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(blocks), source.features[:20])


@pytest.mark.parametrize(("ks", "k"), [((1, 10, 100), 10), ((1, 5), 5), ((20, 50), 50), ((1,), 1), ((1, 11), 11)])
def test_errors_are_headed_by_ten_where_it_was_asked(ks, k):
    assert headline_k(ks) == k
    assert first_k(ks) == ks[0]


def test_the_least_error_that_the_boundary_can_have():
    assert run().report["boundary_error_least"] == 0
    few = np.arange(G + Q) % 100  # three images of each label are searched: 7 of the first 10 have another
    assert run(labels=few).report["boundary_error_least"] == pytest.approx(0.7)
    assert run(labels=None).report["boundary_error_least"] is None
