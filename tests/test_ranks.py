"""Training by ranks: one gradient in all, what a part of a batch is, what is refused, how errors come through."""

import errno
import json
import re
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from ranked import LOSSES, gradient_of
from test_embedder_training import run

from simsearch.console import Progress
from simsearch.embedder.training.group import ALONE, Group
from simsearch.embedder.training.sampling import in_equal_parts, shuffled_batches
from simsearch.engines.rank import show
from simsearch.engines.torchrun import _ended, raised, run_ranks, told
from simsearch.errors import EmbedderError, RecipeError, SourceError
from simsearch.images.formats.decoding import FIRST
from simsearch.images.sources.again import read_again, written
from simsearch.images.sources.source import FileReader
from simsearch.images.sources.unpacked import PixelReader
from simsearch.recipe.recipe import make_recipe
from simsearch.stages.batches import batches_of


def close(one, other):
    """Whether two gradients are one: of nearly the same direction and length."""
    cosine = float(torch.nn.functional.cosine_similarity(one, other, dim=0))
    return cosine >= 0.99999 and abs(float(one.norm() / other.norm()) - 1) < 1e-3


@dataclass(frozen=True)
class Pretended(Group):
    """A rank that sends nothing: it keeps its own `parts`, and takes what `others` and itself gave in a first round."""

    parts: list = field(default_factory=list)
    others: list = field(default_factory=list)

    def _gathered(self, tensor):
        self.parts.append(tensor)
        return list(self.others.pop(0)) if self.others else [tensor] * self.size

    def average(self, tensors):
        pass


def by_pretended_ranks(settings, size):
    """The mean over ranks of their gradients, each with the features of the others from a first round."""
    ranks = [Pretended(rank, size) for rank in range(size)]
    for rank in ranks:
        gradient_of(settings, rank)
    said = list(zip(*(rank.parts for rank in ranks), strict=True))  # features, then labels
    again = [Pretended(rank, size, others=list(map(list, said))) for rank in range(size)]
    found = [gradient_of(settings, rank) for rank in again]
    return torch.stack([gradient for gradient, _ in found]).mean(0), np.mean([value for _, value in found])


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_gradient_of_ranks_is_that_of_one_process(loss, size):
    whole, value = gradient_of(LOSSES[loss])
    gradient, mean = by_pretended_ranks(LOSSES[loss], size)
    assert whole.norm() > 0
    assert close(gradient, whole)
    assert mean == pytest.approx(value, rel=1e-5)


@pytest.mark.slow
def test_real_ranks_have_the_gradient_of_one_process(tmp_path):
    (tmp_path / "job").write_text(json.dumps(list(LOSSES)))
    found = {}
    heard = lambda kind, said: found.update({(said[1], said[0]): (torch.tensor(said[2]), said[3])})  # noqa: E731
    run_ranks("ranked", str(tmp_path / "job"), ranks=2, threads=1, log=tmp_path / "log", heard=heard)
    assert (tmp_path / "log").read_text() == "", "torchrun and gloo have nothing to say"
    for name, settings in LOSSES.items():
        whole, value = gradient_of(settings)
        (first, mean), (second, other) = found[name, 0], found[name, 1]
        assert torch.equal(first, second)
        assert close(first, whole), name
        assert mean == other == pytest.approx(value, rel=1e-5)


