"""Addresses stay: the digest of every stage of many recipes, of a sync, a mending and an import, is what it was.

Nothing is trained: a plan that pretends gives every stage an artifact without files, whose facts are made up.
A stage whose version rises on purpose changes its lines, and those of what follows from it, in digests.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from simsearch.artifacts import Artifact, digest_of
from simsearch.changes.compare import Changes, Found
from simsearch.changes.state import State
from simsearch.exchange.vectors_in import make_stages as make_import
from simsearch.home import Build, Home, Record
from simsearch.images.formats.decoding import FIRST
from simsearch.integrity.repairing import remake_synced_index
from simsearch.pipeline.graph import Pipeline, open_dataset
from simsearch.pipeline.plan import Plan
from simsearch.recipe.files import find_recipe
from simsearch.recipe.tables import Evaluation
from simsearch.stages.evaluate import seeds
from simsearch.stages.sync import Transition
from simsearch.sync.sync import make_stages as make_next
from simsearch.vectors.formats import open_vectors
from simsearch.vectors.search import Search

PINNED = json.loads(Path(__file__).with_name("digests.json").read_text())
SMALL = ["embedder.backbone=mnist_cnn", "embedder.weights=none"]
RECIPES = {
    "digits": ("digits", []),
    "without a baseline": ("digits", ["evaluation.baseline=false", "evaluation.k=[1,3]", "evaluation.map=false"]),
    "without training": ("digits", ["training.epochs=0"]),
    "another seed": ("digits", ["training.seed=3", "dataset.seed=2"]),
    "disjoint": ("digits", ["dataset.split=disjoint", "dataset.test_classes=4"]),
    "target_recall": ("digits", ["index.target_recall=0.9", "index.max_bytes=900000", "index.corpus=all"]),
    "k_factor": ("digits", ["index.factory=IVF8,PQ8x4fs,RFlat", "index.nprobe=3", "index.k_factor=4.5"]),
    "triplet": ("digits", ["loss.name=triplet", "loss.mining=hard"]),
    "quadruplet": ("digits", ["loss.name=quadruplet", "loss.images_per_class=4"]),
    "pml": ("digits", ["loss.name=pml:ContrastiveLoss", "loss.options={pos_margin=0.1}"]),
    "rotated classes": ("digits", ["training.rotate_classes=true", "augmentation.shift=2", "loss.learn_alpha=true"]),
    "folder": ("photos", SMALL),
    "head": ("photos", [*SMALL, "embedder.train=head"]),
    "a head of photos": ("photos", []),
    "fine-tuned": ("photos", ["embedder.train=all"]),
    "head first": ("photos", ["embedder.train=all", "training.head_first=true", "loss.name=quadruplet"]),
    "weights of a file": ("photos", ["embedder.weights=w.pt"]),
    "table": ("photos.csv", [*SMALL, "images.mean=[0.5]", "images.std=[0.25]", "index.factory=HNSW8"]),
}
STATE = State(["a", "b", "c"], ["x", "y", "y"], ["0", "1", "2"], np.array([1]), {})
CHANGES = Changes(added=[Found("d", "x", "3")], deleted=["a"], gone=[0])


def write_pictures(root: Path) -> None:
    """A folder of three labels, a table of the same pictures, and a file for weights; their bytes never differ."""
    rows = ["path,label"]
    for label in range(3):
        for number in range(10):
            path = root / "photos" / f"class {label}" / f"{number:02d}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(label, number).save(path)
            rows.append(f"photos/class {label}/{number:02d}.bmp,{label}")
    (root / "photos.csv").write_text("\n".join([*rows, ""]))
    (root / "w.pt").write_bytes(b"weights")


def pretended(kind: str, digest: str, settings: dict, inputs: dict) -> Artifact:
    """The artifact of a stage that was not run."""
    number = int(digest[:8], 16)
    views = {view: digest_of([view, digest]) for view in ("train", "measured", "rows")}
    facts = {
        "views": views,
        "gallery": 1438,
        "images": 1797,
        "queries": 9,
        "fit": 9,
        "val": 9,
        "labelled": True,
        "bad": 0,
    }
    facts |= {"notes": [], "ntotal": 1438, "dim": 64, "factory": "Flat", "norms": [1.0, 1.0]}
    facts |= {"search": {"nprobe": number % 7 + 1}} if "target_recall" in settings else {}
    manifest = {"digest": digest, "content": digest_of(number), "facts": facts, "inputs": inputs, "files": {}}
    return Artifact(Path("pretended") / kind, manifest)


def base_artifacts() -> dict[str, Artifact]:
    """Artifacts that a sync starts from."""
    return {kind: pretended(kind, digest_of(kind), {}, {}) for kind in ("dataset", "train", "embed", "index")}


class Pretended(Plan):
    """A plan whose stages need no work."""

    def _make(self, step):
        return pretended(step.kind, step.digest, step.settings, step.inputs)

    def digests(self) -> dict[str, str]:
        return {name: artifact.digest[:16] for name, artifact in self.stages.items()}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Pretended(Home(tmp_path / "home"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_stages_of_a_recipe(recipe, plan, tmp_path):
    write_pictures(tmp_path)
    named = find_recipe(*RECIPES[recipe])
    pipeline = Pipeline(plan, named.recipe)
    pipeline.run(named.name, *pipeline.read(named.name))
    assert plan.digests() == PINNED[recipe]


@pytest.mark.parametrize("recipe", [name for name in RECIPES if f"{name}, first defaults" in PINNED])
def test_the_stages_of_a_recipe_with_the_defaults_that_small_networks_had_first(recipe, plan, tmp_path):
    write_pictures(tmp_path)
    named = find_recipe(*RECIPES[recipe])
    pipeline = Pipeline(plan, named.recipe.with_first_defaults())
    pipeline.run(named.name, *pipeline.read(named.name))
    assert plan.digests() == PINNED[f"{recipe}, first defaults"]


@dataclass
class Standing(Pretended):
    """A plan that finds the stages `there`, by their pinned digests."""

    there: frozenset[str] = frozenset()

    def _find(self, step):
        return self._make(step) if step.digest[:16] in self.there else None


@pytest.mark.parametrize("lost", [None, "backbone", "train", "reference/embed"])
@pytest.mark.parametrize("recipe", [name for name in RECIPES if f"{name}, older heads" in PINNED])
def test_heads_that_were_drawn_otherwise_stand_where_all_of_them_is_there(recipe, lost, plan, tmp_path):
    write_pictures(tmp_path)
    named, older = find_recipe(*RECIPES[recipe]), PINNED[f"{recipe}, older heads"]
    if lost not in {None, *older}:
        pytest.skip("this recipe has no such system")
    plan = Standing(plan.home, there=frozenset(older.values()) - {older.get(lost)})
    pipeline = Pipeline(plan, named.recipe)
    pipeline.run(named.name, *pipeline.read(named.name))
    assert plan.digests() == (PINNED[recipe] if lost else older)


@pytest.mark.parametrize("recipe", [name for name in RECIPES if f"{name}, rules 1" in PINNED])
def test_the_stages_of_a_build_whose_files_rules_1_read(recipe, plan, tmp_path):
    write_pictures(tmp_path)
    named = find_recipe(*RECIPES[recipe])
    like = open_dataset(named.recipe.dataset, plan.home, offline=True, decoding=FIRST)
    pipeline = Pipeline(plan, named.recipe.with_first_defaults(), like=like)
    pipeline.run(named.name, *pipeline.read(named.name))
    assert plan.digests() == PINNED[f"{recipe}, rules 1"]


@pytest.mark.parametrize("compact", [False, True])
def test_the_stages_of_a_sync(compact, plan):
    make_next(plan, base_artifacts(), Transition(None, STATE, CHANGES, compact), 0.05)
    assert plan.digests() == PINNED[f"sync, {compact}"]


def test_a_mended_index(plan):
    recipe = find_recipe("digits", []).recipe.resolve().model_dump()
    record = Record(recipe, "digits", None, True, 1, Search(), {})
    remake_synced_index(plan, Build("x", plan.home.path, record), base_artifacts(), {})
    assert plan.digests() == PINNED["mended"]


def test_an_import(plan):
    np.save("x.npy", np.eye(20, 8, dtype=np.float32))
    index, evaluation = find_recipe("digits", []).recipe.resolve().index, Evaluation(baseline=False, map=False)
    make_import(plan, "x", open_vectors(Path.cwd() / "x.npy"), "vectors:x", index, evaluation)
    assert plan.digests() == PINNED["imported"]


def test_several_seeds(plan):
    plan.make(seeds([3, 4], [base_artifacts()[kind] for kind in ("index", "embed")]))
    assert plan.digests() == PINNED["seeds"]
