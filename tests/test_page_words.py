"""What the page says: verdicts, sentences, what is marked, how figures are written."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
from pages import Reader

from simsearch.console import one_in
from simsearch.page.html import p_value, text
from simsearch.report.sections.document import render_page, section
from simsearch.report.sections.errors import chosen_labels
from simsearch.report.sections.scores import norms_sentence
from simsearch.report.sections.table import best_systems


def test_strips_name_what_is_wrong(page, arguments):
    entries = arguments["details"]["neighbours"]
    assert page.count('<figure class="strip">') == len(entries) == 24
    wrong = sum(hit["label"] != entry["label"] for entry in entries for hit in entry["hits"])
    assert page.count('<li class="tile wrong">') == page.count("<b>wrong</b>") == wrong > 0
    assert page.index("Typical queries") < page.index("Boundary queries") < page.index("The worst queries")


def changed(report, entry=None, **errors):
    """The report with another first comparison, and other boundary errors of systems."""
    report = copy.deepcopy(report)
    report["comparisons"][0] |= entry or {}
    for system, error in errors.items():
        report["systems"][system.replace("_", "/", 1)]["cross_boundary_error"]["10"]["boundary"] = error
    return report


def verdict(report):
    return section("compared", report=report)


def test_verdicts(arguments):
    report = arguments["report"]
    better = {"difference": -0.11, "interval": [-0.14, -0.08], "p_value": 0.0001, "n": 100}
    held = verdict(changed(report, better, recipe_index=0.31, recipe_cosine=0.31, baseline_cosine=0.4))
    assert '<strong class="badge held">held</strong>' in held
    assert "31.0\u00a0% of the nearest 10 have another label" in held
    assert "difference -11.0 points [-14.0, -8.0], p &lt; .001, n = 100, one seed." in held
    for entry in (
        {"difference": -0.01, "interval": [-0.03, 0.01], "p_value": 0.3},
        {"difference": -0.01, "interval": [-0.03, 0.01], "p_value": 0.04},
    ):
        words = verdict(changed(report, entry, recipe_cosine=0.3, baseline_cosine=0.4))
        assert '<strong class="badge">not shown</strong>' in words
        assert "no difference seen." in words.split("</p>")[1]
    worse = {"difference": 0.1, "interval": [0.05, 0.15], "p_value": 0.0001}
    for error in (0.3, 0.5):
        words = verdict(changed(report, worse, recipe_cosine=error, baseline_cosine=0.4))
        assert '<strong class="badge opposite">the opposite</strong>' in words
        assert "; that is MORE errors." in words
    alone = verdict(changed(report, better, recipe_cosine=0.31, baseline_cosine=0.31))
    assert "not shown" in alone
    assert alone.index("Normalization alone does as well as your search") < alone.index("On the hardest tenth")
    seeds = verdict(changed(report, {**better, "seeds": 5, "interval": None}))
    assert "5 seeds" in seeds
    none = verdict({**report, "comparisons": [], "summary": "Only <this>."})
    assert '<strong class="badge">not measured</strong>' in none
    assert "Only &lt;this&gt;." in none


def test_the_verdict_is_about_the_most_seeds(arguments):
    one = {"difference": -0.11, "interval": [-0.14, -0.08], "p_value": 0.0001}
    report = changed(arguments["report"], one, recipe_cosine=0.3, baseline_cosine=0.4)
    test = {"n": 5, "seeds": 5, "test": "paired t over seeds"}
    first = {**report["comparisons"][0], **test, "difference": -0.01, "interval": [-0.03, 0.01], "p_value": 0.2}
    other = {**first, "baseline": "baseline/cosine", "difference": 0.02, "interval": None, "p_value": None}
    report["comparisons"] += [first, other]
    figure = {"mean": 0.25, "interval": None, "values": [0.25] * 5}
    figures = {"recall@1": {"mean": 0.9, "interval": [0.8, 1.0], "values": [0.85, 0.95]}, "error@10 boundary": figure}
    systems = dict.fromkeys(("recipe/index", "baseline/raw-l2"), figures)
    report["seeds"] = {"count": 5, "training_seeds": [7, 8, 9, 10, 11], "systems": systems}
    words = verdict(report)
    assert '<strong class="badge">not shown</strong>' in words
    assert "mean over seeds 25.0\u00a0% of the nearest 10" in words
    assert "difference -1.0 points [-3.0, +1.0], p = .200, 5 seeds; no difference seen." in words
    assert "features at length 1: +2.0 points, no test, 5 seeds; no difference seen." in re.sub(" +", " ", words)
    page = render_page(**{**arguments, "report": report})
    Reader(page)
    assert "5 seeds (7, 8, 9, 10, 11)" in page
    assert "0.9000<br><small>[0.800, 1.000]</small><br><small>0.8500 0.9500</small>" in page
    by_query, by_seed = page.split("Paired comparisons, query by query</caption>")[1].split("seed by seed</caption>")
    assert "paired t over seeds" not in by_query
    assert by_seed.split("</table>")[0].count("paired t over seeds") == 2


def test_the_sentence_about_norms_never_contradicts_itself(arguments):
    def said(short, middle, long, pairs=100):
        areas = {"short": short, "middle": middle, "long": long}
        buckets = {name: {"same": pairs, "different": 100} for name in areas}
        figures = {name: {"roc_auc": area} for name, area in areas.items()}
        return norms_sentence({"norm_buckets": {"baseline": figures, "buckets": buckets}})

    assert "pairs are all alike" in said(0.9, 0.9, 0.90001)
    assert "short-short pairs are the worst, as" in said(0.8, 0.9, 0.9)
    assert "short-short and middle-middle pairs are the worst, and alike" in said(0.8, 0.8, 0.9)
    assert "not the worst: middle-middle and long-long pairs are" in said(0.9, 0.8, 0.8)
    assert "too few pairs to tell" in said(0.8, 0.9, 0.9, 99)
    assert "too few pairs to tell" in said(0.8, 0.9, None)


def test_copies_are_told_apart_from_scores(arguments):
    report = copy.deepcopy(arguments["report"])
    found = report["near_duplicates"]
    found |= {"queries": 93, "pairs": [{"row": 1, "other_row": 2, "kind": "score", "score": 0.9995}]}
    found["by_kind"] = {
        "hash": {"queries": 2, "without": {**found["without"], "queries": 98}},
        "score": {"queries": 92, "without": {**found["without"], "queries": 8}},
    }
    page = render_page(**{**arguments, "report": report})
    assert (
        "2 queries have a near-duplicate in the gallery, by its looks (a near perceptual hash, and close in gray)."
        in page
    )
    assert "92 queries have a score above 0.999, which a trained space gives to images of one label too." in page
    assert '<th scope="row" class="words few">queries</th><td>100</td><td>98</td>' in page


def test_counts_that_are_cut_off_are_told_in_full(arguments):
    report = copy.deepcopy(arguments["report"])
    report |= {"classes": 5000, "per_class": report["per_class"][:1] * 200}
    facts = {**arguments["facts"], "quarantine": [["a", "b"]] * 200, "bad": 260}
    page = render_page(**{**arguments, "report": report, "facts": facts})
    assert "260 files left out." in page
    assert "200 of 260 shown" in page
    assert "The other 4,990 labels (the first 200 are kept)" in page


@pytest.mark.parametrize(("queries", "why"), [(3, "fewer than 4 images"), (100, "the recipe says map = false")])
def test_a_missing_map_has_a_reason(arguments, queries, why):
    page = render_page(**{**arguments, "report": {**arguments["report"], "queries": queries}, "projection": None})
    assert f"No map: {why}." in page


def test_labels_with_one_point_are_no_share(arguments):
    report, points = arguments["report"], np.array([[0.0, 0], [1, 0], [5, 0], [9, 0]])
    projection = {"rows": np.arange(4), "before": None, "after": points}

    def shown(labels):
        return section("map", report=report, projection=projection, labels=list(labels), facts={}, pictures=None)

    assert "The point nearest to a point" not in shown("abcd")
    assert "has its label for 100\u00a0% after." in shown("aabc")


def test_best_is_marked_only_when_separable():
    ends = {"a": [0.8, 0.9], "b": [0.6, 0.79], "c": [0.5, 0.7]}
    assert best_systems({"a": 0.85, "b": 0.7, "c": 0.6}, ends, True) == {"a"}
    assert best_systems({"a": 0.85, "b": 0.7, "c": 0.6}, {**ends, "b": [0.6, 0.81]}, True) == set()
    assert best_systems({"a": 0.85, "b": 0.7, "c": 0.6}, ends, False) == set()
    assert best_systems({"a": 0.1, "b": 0.3}, {"a": [0, 0.2], "b": [0.25, 0.4]}, False) == {"a"}
    assert best_systems({"a": 0.8, "b": 0.8, "c": 0.1}, {"a": [0.7, 1], "b": [0.7, 1], "c": [0, 0.2]}, True) == {
        "a",
        "b",
    }
    assert best_systems({"a": 0.8, "b": 0.1}, {"a": None, "b": [0, 0.2]}, True) == set()
    assert best_systems({"a": 0.8, "b": None}, ends, True) == set()
    assert best_systems({"a": 1.0, "b": 0.7}, {**ends, "a": [1.0, 1.0]}, True) == set()


@pytest.mark.parametrize("boundary", [29, 30])
def test_few_boundary_queries_have_no_best(boundary):
    def system(error, ends):
        return {
            "cross_boundary_error": {"10": {"boundary": error}},
            "intervals": {"cross_boundary_error": {"10": {"boundary": ends}}},
        }

    both = {"a": system(0.1, [0.05, 0.15]), "b": system(0.5, [0.4, 0.6])}
    body = section("systems", report={"k": [10], "systems": both, "boundary_queries": boundary})
    assert (' <b class="best">best</b>' in body) == (boundary == 30)


def test_words():
    assert [one_in(x) for x in (0.00026, 0.1, 0.5, 1.0)] == [
        "1 in 3,800",
        "1 in 10",
        "1 in 2",
        "1 in 1",
    ]
    assert [p_value(x) for x in (0.0001, 0.0236, 1.0)] == ["p < .001", "p = .024", "p = 1.000"]
    assert text("\u202e<&\"'") == "\\u202e&lt;&amp;&quot;&#x27;"


def test_labels_that_get_a_colour():
    labels = [str(i) for i in range(12) for _ in range(12 - i)]
    assert chosen_labels(labels, []) == ["0", "1", "2", "3", "4", "5", "6", "7"]
    assert chosen_labels(labels, [{"label": "11", "other": "10"}]) == ["0", "1", "10", "11", "2", "3", "4", "5"]
    assert chosen_labels(["b", "a", "b"], [{"label": "b", "other": "c"}]) == ["a", "b"]
