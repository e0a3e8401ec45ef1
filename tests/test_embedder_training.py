"""Training: learns, repeats itself bit by bit, and goes on after an interruption as if there had been none."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from simsearch.embedder.losses.losses import make_loss
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.training import checkpoint, loop
from simsearch.embedder.training.extract import make_prepare
from simsearch.embedder.training.loop import train
from simsearch.embedder.training.precision import choose_device, choose_precision
from simsearch.embedder.training.sampling import BalancedSampler, shuffled_batches
from simsearch.embedder.training.schedule import Rates
from simsearch.errors import EmbedderError

N = 130
RANDOM = np.random.default_rng(0)
LABELS = (np.arange(N) % 4).astype(np.int64)
IMAGES = (RANDOM.integers(0, 60, (N, 28, 28, 1)) + 40 * LABELS[:, None, None, None]).astype(np.uint8)


L2_SOFTMAX = {"name": "l2_softmax", "alpha": 16.0, "learn_alpha": False}
TRIPLET = {"name": "triplet", "margin": 0.2, "mining": "semi_hard"}


def run(folder, *, loss=L2_SOFTMAX, fetch=IMAGES.__getitem__, epochs=3, **options):
    model = build_embedder("mnist_cnn", 8, seed=1)
    criterion = make_loss(loss, 8, 4, seed=1)
    trained = train(
        model,
        criterion,
        fetch=fetch,
        labels=LABELS,
        batches=lambda epoch: shuffled_batches(N, 16, 5, epoch),
        prepare=make_prepare([0.3], [0.3]),
        epochs=epochs,
        partial=folder,
        seed=5,
        threads=2,
        device="cpu",
        **options,
    )
    return trained, {**model.state_dict(), **{f"loss.{name}": value for name, value in criterion.state_dict().items()}}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def plain(rows):
    return [{key: value for key, value in row.items() if key != "images_per_second"} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, validate=lambda: 0.5)


def test_it_learns_and_reports(whole):
    trained, _ = whole
    assert trained.info == {"threads": 2, "device": "cpu", "precision": choose_precision(torch.device("cpu"))}
    assert [row["epoch"] for row in trained.metrics] == [1, 2, 3]
    assert trained.metrics[-1]["loss"] < trained.metrics[0]["loss"] / 2
    assert trained.metrics[0]["active"] is None
    assert trained.metrics[0]["val_recall_at_1"] == 0.5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_same_bits_whatever_ran_before(tmp_path, precision):
    torch.manual_seed(1)
    _, first = run(tmp_path / "a", epochs=1, precision=precision)
    torch.rand(7)
    np.random.rand(3)
    before = torch.get_rng_state()
    _, second = run(tmp_path / "b", epochs=1, precision=precision)
    assert same(first, second)
    assert torch.equal(before, torch.get_rng_state())


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop", [3, 12, 18])
def test_resume_is_bit_identical(tmp_path, whole, stop):
    """Checkpoints after every step; the process 'dies' in mid-epoch, twice."""
    seen = []

    def dying(indices):
        seen.append(1)
        if len(seen) in (stop, stop + 4):
            raise Stop
        return IMAGES[indices]

    for _ in range(2):
        with pytest.raises(Stop):
            run(tmp_path, fetch=dying, checkpoint_seconds=0.0, validate=lambda: 0.5)
    trained, weights = run(tmp_path, fetch=dying, validate=lambda: 0.5)
    assert same(weights, whole[1])
    assert plain(trained.metrics) == plain(whole[0].metrics)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == trained.metrics


def test_resume_uses_the_checkpoint(tmp_path):
    run(tmp_path, epochs=1)
    _, state = checkpoint.load(tmp_path)
    assert state["step"] == len(list(shuffled_batches(N, 16, 5, 0)))

    def never(indices):
        raise AssertionError("a finished run fetches nothing")

    run(tmp_path, epochs=1, fetch=never)


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_epochs_are_saved_in_groups_and_the_end_always(tmp_path, monkeypatch, whole, seconds):
    saved, save = [], checkpoint.save
    monkeypatch.setattr(loop, "EPOCH_SECONDS", seconds)
    monkeypatch.setattr(
        checkpoint, "save", lambda *a, **k: saved.append(k["state"]["position"]["epoch"]) or save(*a, **k)
    )
    _, weights = run(tmp_path, validate=lambda: 0.5)
    assert saved == ([3] if seconds else [1, 2, 3])
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    assert same(weights, whole[1])


def test_a_checkpoint_of_another_plan_counts_as_none(tmp_path, whole):
    run(tmp_path, epochs=1)
    _, weights = run(tmp_path, validate=lambda: 0.5)
    assert same(weights, whole[1])


def test_interrupt_leaves_a_checkpoint_and_comes_through(tmp_path, whole):
    seen = []

    def interrupted(indices):
        seen.append(1)
        if len(seen) == 5:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        return IMAGES[indices]

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, fetch=interrupted, validate=lambda: 0.5)
    assert checkpoint.load(tmp_path)[1]["step"] == 4
    _, weights = run(tmp_path, validate=lambda: 0.5)
    assert same(weights, whole[1])


def test_interrupt_inside_a_step_waits_for_its_end(tmp_path, whole):
    def prepare(images):
        if not list(tmp_path.glob("*.json")):
            os.kill(os.getpid(), signal.SIGINT)
        return make_prepare([0.3], [0.3])(images)

    model, criterion = build_embedder("mnist_cnn", 8, seed=1), make_loss(L2_SOFTMAX, 8, 4, seed=1)
    with pytest.raises(KeyboardInterrupt):
        train(
            model,
            criterion,
            fetch=IMAGES.__getitem__,
            labels=LABELS,
            batches=lambda epoch: shuffled_batches(N, 16, 5, epoch),
            prepare=prepare,
            epochs=3,
            partial=tmp_path,
            seed=5,
            threads=2,
            device="cpu",
        )
    assert checkpoint.load(tmp_path)[1]["step"] == 1
    _, weights = run(tmp_path, validate=lambda: 0.5)
    assert same(weights, whole[1])


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import test_embedder_training as tests
print("ready", flush=True)
tests.run(Path(sys.argv[1]), validate=lambda: 0.5, checkpoint_seconds=0.0)
"""


