"""Several seeds: the arithmetic on small tables, and `build --seeds` from end to end."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from conftest import SMALL, run_cli, snapshot, write_folder
from scipy import stats

from simsearch.artifacts import Store
from simsearch.checked import Checked
from simsearch.errors import RecipeError
from simsearch.home import Home
from simsearch.pipeline import seeds as seeds_module
from simsearch.pipeline.run import run_build
from simsearch.pipeline.systems import systems_of
from simsearch.recipe.files import find_recipe
from simsearch.report.over_seeds import over_seeds, render_with_seeds
from simsearch.stages.evaluate import seeds as seeds_stage
from simsearch.statistics.student import t_test

SETTINGS = [*SMALL[1::2], "training.seed=3"]
BASELINES = ("baseline/raw-l2", "baseline/raw-ip", "baseline/cosine")


def test_t_test_by_hand():
    mean, (low, high), p_value = t_test([0.1, 0.2, 0.3])
    reach = 4.302652729911275 * 0.1 / math.sqrt(3)  # the t quantile of two degrees of freedom
    assert mean == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.2 - reach, 0.2 + reach))
    assert p_value == pytest.approx(0.07417990022744853)  # t = 2 sqrt(3), 1 - t / sqrt(t^2 + 2)


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_t_test_as_scipy(count):
    values = np.random.default_rng(count).normal(0.3, 1.0, count)
    mean, interval, p_value = t_test(values.tolist())
    known = stats.ttest_1samp(values, 0.0)
    assert mean == pytest.approx(values.mean())
    assert interval == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert p_value == pytest.approx(known.pvalue)


def test_values_without_spread():
    assert t_test([0.0, 0.0, 0.0]) == (0.0, (0.0, 0.0), 1.0)
    assert t_test([0.3 - 0.1, 0.2, 0.1 + 0.1]) == (pytest.approx(0.2), None, None)
    with pytest.raises(ValueError, match="two values"):
        t_test([0.5])


def report(recall, error, difference, *, baseline=True):
    """The parts of a single build's report.json that are looked at over seeds."""
    figures = {"recall": {"1": recall, "10": 1.0}, "cross_boundary_error": {"10": {"all": 0.1, "boundary": error}}}
    entry = {"metric": "cross_boundary_error", "k": 10, "scope": "boundary", "system": "recipe/index",
             "baseline": "baseline/raw-l2", "n": 50, "difference": difference, "interval": [-1, 1], "p_value": 0.5,
             "test": "sign-flip permutation", "seeds": 1}  # fmt: skip
    return {"k": [1, 10], "systems": {"recipe/index": figures}, "comparisons": [entry] if baseline else []}


def test_seeds_are_the_units():
    found = over_seeds([report(0.9, 0.2, -0.1), report(0.8, 0.3, -0.3), report(1.0, 0.1, -0.2)], [4, 5, 6])
    (entry,) = found["comparisons"]
    assert (entry["metric"], entry["k"], entry["scope"]) == ("cross_boundary_error", 10, "boundary")
    assert (entry["n"], entry["seeds"], entry["test"]) == (3, 3, "paired t over seeds")
    assert entry["difference"] == pytest.approx(-0.2)
    assert entry["interval"] == pytest.approx(t_test([-0.1, -0.3, -0.2])[1])
    assert entry["p_value"] == pytest.approx(0.07417990022744853)
    assert found["seeds"]["count"] == 3
    assert found["seeds"]["training_seeds"] == [4, 5, 6]
    figures = found["seeds"]["systems"]["recipe/index"]
    assert figures["recall@1"]["values"] == [0.9, 0.8, 1.0]
    assert figures["recall@1"]["mean"] == pytest.approx(0.9)
    assert figures["recall@1"]["interval"][1] == 1.0, "a share, although the t interval leads beyond"
    assert figures["error@10 boundary"]["values"] == [0.2, 0.3, 0.1]
    assert figures["error@10 all"] == {"mean": pytest.approx(0.1), "interval": None, "values": [0.1, 0.1, 0.1]}
    json.dumps(found, allow_nan=False)


def test_what_a_seed_lacks_is_left_out():
    found = over_seeds([report(0.9, 0.2, -0.1), report(0.8, None, None, baseline=False)], [0, 1])
    assert found["comparisons"] == []
    assert set(found["seeds"]["systems"]["recipe/index"]) == {"recall@1", "error@10 all"}


