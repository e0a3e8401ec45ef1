"""Five planted regressions: the gate sees each, and names the stage that moved."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from nights import run_night, write_job, write_table

from simsearch.images.preprocess import Preprocess
from simsearch.vectors import normalize as room

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def accepted(tmp_path_factory):
    """(folder, home) with an accepted night."""
    folder = tmp_path_factory.mktemp("job")
    write_table(folder)
    write_job(folder)
    story = run_night(folder, folder / "home")
    assert story.verdict.outcome == "pass", story.verdict
    return folder, folder / "home"


@pytest.fixture
def job(accepted):
    """The same, put back afterwards as it was."""
    yield accepted
    write_table(accepted[0])
    write_job(accepted[0])


def stages(story) -> set[str | None]:
    assert story.verdict.outcome == "regression", story.verdict
    return {finding.cause.stage for finding in story.verdict.worse}


def patch_everywhere(monkeypatch, old, new):
    """Put `new` in the place of a function wherever it was imported by name, as an edit of its source would."""
    for module in [m for name, m in sys.modules.items() if name.startswith("simsearch")]:
        for name, value in vars(module).copy().items():
            if value is old:
                monkeypatch.setattr(module, name, new)


def test_nothing_changed_is_nothing_found(job):
    story = run_night(*job)
    assert story.verdict.outcome == "pass"
    assert story.verdict.findings
    assert not any(finding.difference for finding in story.verdict.findings if finding.p_value is not None)


def test_an_embedder_trained_for_one_epoch(job):
    write_job(job[0], epochs=1)
    story = run_night(*job)
    assert stages(story) == {"embedder"}
    cause = story.verdict.worse[0].cause
    assert "training.epochs 6 -> 1" in cause.why
    assert cause.classes
    assert cause.queries
    assert cause.picture.startswith(b"\x89PNG")


def test_one_list_is_searched(job):
    write_job(job[0], nprobe=1)
    story = run_night(*job)
    assert stages(story) == {"search settings"}
    assert "nprobe 8 -> 1" in story.verdict.worse[0].cause.why


def test_two_changes_at_once_are_told_apart(job):
    write_job(job[0], epochs=1, nprobe=1)
    story = run_night(*job)
    named = {finding.metric: finding.cause for finding in story.verdict.worse}
    assert named["ann_recall"].stage == "search settings"
    assert named["map_at_r"].stage == "embedder"
    assert named["map_at_r"].of == "MAP@R"


def test_a_tenth_of_the_labels_shuffled(job):
    write_table(job[0], shuffled=0.1)
    story = run_night(*job)
    assert stages(story) == {"data"}
    assert "60 images with another label" in story.verdict.worse[0].cause.why
    assert any("the data changed" in note for note in story.verdict.notes)


def test_normalization_skipped_in_the_code(job, monkeypatch):
    def skipped(features, *, name=None, start=0):
        return np.asarray(features, dtype=np.float32)

    patch_everywhere(monkeypatch, room.normalize, skipped)
    story = run_night(*job)
    # The index finds out by itself that its vectors are no unit vectors.
    assert story.verdict.outcome == "regression"
    assert [(result.stage, result.broken) for result in story.verdict.failed] == [("index", True)]
    assert any("stage index" in note and "unit vectors" in note for note in story.verdict.notes)


def test_normalization_skipped_where_the_index_is_not_asked(job, monkeypatch):
    def skipped(features, *, name=None, start=0):
        return np.asarray(features, dtype=np.float32)

    patch_everywhere(monkeypatch, room.normalize, skipped)
    for name in ("simsearch.vectors.agreement", "simsearch.bench.causes.checks"):
        monkeypatch.setattr(sys.modules[name], "verify", lambda *arguments: None)
    assert stages(run_night(*job)) == {"index"}


def test_preprocessing_changed_in_the_code(job, monkeypatch):
    original = Preprocess.fit

    def cut(self, image):
        pixels = original(self, image).copy()
        pixels[:, 10:] = 0  # most of every picture is lost
        return pixels

    monkeypatch.setattr(Preprocess, "fit", cut)
    story = run_night(*job)
    assert stages(story) == {"features"}
    assert {finding.metric for finding in story.verdict.worse} > {"feature_agreement"}
    assert all("cosine" in finding.cause.why for finding in story.verdict.worse)


def test_preprocessing_that_a_new_embedder_makes_up_for(job, monkeypatch):
    """Recall does not fall, as the night trains with it; builds that stand answer otherwise all the same."""
    original = Preprocess.fit
    monkeypatch.setattr(Preprocess, "fit", lambda self, image: 255 - original(self, image))
    story = run_night(*job)
    assert "feature_agreement" in {finding.metric for finding in story.verdict.worse}
    assert stages(story) == {"features"}
