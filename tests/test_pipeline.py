"""The pipeline on small folders: what runs, what is skipped, what a report holds."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from commands import run_process
from conftest import SMALL, artifact_file, picture, run_cli, snapshot, write_folder

from simsearch.artifacts import Artifact, Store
from simsearch.checked import Checked
from simsearch.console import Shown
from simsearch.errors import DiskError, SourceError
from simsearch.home import Home
from simsearch.pipeline.estimate import fine_tuning, forecast, render_forecast, spoken
from simsearch.pipeline.plan import Plan
from simsearch.pipeline.run import run_build
from simsearch.recipe.files import find_recipe
from simsearch.stages.dataset import check_usable
from simsearch.stages.step import Step
from simsearch.vectors.features import FeatureFile

SYSTEMS = {
    "baseline/raw-l2",
    "baseline/raw-ip",
    "baseline/cosine",
    "recipe/raw-l2",
    "recipe/raw-ip",
    "recipe/cosine",
    "recipe/index",
}
SETTINGS = SMALL[1::2]
QUICK = [*SETTINGS, "evaluation.baseline=false"]


def build(what, home, settings=QUICK, **options):
    return run_build(find_recipe(str(what), list(settings)), Home(home), progress=Shown(), **options)


def timeless(report):
    """A report without what may differ between two equal runs."""
    report = json.loads(json.dumps(report))
    report["index"].pop("qps")
    assert report.pop("milliseconds") > 0
    return report


def test_a_build_leaves_what_the_design_says(built):
    _, home = built
    record = json.loads((home / "builds" / "photos.json").read_bytes())
    assert set(record["stages"]) >= {"dataset", "train", "embed", "index", "evaluate", "baseline/train"}
    for name, reference in record["stages"].items():
        artifact = Store(home / "artifacts", Checked(None)).open(name.rpartition("/")[2], **reference)
        assert {"settings", "inputs", "versions", "device", "seconds"} <= set(artifact.manifest)
        assert all(set(file) == {"size", "sha256"} for file in artifact.manifest["files"].values())
    with artifact_file(home, "dataset", "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["row"]) for r in rows] == list(range(30))
    assert [r["gallery"] for r in rows] == sorted((r["gallery"] for r in rows), reverse=True)
    assert {r["label"] for r in rows} == {"class 0", "class 1", "class 2"}
    with FeatureFile(artifact_file(home, "embed", "features.h5")) as features:
        assert features.shape == (30, 64)
        norms = np.linalg.norm(features.read(0, 30), axis=1)
    assert norms.std() > 1e-3, "features are raw, not normalized"
    for name in ("weights.safetensors", "embedder.onnx", "embedder.json", "metrics.jsonl"):
        assert artifact_file(home, "train", name).is_file()
    facts = json.loads(artifact_file(home, "index", "index.json").read_text())
    assert (facts["factory"], facts["ntotal"], facts["gallery"], facts["dim"]) == ("Flat", 30, 24, 64)
    assert str(home).encode() not in artifact_file(home, "train", "embedder.onnx").read_bytes()


def test_report_has_the_agreed_form(built):
    report = json.loads((built[1] / "builds" / "photos" / "report.json").read_bytes())
    assert report["schema"] == 1
    assert (report["build"], report["queries"], report["gallery"], report["classes"]) == ("photos", 6, 24, 3)
    assert set(report["systems"]) == SYSTEMS
    keys = {"recall", "relevant_recall", "precision", "map_at_r", "cross_boundary_error", "roc_auc", "eer",
            "tar_at_far", "inversion_rate", "intervals"}  # fmt: skip
    for system in report["systems"].values():
        assert set(system) >= keys
        assert set(system["recall"]) == {"1", "5", "10"}
        assert set(system["cross_boundary_error"]["10"]) == {"all", "boundary"}
    assert set(report["index"]) >= {"factory", "ann_recall", "qps", "bytes", "ntotal"}
    comparison, *_ = report["comparisons"]
    assert (comparison["system"], comparison["baseline"]) == ("recipe/index", "baseline/raw-l2")
    assert report["placebo"]["system"] == "baseline/raw-l2"
    assert report["few_shot"] is None
    assert report["systems"]["recipe/index"]["recall"] == report["systems"]["recipe/cosine"]["recall"]


def test_an_unchanged_build_runs_nothing_and_keeps_its_date(copy_of_built):
    folder, home = copy_of_built
    before, record = snapshot(home), (home / "builds" / "photos.json").read_bytes()
    done = run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "up to date" in done.stderr
    assert done.stdout.splitlines() == [str(home / "builds" / "photos" / "report.html")]
    assert snapshot(home) == before
    assert (home / "builds" / "photos.json").read_bytes() == record


def test_a_new_name_for_what_another_build_made_is_a_new_build(copy_of_built):
    folder, home = copy_of_built
    done = run_cli("build", folder, *SMALL, "--name", "other", "--home", home, check=0)
    assert "Built other: " in done.stderr
    assert "Next: simsearch query IMAGE --build other" in done.stderr
    assert "  or: simsearch serve --build other" in done.stderr
    assert "up to date" not in done.stderr
    assert "other is up to date" in run_cli("build", folder, *SMALL, "--name", "other", "--home", home, check=0).stderr


def test_an_unchanged_build_imports_no_torch(copy_of_built):
    folder, home = copy_of_built
    run_process("build", folder, *SMALL, "--home", home, without=["torch"], check=0)


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_report(photos, tmp_path):
    first = build(photos, tmp_path / "a", SETTINGS)
    second = build(photos, tmp_path / "b", SETTINGS)
    assert timeless(first.report) == timeless(second.report)
    contents = [
        {n: s["content"] for n, s in b.build.record.stages.items() if not n.endswith("evaluate")}
        for b in (first, second)
    ]
    assert contents[0] == contents[1]


def test_changing_one_file_rebuilds_what_depends_on_it(photos, home):
    first = build(photos, home)
    assert first.ran == ["Read", "Trained", "Embedded", "Indexed", "Evaluated", "Verdicts"]
    (photos / "class 0" / "notes.txt").write_text("not an image")
    os.utime(photos / "class 1" / "03.png")
    assert build(photos, home).ran == [], "neither a text file nor a new date is a change"
    picture(2, 99).save(photos / "class 2" / "03.png")
    assert build(photos, home).ran == ["Read", "Trained", "Embedded", "Indexed", "Evaluated", "Verdicts"]
    picture(1, 77).save(photos / "class 1" / "new.png")
    added = build(photos, home)
    assert added.ran == ["Read", "Trained", "Embedded", "Indexed", "Evaluated", "Verdicts"]
    assert added.build.record.images == 31


def test_renaming_a_file_rebuilds_only_the_table_and_the_report(photos, home):
    build(photos, home)
    (photos / "class 0" / "00.png").rename(photos / "class 0" / "00 renamed.png")
    assert build(photos, home).ran == ["Read", "Evaluated", "Verdicts"]
    answer = run_cli("query", photos / "class 0" / "00 renamed.png", "--k", 1, "--json", "--home", home, check=0)
    assert json.loads(answer.stdout)["hits"][0]["image"] == "class 0/00 renamed.png"


def test_settings_rebuild_only_what_they_touch(photos, home):
    build(photos, home)
    assert build(photos, home, [*QUICK, "index.factory=IVF2,Flat", "index.nprobe=1"]).ran == ["Indexed", "Evaluated"]
    swept = build(photos, home, [*QUICK, "index.factory=IVF2,Flat", "index.nprobe=2"])
    assert swept.ran == ["Evaluated"], "one index, many sweeps"
    assert build(photos, home, [*QUICK, "evaluation.k=[1, 3]"]).ran == ["Evaluated"]
    with_baseline = build(photos, home, SETTINGS)
    assert with_baseline.ran == ["Baseline", "Embedded", "Reference", "Embedded", "Evaluated"]
    softmax = build(photos, home, [*SETTINGS, "loss.name=softmax"])
    assert "Trained" not in softmax.ran, "the baseline of one recipe is the system of another"


def test_an_artifact_made_anew_with_other_bits_makes_what_follows_stale(photos, home):
    made = build(photos, home)
    features = made.build.record.stages["embed"]
    store = Home(home).store
    old = store.open("embed", **features)
    space = store.workspace("embed", features["digest"])
    shutil.copy(old.file("features.h5"), space.out / "features.h5")
    (space.out / "features.h5").chmod(0o644)
    with (space.out / "features.h5").open("ab") as file:
        file.write(b"\0")
    kept = {key: old.manifest[key] for key in ("settings", "inputs", "facts", "versions", "seconds", "device")}
    store.set_aside("embed", features["digest"])
    store.commit("embed", features["digest"], space, kept)
    assert build(photos, home).ran == ["Indexed", "Evaluated", "Verdicts"]


def test_a_removed_artifact_comes_back_with_the_same_bits(photos, home):
    before = build(photos, home).build.record
    for stage in ("train", "index"):
        shutil.rmtree(home / "artifacts" / stage)
    after = build(photos, home)
    assert after.ran == ["Trained", "Indexed"]
    assert after.build.record.stages == before.stages


def test_unreadable_images_are_set_aside_and_rows_stay_aligned(photos, home):
    (photos / "class 0" / "00.png").write_bytes(b"%PDF-1.4")
    done = run_cli("build", photos, *SMALL, "--set", "evaluation.baseline=false", "--home", home, check=0)
    assert "1 set aside" in done.stderr
    with artifact_file(home, "dataset", "quarantine.csv").open() as file:
        (bad,) = csv.DictReader(file)
    assert bad["image"] == "class 0/00.png"
    assert "%PDF" in bad["reason"]
    for image in ("class 0/05.png", "class 2/09.png"):
        answer = run_cli("query", photos / image, "--k", 1, "--json", "--home", home, check=0)
        hit = json.loads(answer.stdout)["hits"][0]
        assert hit["image"] == image
        assert hit["score"] >= 0.9999


def test_too_many_unreadable_images_stop_before_training(photos, home):
    for number in range(2):
        (photos / "class 0" / f"{number:02d}.png").write_bytes(b"")
    done = run_cli("build", photos, *SMALL, "--home", home, check=2)
    assert "2 of 30" in done.stderr
    assert "max_bad_fraction" in done.stderr
    assert not list(home.glob("artifacts/train/*"))
    run_cli("build", photos, *SMALL, "--set", "dataset.max_bad_fraction=0.1",
            "--set", "evaluation.baseline=false", "--home", home, check=0)  # fmt: skip
    again = run_cli("build", photos, *SMALL, "--home", home, check=2)
    assert "max_bad_fraction" in again.stderr, "a stricter limit also holds for what is already read"


def test_a_file_that_changes_while_it_is_read_stops_the_build(photos, home, monkeypatch):
    """Otherwise the address of the dataset, made of the first bytes, would hold the second for good."""
    from simsearch.stages import dataset

    survey = dataset.survey

    def late(source, reader, **options):
        (photos / "class 1" / "05.png").write_bytes((photos / "class 1" / "06.png").read_bytes())
        return survey(source, reader, **options)

    original = (photos / "class 1" / "05.png").read_bytes()
    monkeypatch.setattr(dataset, "survey", late)
    with pytest.raises(SourceError, match="changed while"):
        build(photos, home)
    monkeypatch.undo()
    (photos / "class 1" / "05.png").write_bytes(original)
    assert build(photos, home).ran[0] == "Read"


def test_measured_mean_and_std_depend_on_which_images_are_fit(photos, home, tmp_path):
    def table(held):
        rows = [
            f"photos/class {c}/{n:02d}.png,{c},{'val' if n < held else 'train'}" for c in range(3) for n in range(9)
        ]
        rows += [f"photos/class {c}/09.png,{c},test" for c in range(3)]
        (tmp_path / "list.csv").write_text("path,label,split\n" + "\n".join(rows))

    (tmp_path / "r.toml").write_text('[dataset]\nsource = "table:list.csv"\n')
    wanted = [*QUICK, "training.epochs=0"]
    table(2)
    build(tmp_path / "r.toml", home, wanted)
    table(5)
    assert "Backbone" in build(tmp_path / "r.toml", home, wanted).ran


def test_a_factory_that_changes_scores_warns(photos, home, capsys):
    build(photos, home, [*QUICK, "index.factory=PCA4,Flat"])
    assert "changes scores" in capsys.readouterr().err


def test_a_flat_folder_of_one_picture(tmp_path, home):
    (tmp_path / "one").mkdir()
    picture(0, 0).save(tmp_path / "one" / "x.png")
    with pytest.raises(SourceError, match="nothing to search with"):
        build(tmp_path / "one", home, ["embedder.backbone=mnist_cnn", "embedder.weights=none"])


def test_a_flat_folder_is_built_without_labels(tmp_path, home):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(12):
        picture(number % 4, number).save(flat / f"{number}.png")
    wanted = ["embedder.backbone=mnist_cnn", "embedder.weights=none"]
    done = build(flat, home, wanted)
    systems = done.report["systems"]
    assert systems["recipe/index"]["recall"] == {"1": None, "5": None, "10": None}
    assert done.report["classes"] is None
    assert done.report["index"]["ann_recall"]["1"] == 1.0
    answer = run_cli("query", flat / "3.png", "--k", 2, "--home", home, check=0)
    assert "3.png" in answer.stdout
    assert "label" not in answer.stdout
    refused = run_cli("build", flat, *SMALL, "--home", home, check=2)
    assert "no labels" in refused.stderr


@pytest.mark.slow
def test_class_disjoint_searches_unseen_classes_leave_one_out(tmp_path, home):
    folder = write_folder(tmp_path / "six", labels=6, each=6)
    done = build(folder, home, [*SETTINGS, "dataset.split=disjoint", "dataset.test_classes=3"])
    assert (done.report["queries"], done.report["gallery"], done.report["classes"]) == (18, 18, 6)
    assert done.build.record.images == 36, "the corpus of a folder is all of it"
    with np.load(artifact_file(home, "evaluate", "queries.npz"), allow_pickle=False) as values:
        assert len(values["rows"]) == 18
    assert max(done.report["systems"]["recipe/index"]["recall"].values()) <= 1.0


def test_no_training_uses_the_backbones_own_features(photos, home):
    done = build(photos, home, [*SETTINGS, "training.epochs=0"])
    systems = done.report["systems"]
    assert systems["baseline/cosine"] == systems["recipe/cosine"]
    assert json.loads(artifact_file(home, "train", "embedder.json").read_text())["dim"] == 9216
    assert done.report["summary"].startswith("Normalization alone does as well as the recipe")


def test_a_head_trains_on_cached_features_of_the_frozen_backbone(photos, home):
    wanted = ["embedder.backbone=mnist_cnn", "embedder.weights=none", "embedder.train=head",
              "training.epochs=2", "embedder.dim=16"]  # fmt: skip
    done = build(photos, home, wanted)
    embed = Home(home).store.open("embed", **done.build.record.stages["embed"])
    assert embed.facts["through"] == "head on cached features"
    assert "frozen/embed" in done.build.record.stages
    answer = run_cli("query", photos / "class 1" / "04.png", "--k", 1, "--json", "--home", home, check=0)
    hit = json.loads(answer.stdout)["hits"][0]
    assert hit["image"] == "class 1/04.png"
    assert hit["score"] >= 0.9999
    again = build(photos, home, [*wanted, "loss.alpha=8"])
    assert "Backbone" not in again.ran, "the cached features are shared"


@pytest.mark.parametrize("loss", ["triplet", "softmax"])
def test_other_losses(photos, home, loss):
    more = ["loss.images_per_class=4"] if loss == "triplet" else []
    done = build(photos, home, [*QUICK, f"loss.name={loss}", *more])
    assert done.report["systems"]["recipe/index"]["recall"]["10"] > 0.3


def test_more_classes_a_batch_than_there_are(photos, home):
    done = run_cli("build", photos, *SMALL, "--set", "loss.name=triplet", "--set", "loss.classes_per_batch=10",
                   "--home", home, check=2)  # fmt: skip
    assert "3 classes" in done.stderr


def test_alpha_under_the_bound_warns_with_the_bound(photos, home):
    done = run_cli("build", photos, *SMALL, "--set", "loss.alpha=1", "--set", "evaluation.baseline=false",
                   "--home", home, check=0)  # fmt: skip
    assert "2.20" in done.stderr


def test_a_table_with_splits(photos, home, tmp_path):
    lines = ["path,label,split"]
    for label in range(3):
        for number in range(10):
            lines.append(f"photos/class {label}/{number:02d}.png,{label},{'test' if number > 7 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[dataset]\nsource = "table:list.csv"\n[evaluation]\nbaseline = false\n')
    done = build(recipe, home, SETTINGS)
    assert (done.report["queries"], done.report["gallery"]) == (6, 24)
    assert done.build.name == "mine"


def test_caches_of_other_libraries_stay_below_the_home(built):
    folder, home = built
    assert {p.name for p in home.parent.iterdir()} == {folder.name, home.name}


def test_a_csv_file_on_the_command_line_is_a_table(photos, home, tmp_path):
    rows = [f"photos/class {c}/{n:02d}.png,{c}" for c in range(3) for n in range(10)]
    (tmp_path / "my list.csv").write_text("path,label\n" + "\n".join(rows))
    done = build(tmp_path / "my list.csv", home)
    assert done.build.name == "my-list"
    assert done.build.record.images == 30


def test_times_and_sizes_are_said_as_people_say_them():
    said = {0.4: "0 s", 89.4: "89 s", 90: "2 min", 150: "2 min", 5399: "90 min", 5400: "1.5 h", 36000: "10.0 h"}
    assert {seconds: spoken(seconds) for seconds in said} == said
    found = {"images": 1200, "labels": 0, "rows": 1200, "dim": 8, "index": "Flat", "seconds": {"embed": 89, "index": 2},
             "exists": False, "build": "b", "memory_bytes": 999_400_000, "disk_bytes": 1_000_000_000}  # fmt: skip
    assert render_forecast(found).splitlines() == [
        "images   1,200, no labels",
        "rows     1,200 x 8, index Flat",
        "memory   about 999 MB",
        "disk     about 1.0 GB",
        "time     about 2 min (embed 89 s, index 2 s)",
    ]
    more = render_forecast({**found, "labels": 12, "exists": True}).splitlines()
    assert (more[0], more[-1].split()[:3]) == ("images   1,200 of 12 labels", ["build", "b", "exists:"])


@pytest.mark.parametrize(
    ("queries", "labelled", "trains", "fit", "refused"),
    [
        (0, True, True, 9, "nothing to search with"),
        (3, True, True, 0, "no image is left to train on"),
        (3, True, False, 0, None),  # frozen features need none
        (3, False, True, 0, None),  # without labels nothing is trained
        (3, True, True, 9, None),
    ],
)
def test_what_a_dataset_must_hold(queries, labelled, trains, fit, refused):
    facts = {"images": 9, "queries": queries, "labelled": labelled, "fit": fit}
    if refused is None:
        check_usable(facts, "photos", trains=trains)
    else:
        with pytest.raises(SourceError, match=f"photos: {refused}"):
            check_usable(facts, "photos", trains=trains)


def test_a_forecast_grows_with_what_is_trained(tmp_path):
    said = {
        systems: forecast(find_recipe("digits", [f"evaluation.baseline={word}", *more]), Home(tmp_path))
        for systems, word, more in ((1, "false", []), (3, "true", []), ("frozen", "true", ["training.epochs=0"]))
    }
    one, three, frozen = said.values()
    assert (one["images"], one["labels"]) == (1797, 10)
    assert three["disk_bytes"] - one["disk_bytes"] == 2 * (4 * one["dim"] * one["images"] + 1_000_000)
    assert three["seconds"]["train"] == pytest.approx(3 * one["seconds"]["train"], rel=0.02)
    assert three["seconds"]["embed"] == pytest.approx(3 * one["seconds"]["embed"], rel=0.2)
    assert frozen["seconds"]["train"] < one["seconds"]["train"] / 2, "there is no baseline of frozen features"
    chosen, graph = (
        forecast(find_recipe("digits", ["evaluation.baseline=false", setting]), Home(tmp_path))
        for setting in ("index.target_recall=0.9", "index.factory=HNSW32")
    )
    assert chosen["seconds"]["index"] > graph["seconds"]["index"] >= one["seconds"]["index"], "tuning takes its time"
    assert not list(tmp_path.iterdir())


def test_the_advice_to_train_the_backbone_too_says_its_time(photos, tmp_path):
    def advice(*settings):
        named = find_recipe(str(photos), [f"embedder.{setting}" for setting in settings])
        stages = {
            "frozen/embed": Artifact(tmp_path, {"seconds": 4000.0, "facts": {"rows": 100}}),
            "dataset": Artifact(tmp_path, {"facts": {"fit": 80}}),
        }
        recipe = named.recipe.resolve()
        without = recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"baseline": False})})
        found = [fine_tuning(named, one, "photos", stages) for one in (recipe, without)]
        assert fine_tuning(named, recipe, "photos", {"dataset": stages["dataset"]}) is None, "nothing was frozen"
        return found

    both, alone = (float(said.split(" about ")[1].split(" h ")[0]) for said in advice())
    assert both == pytest.approx(2 * alone, rel=0.01), "the baseline is trained as well"
    epochs = find_recipe(str(photos), ["embedder.train=all"]).recipe.resolve().training.epochs
    assert alone == pytest.approx(epochs * 80 * 8 * 40 / 3600, rel=0.01)
    assert advice("train=all") == [None, None]
    assert advice("weights=none", "backbone=mnist_cnn") == [None, None]


@pytest.mark.parametrize(
    ("raised", "free", "seen"),
    [
        (SourceError("too few images"), 0, SourceError),
        (RuntimeError("a library's own words"), 0, DiskError),
        (RuntimeError("a library's own words"), 1 << 30, RuntimeError),
        (OSError(errno.ENOSPC, "full"), 1 << 30, DiskError),
    ],
)
def test_a_full_disk_is_told_only_where_nothing_else_was(home, monkeypatch, raised, free, seen):
    def work(space, progress):
        raise raised

    plan = Plan(Home(home))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    with pytest.raises(seen) as caught:
        plan.make(Step("train", "Trained", 1, {}, {}, work))
    assert (caught.value is raised) == (seen is type(raised))
    assert plan.ran == []
