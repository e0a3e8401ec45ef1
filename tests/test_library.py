"""The package as a library: a call prints nothing unless asked, loads what it needs, and takes another engine."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from commands import run_process
from conftest import SMALL

import simsearch
from simsearch.artifacts import Workspace
from simsearch.console import Progress, Shown
from simsearch.engines.local import Local
from simsearch.exchange.vectors_out import export
from simsearch.hashing import HashMemory
from simsearch.home import Home
from simsearch.images.sources.opening import open_source
from simsearch.stages.common import Data
from simsearch.stages.embed import embed
from simsearch.sync.sync import run_sync
from simsearch.vectors.features import FeatureFile

DOCS = Path(__file__).parents[1] / "docs"


class Heard(Progress):
    """Progress that keeps what it hears."""

    def __init__(self):
        self.lines, self.titles = [], []

    def say(self, line):
        self.lines.append(line)

    def stage(self, title, *, line=True):
        self.titles.append(title)
        return super().stage(title, line=line)


def test_a_call_prints_nothing_and_reports_to_what_it_is_given(photos, home, capfd):
    heard = Heard()
    settings = [*SMALL[1::2], "evaluation.baseline=false", "index.target_recall=0.9"]
    build = simsearch.build(str(photos), settings=settings, home=str(home), progress=heard)
    assert heard.titles == ["Build", "Read", "Trained", "Embedded", "Indexed", "Evaluated", "Verdicts"]
    assert heard.lines[0] == "photos: 30 images, 3 labels"
    assert any("every search is exact" in line for line in heard.lines)
    assert simsearch.build(str(photos), settings=settings, home=str(home)) == build
    (photos / "class 0" / "00.png").unlink()
    run_sync(Home(home))
    export(Home(home).build(), "npy", str(home / "vectors"))
    assert capfd.readouterr() == ("", "")
    simsearch.build(str(photos), settings=settings, home=str(home), name="other", progress=Shown())
    assert "Split         fit" in capfd.readouterr().err


@pytest.mark.parametrize("text", [(DOCS / "python.md").read_text(), simsearch.__doc__], ids=["python.md", "__doc__"])
def test_the_examples_run(text, ours, monkeypatch):
    folder, home = ours
    (recipe,) = re.findall("```toml\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
    (folder.parent / "photos.toml").write_text(recipe)
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("SIMSEARCH_HOME", str(home))
    blocks = re.findall("```python\n(.*?)```", text, re.DOTALL) or [text]
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "examples", None, 0)
    assert "+SKIP" not in text
    assert len(examples.examples) >= 3
    assert doctest.DocTestRunner().run(examples).failed == 0
    assert len(list(home.glob("artifacts/train/[0-9a-f]*"))) == 3, "what the examples build stood already"


def test_an_unchanged_build_loads_no_heavy_library(built):
    folder, home = built
    heavy = ("torch", "faiss", "h5py", "onnxruntime", "onnx", "safetensors", "rich", "sklearn", "ray")
    done = run_process("build", folder, *SMALL, "--home", home, without=heavy, check=0)
    assert "photos is up to date" in done.stderr


def test_another_engine_embeds(built, tmp_path):
    """As one that hands shards to other machines would: it gets the bundle, the shards and the records."""
    folder, home = built
    store, record = Home(home).store, Home(home).build("photos").record
    dataset, trained, embedded = (store.open(kind, **record.stages[kind]) for kind in ("dataset", "train", "embed"))
    seen = []

    class Elsewhere(Local):
        def __call__(self, job, progress):
            records = job.records(0, job.shards.rows)
            seen.append((job.bundle.dim, job.shards.missing(), [one.row for one in records], len(job.canaries)))
            super().__call__(job, progress)

    space = Workspace(tmp_path / "out", tmp_path / "scratch")
    space.out.mkdir()
    space.scratch.mkdir()
    spec = f"folder:{folder}"
    memory = HashMemory(None)
    source = open_source(spec, home_datasets=tmp_path, options={}, exclude=[], root=None, base=tmp_path, memory=memory)
    data = Data(dataset, source.reader())
    embed(data, trained, None, Elsewhere(shard_rows=13)).work(space, Progress())
    assert seen == [(64, [(0, 13), (13, 26), (26, 30)], list(range(30)), 16)]
    with FeatureFile(space.out / "features.h5") as made, FeatureFile(embedded.file("features.h5")) as before:
        assert np.array_equal(made.read(0, 30), before.read(0, 30))
