"""Two builds compared on shared queries, against plain arithmetic by image name."""

import numpy as np
import pytest

from simsearch.report.compare import ONE_TRAINING, BuildValues, compare_builds, render_comparison
from simsearch.statistics.significance import holm


def make(name, images, seed, *, error=0.3, ks=(1, 10), gallery=500, flat=True):
    """Per-query values of a build; an image's own hardness is the same in every build."""
    random = np.random.default_rng(seed)
    hardness = np.array([np.random.default_rng(int(image[1:])).beta(1, 1) for image in images])
    values = {"rows": np.arange(len(images)), "boundary": hardness > 0.8}
    for k in ks:
        values[f"recipe/index/error@{k}"] = random.binomial(k, np.minimum(1, hardness * 2 * error)) / k
        values[f"recipe/index/hit@{k}"] = (values[f"recipe/index/error@{k}"] < 1).astype(np.float32)
    average = (1 - values[f"recipe/index/error@{ks[-1]}"]).astype(np.float32)
    values["recipe/cosine/average_precision"] = average
    if flat:
        values["recipe/index/average_precision"] = average
    return BuildValues(name, {"k": list(ks), "gallery": gallery}, values, images)


A = [f"i{n}" for n in range(300)]
B = [f"i{n}" for n in range(399, 49, -1)]  # another order; 250 shared


def test_figures_are_those_of_the_shared_queries():
    one, other = make("a", A, 1, error=0.2), make("b", B, 2, error=0.3)
    found = compare_builds(one, other)
    assert (found.shared, found.left_out) == (250, (50, 100))
    assert [(e.metric, e.k, e.scope) for e in found.entries] == [
        ("recall", 1, "all"), ("recall", 10, "all"),
        ("cross_boundary_error", 1, "all"), ("cross_boundary_error", 10, "all"),
        ("cross_boundary_error", 1, "boundary"), ("cross_boundary_error", 10, "boundary"),
        ("map_at_r", None, "all"),
    ]  # fmt: skip
    places = [dict(zip(images, range(len(images)), strict=True)) for images in (A, B)]
    for entry, scope in zip(found.entries[3:6:2], ("all", "boundary"), strict=True):
        differences = []
        for image in A:
            if image not in places[1]:
                continue
            i, j = (place[image] for place in places)
            if scope == "all" or one.values["boundary"][i] or other.values["boundary"][j]:
                key = "recipe/index/error@10"
                differences.append(one.values[key][i] - other.values[key][j])
        assert entry.n == len(differences)
        assert entry.difference == pytest.approx(np.mean(differences))
        assert entry.difference == pytest.approx(entry.one - entry.other)
        assert entry.interval[0] < entry.difference < entry.interval[1] < 0
        assert entry.word == "better"
    assert found.entries[-1].word == "better"  # a higher MAP@R
    turned = compare_builds(other, one)
    assert turned.entries[3].word == "worse"
    assert turned.entries[3].difference == pytest.approx(-found.entries[3].difference)
    assert turned.left_out == (100, 50)


def test_a_build_against_itself_is_no_difference_seen():
    one = make("a", A, 1)
    found = compare_builds(one, one)
    assert {entry.word for entry in found.entries} == {"no difference seen"}
    assert {entry.p_value for entry in found.entries} == {1.0}
    assert "no difference seen" in render_comparison(found).splitlines()


def test_p_values_are_corrected_for_their_number():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    found = compare_builds(make("a", A, 1, error=0.27), make("b", B, 2, error=0.3))
    assert [e.p_holm for e in found.entries] == holm([e.p_value for e in found.entries])
    for entry in found.entries:
        assert (entry.word == "no difference seen") == (
            entry.p_holm >= 0.05 or entry.interval[0] <= 0 <= entry.interval[1]
        )


def test_one_training_each_is_said_unless_both_have_seeds():
    one = make("a", A, 1)
    several = BuildValues("b", {**one.report, "seeds": {"count": 3}}, one.values, one.images)
    assert compare_builds(one, several).notes == compare_builds(several, one).notes == [ONE_TRAINING]
    assert compare_builds(several, several).notes == []


def test_unanswerable_queries_of_either_are_left_out():
    one, other = make("a", A, 1), make("b", A, 2)
    for build, rows in ((one, [0, 1]), (other, [1, 2])):
        for key, values in build.values.items():
            if "/" in key:
                values[rows] = np.nan
    assert {entry.n for entry in compare_builds(one, other).entries if entry.scope == "all"} == {297}


def test_an_approximate_index_is_compared_by_the_map_of_exact_search():
    found = compare_builds(make("a", A, 1), make("b", A, 2, flat=False))
    assert found.entries[-1].metric == "map_at_r"
    assert found.entries[-1].system == "recipe/cosine"
    assert compare_builds(make("a", A, 1), make("b", A, 2)).entries[-1].system == "recipe/index"


def test_what_cannot_be_compared_is_said():
    nothing = compare_builds(make("a", A[:40], 1), make("b", B[:40], 2))
    assert (nothing.shared, nothing.left_out, nothing.entries) == (0, (40, 40), [])
    assert "nothing to compare" in nothing.notes[0]
    assert "nothing to compare" in render_comparison(nothing)
    other_ks = compare_builds(make("a", A, 1, ks=(1, 5)), make("b", A, 2, ks=(2, 10), gallery=600))
    assert [entry.metric for entry in other_ks.entries] == ["map_at_r"]
    assert other_ks.notes == [
        "the galleries differ: 500 and 600 images are searched",
        "no k that both builds measured",
        ONE_TRAINING,
    ]
    unlabelled = BuildValues("u", {"k": [1], "gallery": 9}, {"rows": np.arange(2)}, ["i1", "i2"])
    assert compare_builds(unlabelled, unlabelled).entries == []
    with pytest.raises(ValueError, match="u: expected 2 different image names, seen 1"):
        compare_builds(BuildValues("u", {"k": [1], "gallery": 9}, {"rows": np.arange(2)}, ["i1"]), unlabelled)


def test_the_text_fits_80_columns():
    long = make("a" * 60, A, 1, error=0.1, ks=(1, 10, 1000)), make("b" * 60, B, 2, error=0.5, ks=(1, 10, 1000))
    for builds in (long, (make("x", A, 1), make("y", A, 3))):
        text = render_comparison(compare_builds(*builds))
        assert max(map(len, text.splitlines())) <= 80
        assert text.isascii()
    text = " ".join(render_comparison(compare_builds(*long)).split())
    assert f"{'a' * 60} is better than {'b' * 60} in recall@1 all" in text
    assert "left out: 50 only in" in text
    assert "p < 0.05 after Holm's correction" in text