def test_one_process_alone_is_left_as_it_was():
    features, before = torch.randn(4, 2), torch.get_rng_state()
    ALONE.draw(1, 2, alike=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert ALONE.whole(features, torch.arange(4))[0] is features
    assert ALONE.of_first(0.25, torch.device("cpu")) == 0.25
    assert ALONE.part(np.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_ranks_draw_alike_or_each_for_itself():
    def drawn(rank, step, alike):
        Group(rank, 2).draw(7, step, alike=alike)
        return float(torch.rand(()))

    assert drawn(0, 3, True) == drawn(1, 3, True) != drawn(0, 4, True)
    assert len({drawn(0, 3, False), drawn(1, 3, False), drawn(0, 3, True), drawn(0, 4, False)}) == 4
    assert drawn(1, 3, False) == drawn(1, 3, False)


@pytest.mark.parametrize(("ranks", "least"), [(1, 1), (2, 1), (3, 2), (4, 8)])
def test_ranks_take_equal_parts_of_what_one_process_would_take(ranks, least):
    batches = list(in_equal_parts(shuffled_batches(50, 12, 0, 0), ranks, least))
    parts = [[Group(rank, ranks).part(batch) for rank in range(ranks)] for batch in batches]
    assert {len({len(part) for part in of_one}) for of_one in parts} <= {1}
    assert all(len(of_one[0]) >= least for of_one in parts)
    for batch, of_one, whole in zip(batches, parts, shuffled_batches(50, 12, 0, 0), strict=False):
        assert np.concatenate(of_one).tolist() == batch.tolist() == whole[: len(batch)].tolist()
        assert len(whole) - len(batch) < ranks


def shared(ranks, labels, *, batch_norm=False, **tables):
    said = []
    progress = Progress()
    progress.say = said.append
    recipe = make_recipe({"dataset": {"source": "digits"}, **tables}, "here").resolve()
    made = batches_of(recipe.loss, recipe.training, labels, progress, ranks=ranks, batch_norm=batch_norm)
    return list(made(0)), said


def test_batches_that_ranks_cannot_share_are_refused_with_both_numbers():
    labels = np.arange(400) % 4
    with pytest.raises(RecipeError, match="ranks = 3: a batch has 64 images, expected a multiple of 3"):
        shared(3, labels, training={"batch_size": 64})
    with pytest.raises(RecipeError, match="ranks = 5: a batch has 24 images, expected a multiple of 5"):
        shared(5, labels, loss={"name": "triplet", "images_per_class": 6})
    with pytest.raises(RecipeError, match="a rank has 24 images of a batch, expected at least 32 for batch norm"):
        shared(2, labels, loss={"name": "triplet"}, batch_norm=True)
    with pytest.raises(RecipeError, match="a rank has 0 images of a batch, expected at least 1"):
        shared(8, labels[:6], training={"batch_size": 64})


def test_batch_norm_that_learns_from_a_part_is_said_and_leaves_out_a_short_batch():
    labels = np.arange(400) % 4
    batches, said = shared(2, labels, training={"batch_size": 128}, batch_norm=True)
    assert [len(batch) for batch in batches] == [128] * 3, "the last, of 16, would be 8 a rank"
    assert said == ["Batch norm learns from the 64 images of a rank, not from the 128 of a batch"]
    batches, said = shared(2, labels, training={"batch_size": 128})
    assert [len(batch) for batch in batches] == [128] * 3 + [16]
    assert not said


def test_a_checkpoint_of_other_ranks_is_refused_with_both_numbers(tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=stop)
    plan = json.loads((tmp_path / "checkpoint.json").read_bytes())["state"]["plan"]
    assert "ranks" not in plan, "checkpoints from before there were ranks are gone on with"
    with pytest.raises(EmbedderError, match="made by 1 ranks, and this training has 2") as caught:
        run(tmp_path, group=Unsent(0, 2))
    assert "training.ranks=1" in caught.value.hint


class Unsent(Group):
    """A rank that is asked no more than to begin."""

    def copy_first(self, *modules):
        pass


def test_ranks_enter_addresses_only_where_there_are_several_and_no_head_alone():
    def settings(**tables):
        return make_recipe({"dataset": {"source": "digits"}, **tables}, "here").resolve().training.settings()

    assert "ranks" not in settings()
    assert settings(training={"ranks": 1}) == settings()
    assert settings(training={"ranks": 2}) == {**settings(), "ranks": 2}
    assert "ranks" not in settings(embedder={"train": "head"}, training={"ranks": 2})


@pytest.mark.parametrize(
    "error",
    [SourceError("seen x", hint="do y"), OSError(errno.ENOSPC, "No space left on device", "a"), MemoryError("much")],
)
def test_errors_come_through_to_the_command(error):
    again = raised(json.loads(json.dumps(told(error))))
    assert type(again) is type(error)
    assert (vars(again), getattr(again, "errno", None)) == (vars(error), getattr(error, "errno", None))


SUMMARY = """
[1]:
  time      : 2026-11-30_21:42:00
  host      : localhost
  rank      : 0 (local_rank: 0)
  exitcode  : {0} (pid: 14574)
  rank      : 1 (local_rank: 1)
  exitcode  : {1} (pid: 14575)
"""


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (-9, "", r"torchrun, which runs 2 ranks, was ended by signal 9 \(SIGKILL\)"),
        (1, SUMMARY.format(-15, -9), r"rank 1 of 2 was ended by signal 9 \(SIGKILL\)"),
        (1, SUMMARY.format(-11, 1), r"rank 0 of 2 was ended by signal 11 \(SIGSEGV\)"),
        (1, "[rank1]: ValueError: seven\n" + SUMMARY.format(-15, 1), "ended: .*ValueError: seven"),
        (3, "", "training with 2 ranks ended: exit code 3"),
    ],
)
def test_who_was_ended_is_told_in_one_line(code, log, said, tmp_path):
    (tmp_path / "log").write_text(log)
    error = _ended(code, 2, tmp_path / "log")
    assert re.search(said, error.message)
    assert "\n" not in error.message


def test_messages_are_the_progress_that_they_tell_of():
    heard = []

    class Hearing(Progress):
        def say(self, line):
            heard.append(line)

        def __call__(self, *counted):
            heard.append(counted)

        def tell(self, what):
            heard.append(what)

    assert show(Hearing(), "say", ["a"])
    assert show(Hearing(), "count", [1, 2, "images"])
    assert show(Hearing(), "tell", ["b"])
    assert not show(Hearing(), "done", [])
    assert heard == ["a", (1, 2, "images"), "b"]


def test_a_reader_is_made_again_in_another_process(tmp_path):
    (tmp_path / "images.bin").write_bytes(bytes(range(24)))
    pixels = PixelReader(tmp_path / "images.bin", (2, 3), {"train": 3, "test": 1})
    files = FileReader(str(tmp_path), FIRST)
    for reader, name in ((pixels, "test/7/00000"), (files, "images.bin")):
        again = read_again(json.loads(json.dumps(written(reader))))
        assert (type(again), again.decoding) == (type(reader), reader.decoding)
        assert again.data(name) == reader.data(name)
    assert pixels.array("test/7/00000").tolist() == [[18, 19, 20], [21, 22, 23]]
