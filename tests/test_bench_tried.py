"""Defects of two nights compared: against slow loops, by groups, over shared images, and kept in a history."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from nights import MATRIX
from test_bench_gate import NIGHT, cell, measured, never, values
from test_bench_history import CELL, VERDICT, filled
from test_bench_history import NIGHT as BEGUN

from simsearch.bench.history.history import History
from simsearch.bench.judging.gate import judge, quality
from simsearch.bench.judging.metrics import AUROC, DEFECTS, FALSE_ALARMS
from simsearch.bench.judging.tried import compared_defects
from simsearch.bench.matrix import read_matrix
from simsearch.bench.records import NightFigure
from simsearch.errors import ArtifactError
from simsearch.statistics.ranks import outscored
from simsearch.statistics.significance import sign_flip_test

GOOD, BAD = 120, 80
ROLE = np.arange(GOOD + BAD) >= GOOD


@pytest.fixture
def matrix(tmp_path):
    (tmp_path / "m.toml").write_text(MATRIX.replace("small.toml", "digits"))
    return read_matrix(str(tmp_path / "m.toml"))


def tried(scores, groups=None, threshold=2.0, role=ROLE, names=None):
    """A night's result: scores of GOOD normal images, then of BAD defective ones."""
    columns = {
        "score": scores,
        "defective": role.astype(float),
        "flagged": (scores >= threshold).astype(float),
        "group": np.full(len(scores), -1.0) if groups is None else groups.astype(float),
    }
    made = measured(
        cell(), values(np.random.default_rng(0)), figures=[NightFigure(m, None, "all", 0.5) for m in DEFECTS]
    )
    names = tuple(f"{i}.png" for i in range(len(scores))) if names is None else names
    return replace(made, tried=names, per_image=columns)


def drawn(random, apart=2.0, groups=None, shared=0.0, noise=1.0):
    """Scores: a part that an image has for good (given), a part of its group, and one of the night."""
    own = random.normal(size=len(ROLE)) if groups is None else random.normal(size=int(groups.max()) + 1)[groups]
    return shared + apart * ROLE + noise * own


def by_metric(before, after, matrix):
    return {f.metric: f for f in quality(matrix, [(before, after)]) if f.metric in DEFECTS}


def test_figures_over_shared_images_are_a_slow_loop():
    random = np.random.default_rng(1)
    groups = random.integers(-1, 30, len(ROLE))
    one, other = (tried(drawn(random), groups) for _ in range(2))
    kept = np.concatenate((np.arange(10, GOOD), np.arange(GOOD, GOOD + 50)))[::-1]
    fewer = {name: column[kept] for name, column in other.per_image.items()}
    names = [other.tried[i] for i in kept]
    fewer["defective"][names.index("20.png")] = 1  # it was normal: not compared
    after = replace(other, tried=tuple(names), per_image=fewer)
    found = {entry.key[0]: entry for entry in compared_defects(one, after)}
    normal = [i for i in range(10, GOOD) if i != 20]
    bad = range(GOOD, GOOD + 50)
    for metric in ("before", "after"):
        scores = (one if metric == "before" else other).per_image["score"]
        wins = [(scores[p] > scores[n]) + (scores[p] == scores[n]) / 2 for p in bad for n in normal]
        assert getattr(found[AUROC], metric) == pytest.approx(np.mean(wins))
        shares: dict[object, list[bool]] = {}
        for i in normal:
            shares.setdefault(groups[i] if groups[i] >= 0 else f"alone {i}", []).append(scores[i] >= 2)
        assert getattr(found[FALSE_ALARMS], metric) == pytest.approx(np.mean([np.mean(one) for one in shares.values()]))
    assert found[AUROC].over == len(normal) + 50
    assert found[FALSE_ALARMS].over == len(normal)
    for entry in found.values():
        assert entry.differences.mean() == pytest.approx(entry.after - entry.before)
    assert len(found[FALSE_ALARMS].differences) == len(shares)
    alone = {
        entry.key[0]: entry
        for entry in compared_defects(one, replace(after, per_image={**fewer, "group": -1 + 0 * fewer["group"]}))
    }
    assert len(alone[AUROC].differences) == len(found[AUROC].differences), "groups of either night count"


def test_a_loss_of_either_figure_is_red_and_named(matrix):
    random = np.random.default_rng(2)
    scores = drawn(random, apart=4.0)
    before = tried(scores, threshold=scores[:GOOD].max() + 1)
    same = by_metric(before, tried(3 * scores, threshold=3 * scores[:GOOD].max() + 1), matrix)
    assert same.keys() == set(DEFECTS)
    assert not any(f.worse or f.better or f.difference for f in same.values()), "another scale is no difference"
    blurred = scores + random.normal(size=len(scores)) * 4
    worse = by_metric(before, tried(blurred, threshold=99.0), matrix)
    assert [m for m in DEFECTS if worse[m].worse] == [AUROC]
    assert worse[AUROC].interval[1] < -0.002
    alarms = by_metric(before, tried(scores, threshold=0.5), matrix)
    assert [m for m in DEFECTS if alarms[m].worse] == [FALSE_ALARMS]
    back = by_metric(tried(scores, threshold=0.5), before, matrix)
    assert back[FALSE_ALARMS].better