def test_names_and_seeds_of_the_builds():
    recipe = find_recipe("mnist", ["training.seed=7"]).recipe
    (alone,) = seeds_module.runs(recipe, "x", 1)
    assert (alone.name, alone.recipe, alone.listed) == ("x", recipe, True)
    several = seeds_module.runs(recipe, "x", 3)
    assert [(run.name, run.recipe.training.seed, run.listed) for run in several] == [
        ("x", 7, True), ("x.seed-8", 8, False), ("x.seed-9", 9, False),
    ]  # fmt: skip
    assert (alone.apart, {run.apart for run in several}) == (1, {3})
    used = [(run.recipe.training.seed, run.recipe.training.seed + run.apart) for run in several]
    assert len({seed for pair in used for seed in pair}) == 6, "no seed is used twice"
    assert {run.apart for run in seeds_module.runs(recipe, "x", 3, 1)} == {1}, "as older builds were made"
    assert seeds_module.runs(recipe, "x", 1, 3)[0].apart == 3
    last = several[2].recipe.model_dump()
    last["training"]["seed"] = 7
    assert last == recipe.model_dump(), "nothing but the seed differs"


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ([], "x" * 60, "not a build name"),
        (["training.seed=2147483646"], "x", "above 2147483647"),
        (["training.seed=2147483645"], "x", "above 2147483647"),
        (["training.epochs=0"], "x", "no effect"),
    ],
)
def test_seeds_that_make_no_sense(settings, name, words):
    with pytest.raises(RecipeError, match=words):
        seeds_module.runs(find_recipe("mnist", settings).recipe, name, 2)


@pytest.fixture(scope="module")
def over_two(tmp_path_factory):
    """(folder, home, outcome) of a build with two seeds."""
    root = tmp_path_factory.mktemp("seeds")
    folder = write_folder(root / "photos")
    return folder, root / "home", build(folder, root / "home", 2)


def build(folder, home, count):
    return run_build(find_recipe(str(folder), SETTINGS), Home(home), seeds=count)


@pytest.mark.slow
def test_the_report_has_differences_over_seeds(over_two):
    _, home, outcome = over_two
    single = []
    for name in ("photos", "photos.seed-4"):
        record = json.loads((home / "builds" / f"{name}.json").read_bytes())
        assert record["listed"] == (name == "photos")
        for stage, reference in record["stages"].items():
            Store(home / "artifacts", Checked(None)).open(stage.rpartition("/")[2], **reference)
        single.append(json.loads((home / "builds" / name / "report.json").read_bytes()))
    assert outcome.report == single[0]
    assert single[1]["seeds"] is None
    several = [entry for entry in single[0]["comparisons"] if entry["seeds"] > 1]
    assert [entry["seeds"] for entry in single[0]["comparisons"]] == [1] * len(several) + [2] * len(several)
    assert {entry["baseline"] for entry in several} == set(BASELINES)
    for first, second, entry in zip(single[0]["comparisons"], single[1]["comparisons"], several, strict=False):
        assert entry["difference"] == pytest.approx((first["difference"] + second["difference"]) / 2)
        assert (entry["n"], entry["test"]) == (2, "paired t over seeds")
    seeds = single[0]["seeds"]
    assert (seeds["count"], seeds["training_seeds"]) == (2, [3, 4])
    assert set(seeds["systems"]) == set(single[0]["systems"])
    for system, figures in seeds["systems"].items():
        assert figures["recall@1"]["values"] == [one["systems"][system]["recall"]["1"] for one in single]
        boundary = [one["systems"][system]["cross_boundary_error"]["10"]["boundary"] for one in single]
        assert figures["error@10 boundary"]["values"] == boundary


@pytest.mark.slow
def test_the_seeds_share_what_does_not_depend_on_them(over_two):
    home = over_two[1]
    stages = [json.loads((home / "builds" / f"{n}.json").read_bytes())["stages"] for n in ("photos", "photos.seed-4")]
    assert stages[0]["dataset"] == stages[1]["dataset"]
    names = ("baseline/train", "reference/train")
    softmax = [of[name]["digest"] for of in stages for name in names]
    assert len(set(softmax)) == 4, "the reference of one seed is not the baseline of the next"
    assert stages[0]["train"] != stages[1]["train"]


