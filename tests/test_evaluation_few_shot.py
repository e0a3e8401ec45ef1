"""Few-shot episodes against a slow loop over the same draws, and the interval against its own promise."""

import numpy as np
import pytest

from simsearch.evaluation import few_shot as module
from simsearch.evaluation.few_shot import few_shot
from simsearch.vectors.normalize import normalize


def population(random, classes, images, noise, dim=8, family=0.0):
    """Embeddings of labels with centres, spreads and, for a share of them, a family of their own."""
    centres = random.standard_normal((classes, dim))
    kin = random.random(classes) < family
    centres[kin] = 1.2 + 0.35 * random.standard_normal((kin.sum(), dim))
    spread = noise * np.exp(0.3 * random.standard_normal((classes, 1, 1)))
    features = centres[:, None] + spread * random.standard_normal((classes, images, dim))
    return normalize(features.reshape(-1, dim)), np.repeat(np.arange(classes), images)


@pytest.mark.parametrize(("ways", "shots", "episodes"), [(20, 1, 130), (5, 3, 40)])
def test_episodes_equal_a_loop_over_the_same_draws(monkeypatch, ways, shots, episodes):
    random = np.random.default_rng(0)
    embeddings, labels = population(random, 30, 6, 0.6)
    order = random.permutation(len(labels))
    embeddings, labels = embeddings[order], labels[order]
    labels[labels == 4] = -1
    labels[np.flatnonzero(labels == 7)[1:]] = -1  # one image left: too few
    drawn = []
    answers = module._answers
    monkeypatch.setattr(module, "_answers", lambda images, groups: drawn.append(images) or answers(images, groups))
    result = few_shot(embeddings, labels, ways=ways, shots=shots, episodes=episodes, seed=3)

    row_of = {embedding.tobytes(): row for row, embedding in enumerate(embeddings)}
    right = total = 0
    for episode in np.concatenate(drawn):
        rows = [[row_of[image.tobytes()] for image in way] for way in episode]
        names = [{int(labels[row]) for row in way} for way in rows]
        assert all(len(name) == 1 and min(name) >= 0 for name in names)  # one label a way, and never unlabelled
        assert len(set().union(*names)) == ways
        assert all(len(set(way)) == shots + 1 for way in rows)
        for i, way in enumerate(rows):
            best = max(
                ((embeddings[way[-1]] @ embeddings[support], j) for j in range(ways) for support in rows[j][:-1]),
            )
            right += best[1] == i
            total += 1
    assert total == episodes * ways
    assert result.accuracy == pytest.approx(right / total, abs=1e-12)
    assert (result.ways, result.shots, result.episodes, result.classes) == (ways, shots, episodes, 28)
    assert result.interval[0] < result.accuracy < result.interval[1]


def test_choices_are_distinct_and_equally_likely():
    random = np.random.default_rng(1)
    chosen = module._distinct(random, np.full((3000, 4), 5), 3)
    assert all(len(set(numbers)) == 3 for numbers in chosen.reshape(-1, 3).tolist())
    for place in range(3):
        np.testing.assert_allclose(np.bincount(chosen[..., place].ravel(), minlength=5) / 12_000, 0.2, atol=0.02)
    assert sorted(module._distinct(random, np.array([2]), 2)[0].tolist()) == [0, 1]


def test_the_seed_decides_and_too_few_labels_are_none():
    embeddings, labels = population(np.random.default_rng(2), 25, 4, 0.5)
    assert few_shot(embeddings, labels, seed=1) == few_shot(embeddings, labels, seed=1)
    assert few_shot(embeddings, labels, seed=1) != few_shot(embeddings, labels, seed=2)
    assert few_shot(embeddings, labels % 19) is None
    assert few_shot(embeddings, np.arange(100)) is None
    assert few_shot(embeddings, labels, shots=4) is None
    assert few_shot(embeddings[:0], labels[:0]) is None


def test_equal_supports_are_decided_by_chance_and_perfect_ones_always():
    labels = np.repeat(np.arange(40), 5)
    same = few_shot(np.tile(np.eye(1, 8, dtype=np.float32), (200, 1)), labels)
    assert same.accuracy == pytest.approx(1 / 20, abs=0.01)
    perfect = few_shot(np.eye(40, dtype=np.float32)[labels], labels)
    assert (perfect.accuracy, perfect.interval) == (1.0, (1.0, 1.0))


@pytest.mark.parametrize("family", [0.0, 0.3])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(family):
    """Labels drawn anew from one population: the truth is the accuracy over very many of them."""
    random = np.random.default_rng(5)
    many = [few_shot(*population(random, 3000, 6, 0.35, family=family), ways=5, resamples=1) for _ in range(8)]
    truth = np.mean([one.accuracy for one in many])
    held = []
    for seed in range(120):
        result = few_shot(
            *population(random, 60, 6, 0.35, family=family), ways=5, episodes=400, seed=seed, resamples=300
        )
        held.append(result.interval[0] <= truth <= result.interval[1])
    assert 0.87 <= np.mean(held) <= 1.0
    assert 0.75 < truth < 0.99