def test_shots_of_one_thing_are_one_piece_of_evidence(matrix):
    """Three things lose, each shot forty times: a test over images would be sure of it."""
    scores = drawn(np.random.default_rng(3), apart=20.0)
    bad = scores.copy()
    bad[:60] += 50
    groups = np.concatenate((np.arange(GOOD) // 20, GOOD + np.arange(BAD) // 20))
    alone, grouped = (by_metric(tried(scores, g, 30.0), tried(bad, g, 30.0), matrix) for g in (None, groups))
    for metric in DEFECTS:
        assert alone[metric].worse
        assert not grouped[metric].worse
        assert grouped[metric].difference == pytest.approx(alone[metric].difference)


def test_other_images_are_said_and_none_in_common_is_not_judged(matrix):
    before = tried(drawn(np.random.default_rng(4)))
    few = replace(before, tried=(*before.tried[:-5], *(f"new{i}.png" for i in range(5))))
    verdict = judge(matrix, (NIGHT, [before]), (NIGHT, [few]), never)
    assert verdict.outcome == "pass"
    assert any("compared on the 195 that both nights have" in note for note in verdict.notes)
    other = replace(before, tried=tuple(f"new{name}" for name in before.tried))
    verdict = judge(matrix, (NIGHT, [before]), (NIGHT, [other]), never)
    assert verdict.outcome == "failed"
    assert any("too few images that tried its defect scores" in n and "bench accept" in n for n in verdict.notes)
    normals = replace(before, tried=(*before.tried[:GOOD], *(f"new{i}.png" for i in range(BAD))))
    assert judge(matrix, (NIGHT, [before]), (NIGHT, [normals]), never).outcome == "failed", "no AUROC"


def test_a_night_from_before_is_held_against_as_ever(matrix):
    tonight = tried(drawn(np.random.default_rng(5)))
    older = measured(cell(), values(np.random.default_rng(0)))
    verdict = judge(matrix, (NIGHT, [older]), (NIGHT, [tonight]), never)
    assert verdict.outcome == "pass"
    assert not [f for f in verdict.findings if f.metric in DEFECTS]
    assert (
        "digits: image AUROC and false alarm rate could not be compared: the accepted night has none" in verdict.notes
    )
    assert judge(matrix, (NIGHT, [older]), (NIGHT, [older]), never).notes == ()


def test_values_of_images_are_kept_and_only_where_there_are_any(tmp_path):
    path = tmp_path / "history.sqlite"
    filled(path)  # as a night without [defects] leaves it

    def tables():
        with sqlite3.connect(path) as database:
            return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}

    before = tables()
    assert not [name for name in before if "per_image" in name]
    made = tried(drawn(np.random.default_rng(6)), names=("ü.png", *(f"{i}.png" for i in range(1, len(ROLE)))))
    with History(path) as history:
        assert history.results(1)[0].tried == ()
        for _ in range(2):
            number = history.begin(BEGUN).number
            history.record(number, made)
            history.end(number, "2026-11-26T02:10:00+00:00", VERDICT)
    with History(path) as history:
        (found,) = history.results(3)
        assert found.tried == made.tried
        for name, column in made.per_image.items():
            np.testing.assert_array_equal(found.per_image[name], column)
        assert history.results(3, per_query=False)[0].tried == ()
        assert history.results(1)[0].per_image == {}
    with sqlite3.connect(path) as database:
        for change in ("DELETE FROM per_image", "UPDATE per_image SET cell = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                database.execute(change)
        database.execute(
            "INSERT INTO per_image SELECT 1, ?, name, digest FROM per_image WHERE name = 'score' AND night = 2",
            (CELL.name,),
        )
    assert before < tables()
    with History(path) as history, pytest.raises(ArtifactError, match="not a value for each of 0 images"):
        history.results(1)


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [False, True])
def test_nights_without_a_change_cry_wolf_no_more_than_p(matrix, grouped):
    """Both nights score the same images, each with noise of its own; by the defective ones alone many would differ."""
    random = np.random.default_rng(8)
    groups = np.concatenate((np.arange(GOOD) // 4, GOOD + np.arange(BAD) // 4)) if grouped else None
    by_both, by_one, alarms = [], [], 0
    for _ in range(200):
        own = 1.5 * ROLE + random.normal(size=len(ROLE))
        before, after = (tried(own + drawn(random, 0.0, groups, noise=0.7), groups) for _ in range(2))
        found = by_metric(before, after, matrix)
        by_both.append(found[AUROC].p_value < 0.05)
        alarms += any(f.worse for f in found.values())
        one, other = (night.per_image["score"] for night in (before, after))
        alone = outscored(other[ROLE], other[~ROLE]) - outscored(one[ROLE], one[~ROLE])
        by_one.append(sign_flip_test(alone, flips=999) < 0.05)
    print(f"p < .05 in {np.mean(by_both):.3f}, by defective images alone in {np.mean(by_one):.3f}")
    assert np.mean(by_both) < 0.09
    assert np.mean(by_one) > 0.1
    assert alarms <= 4
