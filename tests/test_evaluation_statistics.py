"""The sign-flip test against all 2^n flips, and against its own promise where nothing differs."""

from itertools import product

import numpy as np
import pytest

from simsearch.statistics import significance as statistics
from simsearch.statistics.significance import sign_flip_test


def enumerated(differences):
    observed = abs(sum(differences)) - 1e-9
    flips = list(product((1, -1), repeat=len(differences)))
    return sum(abs(np.dot(signs, differences)) >= observed for signs in flips) / len(flips)


@pytest.mark.parametrize(
    "differences",
    [[1.0], [0.5, 0.25, 0.1], [0.1] * 8, [0.1, -0.1, 0.2, 0.3, 0, 0.1], [0.3, -0.2, 0.1, 0.4, 0.15, -0.05, 0.2, 0.25]],
)
def test_random_flips_approach_all_flips(differences):
    assert sign_flip_test(np.array(differences), flips=40_000) == pytest.approx(enumerated(differences), abs=0.01)


def test_shares_in_float32_are_summed_as_those_in_float64():
    for seed in range(8):
        shares = np.random.default_rng(seed).choice([-0.1, 0.1, 0.3, 0.7, 0], 40).astype(np.float32)
        assert sign_flip_test(shares) == sign_flip_test(shares.astype(np.float64))


def test_zeros_are_no_evidence_and_no_difference_is_p_one():
    assert sign_flip_test(np.zeros(50)) == 1.0
    assert sign_flip_test(np.empty(0)) == 1.0
    few = np.array([0.2, 0.1, 0.3])
    padded = np.concatenate((few, np.zeros(500)))
    assert sign_flip_test(padded) == sign_flip_test(few)


def test_the_smallest_p_is_one_in_all_flips_and_the_seed_decides():
    differences = np.random.default_rng(0).normal(1, 0.1, 200)
    assert sign_flip_test(differences) == 1 / 10_000
    weak = np.random.default_rng(1).normal(0.1, 1, 100)
    assert sign_flip_test(weak, seed=3) == sign_flip_test(weak, seed=3)
    assert sign_flip_test(weak) == sign_flip_test(-weak)


def test_blocks_do_not_change_the_answer(monkeypatch):
    differences = np.random.default_rng(2).normal(0.1, 1, 64)
    whole = sign_flip_test(differences)
    monkeypatch.setattr(statistics, "_BLOCK_NUMBERS", 64 * 512)
    assert sign_flip_test(differences) == pytest.approx(whole, abs=0.02)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        sign_flip_test(np.array([0.1, np.nan]))


def test_without_a_difference_p_is_below_its_level_as_often_as_it_says():
    random = np.random.default_rng(5)
    sets = random.integers(-3, 4, (500, 40)) / 10  # ties and zeros, as error@10 has them
    p = np.array([sign_flip_test(one, flips=399, seed=i) for i, one in enumerate(sets)])
    for level in (0.05, 0.1, 0.5):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 500)
    assert (p <= 0.1).mean() > 0.05  # and it is not merely timid


def test_ties_among_shares_are_counted():
    """Shares of ten as evaluation stores them: sums that are equal in exact arithmetic must count as equal."""
    from simsearch.evaluation.measured import evaluate_system

    random = np.random.default_rng(5)
    gallery = np.arange(40) % 4
    labels = np.arange(30) % 4
    errors = []
    for _ in range(2):
        rows = np.array([random.permutation(40)[:10] for _ in labels])
        found = evaluate_system(
            iter([(slice(0, 30), rows)]),
            labels,
            gallery,
            relevant=np.full(30, 10),
            boundary=None,
            ks=(10,),
            deep=False,
        )
        errors.append(found.values("cross_boundary_error", 10))
    differences = errors[0] - errors[1]
    tenths = np.round(differences * 10).astype(np.int64)
    assert sign_flip_test(differences) == sign_flip_test(tenths.astype(np.float64))