@pytest.mark.slow
def test_kill_and_resume_is_bit_identical(tmp_path, whole):
    for wait in (0.05, 0.2):
        command = [sys.executable, "-c", CHILD, str(tmp_path), os.path.dirname(__file__)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            time.sleep(wait)
            child.kill()
    trained, weights = run(tmp_path, validate=lambda: 0.5)
    assert same(weights, whole[1])
    assert plain(trained.metrics) == plain(whole[0].metrics)


def test_loss_that_is_not_finite_stops_with_epoch_and_step(tmp_path):
    def prepare(images):
        return images.permute(0, 3, 1, 2).float() * float("nan")

    with pytest.raises(EmbedderError, match=r"nan in epoch 1, step 1$") as caught:
        train(
            build_embedder("mnist_cnn", 8),
            make_loss({"name": "softmax"}, 8, 4, seed=0),
            fetch=IMAGES.__getitem__,
            labels=LABELS,
            batches=lambda epoch: shuffled_batches(N, 64, 0, epoch),
            prepare=prepare,
            epochs=1,
            partial=tmp_path,
            device="cpu",
        )
    assert "learning rates" in caught.value.hint
    assert checkpoint.load(tmp_path) is None


@pytest.mark.parametrize("rates", [Rates(1e20), Rates(1e-3, weight_decay=1e308)])
def test_weights_ruined_by_the_last_step_stop_too(tmp_path, rates):
    with pytest.raises(EmbedderError, match=r"NaN or infinite in epoch 1, step 1$|the loss became"):
        train(
            build_embedder("mnist_cnn", 8),
            make_loss({"name": "softmax"}, 8, 4, seed=0),
            fetch=IMAGES.__getitem__,
            labels=LABELS,
            batches=lambda epoch: shuffled_batches(N, N, 0, epoch),
            prepare=make_prepare([0.3], [0.3]),
            epochs=1,
            partial=tmp_path,
            rates=rates,
            device="cpu",
        )


def test_a_head_alone_on_cached_features(tmp_path):
    cached = (RANDOM.normal(size=(N, 20)) + LABELS[:, None]).astype(np.float32)
    head = nn.Linear(20, 8)
    sampler = BalancedSampler(LABELS, 4, 4, seed=0)
    told = []
    trained = train(
        head,
        make_loss(TRIPLET, 8, 4, seed=0),
        fetch=cached.__getitem__,
        labels=LABELS,
        batches=sampler.batches,
        epochs=3,
        partial=tmp_path,
        device="cpu",
        progress=lambda done, total, text: told.append((done, total, text)),
    )
    assert trained.info["precision"] == "float32"
    assert 0 < trained.metrics[0]["active"] <= 1
    assert told[-1][:2] == (3 * N, 3 * N)


@pytest.mark.parametrize("freeze", [True, False])
def test_batch_norm_statistics(tmp_path, freeze):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    before = model[1].running_mean.clone()
    train(
        model,
        make_loss({"name": "softmax"}, 8, 4, seed=0),
        fetch=RANDOM.normal(size=(N, 4)).astype(np.float32).__getitem__,
        labels=LABELS,
        batches=lambda epoch: shuffled_batches(N, 16, 0, epoch),
        epochs=1,
        partial=tmp_path,
        freeze_batch_norm=freeze,
        device="cpu",
    )
    assert torch.equal(before, model[1].running_mean) == freeze


def test_no_epochs(tmp_path):
    trained, weights = run(tmp_path, epochs=0)
    assert trained.metrics == []
    assert torch.equal(weights["head.weight"], build_embedder("mnist_cnn", 8, seed=1).head.weight)


def falling(values):
    """A validation that gives these figures, one an epoch."""
    left = list(values)
    return lambda: left.pop(0)


def test_patience_keeps_the_best_epoch_and_stops(tmp_path, whole):
    first_two = run(tmp_path / "two", validate=falling([0.5, 0.7, 0.6]))[1]
    assert same(first_two, whole[1])  # watching alone changes nothing
    trained, weights = run(tmp_path / "best", validate=falling([0.7, 0.6, 0.7]), patience=9)
    assert (len(trained.metrics), trained.kept) == (3, 3)  # of equal ones the last
    assert same(weights, whole[1])
    trained, weights = run(tmp_path / "first", validate=falling([0.7, 0.6, 0.5]), patience=9)
    assert (len(trained.metrics), trained.kept) == (3, 1)
    assert not same(weights, whole[1])
    stopped, kept = run(tmp_path / "stop", validate=falling([0.7, 0.6]), patience=1)
    assert (len(stopped.metrics), stopped.kept) == (2, 1)
    assert same(kept, weights)


def test_patience_without_a_validation_trains_all_epochs_and_keeps_the_last(tmp_path, whole):
    trained, weights = run(tmp_path / "blind", patience=1)
    assert (len(trained.metrics), trained.kept) == (3, 3)
    assert {row["val_recall_at_1"] for row in trained.metrics} == {None}
    assert same(weights, whole[1])


def test_the_kept_epoch_survives_an_interruption(tmp_path):
    _, expected = run(tmp_path / "whole", validate=falling([0.7, 0.6, 0.5]), patience=9)
    seen = []

    def dying(indices):
        seen.append(1)
        if len(seen) == 12:
            raise Stop
        return IMAGES[indices]

    with pytest.raises(Stop):
        run(tmp_path / "cut", fetch=dying, validate=falling([0.7]), patience=9, checkpoint_seconds=0.0)
    trained, weights = run(tmp_path / "cut", validate=falling([0.6, 0.5]), patience=9)
    assert trained.kept == 1
    assert same(weights, expected)
    again, weights = run(tmp_path / "cut", validate=falling([]), patience=9)
    assert (again.kept, len(again.metrics)) == (1, 3)
    assert same(weights, expected)


def test_prepare_is_the_textbook_formula():
    images = RANDOM.integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    expected = (images / 255 - mean) / std
    found = make_prepare(mean, std)(torch.from_numpy(images))
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_device_by_name():
    assert choose_device("cpu").type == "cpu"
    assert choose_device().type in ("cpu", "cuda")