@pytest.mark.slow
def test_a_second_run_does_nothing(over_two):
    folder, home, _ = over_two
    before = {path: path.read_bytes() for path in (home / "builds").rglob("*.json")}
    artifacts = snapshot(home)
    for count in (2, 1):  # without --seeds, what was found over them is kept
        assert build(folder, home, count).ran == []
        assert {path: path.read_bytes() for path in (home / "builds").rglob("*.json")} == before
        assert snapshot(home) == artifacts
    done = run_cli("build", folder, *SMALL, "--set", "training.seed=3", "--home", home, check=0)
    assert done.stderr.startswith("photos is up to date")


@pytest.mark.slow
def test_only_the_build_of_the_first_seed_is_listed(over_two):
    folder, home, _ = over_two
    found = json.loads(run_cli("show", "--json", "--home", home, check=0).stdout)
    assert [one["name"] for one in found["builds"]] == ["photos"]
    assert Home(home).build().name == "photos"
    done = run_cli("build", folder, *SMALL, "--seeds", 1, "--home", home, check=2)
    assert "--seeds" in done.stderr


@pytest.mark.slow
def test_the_table_ends_with_what_the_seeds_show(over_two):
    report = over_two[2].report
    text = render_with_seeds(report)
    assert run_cli("evaluate", "photos", "--home", over_two[1], check=0).stdout == f"{text}\n"
    assert max(map(len, text.splitlines())) <= 80
    alone, _, several = text.partition("mean over 2 seeds")
    assert "over 2 seeds" not in alone
    assert "your search less the baseline over 2 seeds (paired t over seeds, n = 2):" in several
    assert several.count("error@10 boundary") == 1 + len(BASELINES)


@pytest.mark.slow
def test_another_count_and_another_seed(over_two):
    folder, home, _ = over_two
    done = run_build(find_recipe(str(folder), [*SETTINGS, "training.seed=4"]), Home(home), name="photos.seed-4")
    assert done.ran == ["Evaluated"], "alone its reference has the next seed, which the first of the two seeds has made"
    assert done.build.listed, "asked for by its name"
    assert done.report["seeds"] is None


@pytest.mark.slow
def test_a_folder_without_labels(tmp_path, over_two):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted((over_two[0] / "class 0").iterdir()):
        (flat / path.name).write_bytes(path.read_bytes())
    wanted = ["embedder.backbone=mnist_cnn", "embedder.weights=none"]
    with pytest.raises(RecipeError, match="without labels"):
        run_build(find_recipe(str(flat), wanted), Home(tmp_path / "home"), seeds=2)
    assert not [*tmp_path.glob("home/builds/*.json")], "nothing is left behind that a query could take for a build"


@pytest.mark.slow
def test_a_build_of_its_own_is_not_replaced(over_two):
    folder, home, _ = over_two
    run_build(find_recipe(str(folder), [*SETTINGS, "training.seed=4"]), Home(home), name="mine.seed-4")
    with pytest.raises(RecipeError, match=r"replace the build mine\.seed-4"):
        run_build(find_recipe(str(folder), SETTINGS), Home(home), name="mine", seeds=2)


@pytest.mark.parametrize("apart", [1, 2, 5])
def test_references_have_seeds_of_their_own(apart):
    recipe = find_recipe("digits", ["training.seed=3"]).recipe.resolve()
    found = systems_of(recipe, apart)
    assert found["baseline"].training.seed == 3
    assert found["reference"].training.seed == 3 + apart
    assert systems_of(recipe)["reference"].training.seed == 4, "as every single build was made"


def test_without_epochs_every_system_is_the_backbone_as_it_is():
    for baseline, names in (("true", {"recipe", "baseline", "reference"}), ("false", {"recipe"})):
        settings = ["training.epochs=0", f"evaluation.baseline={baseline}"]
        assert systems_of(find_recipe("digits", settings).recipe.resolve()) == dict.fromkeys(names)
        trained = systems_of(find_recipe("digits", [*settings[1:], "training.epochs=2"]).recipe.resolve())
        assert trained.keys() == names
        assert None not in trained.values()


def test_the_seeds_stage_of_older_builds_keeps_its_address():
    made = [seeds_stage([], [], *apart).digest for apart in ((), (1,), (2,))]
    assert made[0] == made[1] != made[2]
