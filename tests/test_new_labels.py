"""What a sync says of new labels, against a slow loop over all images, and through the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import picture, run_cli
from hypothesis import given, settings
from hypothesis import strategies as st
from synced import sync

from simsearch.sync.new_labels import NewLabel, best_of_labels, judge


def slow(label, unit, labels):
    """(mean, least, found, other, nearest) of a label by plain loops."""
    own = [i for i in range(len(unit)) if labels[i] == label]
    score = [[float(np.float32(a @ b)) for b in unit] for a in unit]
    pairs = [score[i][j] for i in own for j in own if i < j]
    found, taken, means = 0, {}, {}
    for i in own:
        near = max(score[i][j] for j in range(len(unit)) if j != i and labels[j] == label)
        best = {}
        for j in range(len(unit)):
            if labels[j] != label:
                best[labels[j]] = max(best.get(labels[j], -2), score[i][j])
        for other, value in best.items():
            means.setdefault(other, []).append(value)
        if near > max(best.values()):
            found += 1
        else:
            first = max(best, key=best.get)
            taken[first] = taken.get(first, 0) + 1
    order = sorted(means, key=lambda other: -np.mean(means[other]))[:3]
    return np.mean(pairs), min(pairs), found, taken, [(other, np.mean(means[other])) for other in order]


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_against_a_slow_loop(seed, each, count):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), each)
    rng.shuffle(labels)
    centres = rng.normal(size=(count, 4))
    features = centres[labels] + rng.uniform(0.2, 2) * rng.normal(size=(len(labels), 4))
    unit = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    label = int(rng.integers(count))
    rows = np.flatnonzero(labels == label)
    parts = np.array_split(np.arange(len(labels)), 3)
    best = best_of_labels(rows, unit[rows], [(part, unit[part], labels[part]) for part in parts if len(part)], count)
    seen = judge(label, unit[rows], best, list("abcdef"[:count]), len(rows))
    mean, least, found, taken, near = slow(label, unit, labels)
    assert (seen.mean, seen.least) == pytest.approx((mean, least), abs=1e-5)
    assert seen.found == found
    assert (seen.other is None) == (not taken)
    assert not taken or taken["abcdef".index(seen.other)] == max(taken.values())
    assert [score for _, score in seen.nearest] == pytest.approx([score for _, score in near], abs=1e-5)


def test_a_copy_under_another_label_is_a_mix_up():
    unit = np.array([[1, 0], [0.8, 0.6], [1, 0]], dtype=np.float32)
    best = best_of_labels(np.array([0, 1]), unit[:2], [(np.arange(3), unit, np.array([0, 0, 1]))], 2)
    seen = judge(0, unit[:2], best, ["new", "old"], 2)
    assert (seen.found, seen.other, seen.tells_apart) == (0, "old", False)


@pytest.mark.parametrize(("found", "asked", "says"), [(10, 10, True), (9, 10, True), (8, 10, False), (1, 2, False)])
def test_nine_in_ten_must_find_their_label(found, asked, says):
    assert NewLabel("new", asked, asked, 0.5, 0.4, (), found, "old").tells_apart is says


def test_a_sync_says_it_and_deleting_takes_it_away(ours):
    folder, home = ours
    for name, label, numbers in [("apart", 7, range(50, 55)), ("mixed", 1, (60, 61)), ("single", 5, (70,))]:
        (folder / name).mkdir()
        for number in numbers:
            picture(label, number).save(folder / name / f"{number}.png")
    done = run_cli("sync", folder, "--json", "--home", home, check=0)
    said = {one["label"]: one for one in json.loads(done.stdout)["new_labels"]}
    assert {name: (one["images"], one["verdict"], one["with"]) for name, one in said.items()} == {
        "apart": (5, "tells apart", None), "mixed": (2, "mixed up", "class 1"), "single": (1, None, None),
    }  # fmt: skip
    assert said["mixed"]["nearest"][0]["label"] == "class 1"
    assert -1 <= said["apart"]["least"] <= said["apart"]["mean"] <= 1
    assert (said["single"]["mean"], said["single"]["found"]) == (None, None)
    assert "New label apart: tells apart: 5 of 5 photos are nearest to another of it" in done.stderr
    assert "New label mixed: will be mixed up with class 1: 0 of 2 photos" in done.stderr
    assert "New label single: 1 photo, and fewer than 2 cannot tell" in done.stderr
    for path in folder.glob("[ams]*/*.png"):
        path.unlink()
    again = sync(home, allow_deletes=True)
    assert (again.counts["deleted"], again.new_labels) == (8, [])
    (folder / "class 0" / "00.png").rename(folder / "class 1" / "00 b.png")
    assert sync(home).new_labels == [], "a label that was there is not new"
