"""Near twins across the split: found whatever the exposure, not where labels merely look alike, and said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, run_cli
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits
from test_images_groups import PATTERN

from simsearch.evaluation.details import near_twins as module
from simsearch.evaluation.details.near_twins import find_near_twins, near_twins
from simsearch.evaluation.figures import Place
from simsearch.evaluation.measured import Measured, SystemResult
from simsearch.images.formats.decode import decode
from simsearch.images.perceptual import reduction, reductions, twins
from simsearch.images.shots import ALIKE, BESIDES, Shots
from simsearch.images.thumbnails import ThumbnailReader, encode_thumbnail, write_thumbnails
from simsearch.page.html import Pictures
from simsearch.report.sections.document import section
from simsearch.report.summary import optimistic_words

NONE = np.empty((0, 2), dtype=np.int64)


def thing(seed: int, size: int = 300) -> np.ndarray:
    """A picture with structure at every scale, as photos have."""
    random, whole = np.random.default_rng(seed), np.zeros((size, size))
    for side, strength in ((4, 60), (12, 40), (40, 20)):
        coarse = Image.fromarray(random.normal(0, strength, (side, side)).astype(np.float32))
        whole += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
    return np.clip(128 + whole, 0, 255)


def shot(seed: int, number: int) -> np.ndarray:
    """The same thing with another exposure, a shift of a pixel or two, and noise."""
    random = np.random.default_rng([seed, number])
    gain, offset, (right, down) = random.uniform(0.5, 1.0), random.uniform(0, 40), random.integers(-2, 3, 2)
    moved = np.roll(thing(seed), (right, down), (0, 1)) * gain + offset
    return np.clip(moved + random.normal(0, 4, moved.shape), 0, 255).astype(np.uint8)


def shots_of(pictures, gallery: int | None = None) -> Shots:
    thumbnails = [encode_thumbnail(picture) for picture in pictures]
    return Shots(np.stack([reduction(one) for one in thumbnails]), gallery or len(pictures), thumbnails.__getitem__)


def pairs_of(shots: Shots) -> list[tuple[int, int]]:
    rows = range(len(shots.besides))
    return [(i, j) for i in rows for j in rows if i != j and shots.same(i, j)]


def test_shots_of_one_thing_are_told_from_others():
    shots = shots_of([shot(seed, number) for seed in range(20) for number in range(4)])
    pairs = pairs_of(shots)
    assert all(i // 4 == j // 4 for i, j in pairs)
    assert len({i for i, _ in pairs}) >= 60
    assert all(shots.besides[i] @ shots.besides[j] >= BESIDES for i, j in pairs)
    assert {(j, i) for i, j in pairs} == set(pairs)


def test_what_only_the_finer_pictures_tell_apart_is_no_shot():
    """The same at 16 x 17 and alike besides the mean; a pattern between these samples is .95 alike at 48 x 48."""
    plain = [thing(seed, 96) * 0.6 + 50 for seed in range(40)]
    stripes = np.tile(np.repeat([1.0, -1.0], 2), 24)
    pattern = np.outer(stripes, stripes)
    for strength, alike in ((0.1, True), (0.33, False)):
        marked = plain[0] + strength * plain[0].std() * pattern
        pictures = [encode_thumbnail(np.clip(one, 0, 255).astype(np.uint8)) for one in (marked, *plain)]
        reduced = np.stack([reduction(one) for one in pictures])
        reduced[0] = reduced[1]
        shots = Shots(reduced, len(pictures), pictures.__getitem__)
        assert shots.same(0, 1) == alike


def test_copies_are_shots():
    one = thing(3).astype(np.uint8)
    small = np.asarray(Image.fromarray(one).resize((120, 120)))
    assert pairs_of(shots_of([one, small, *(thing(seed).astype(np.uint8) for seed in range(4, 12))])) == [
        (0, 1),
        (1, 0),
    ]


def test_parts_in_one_place_are_no_shots_of_one_another():
    """Bottles on a conveyor: the outline of all is that of each, and only the print tells them apart."""
    random, outline = np.random.default_rng(0), np.zeros((288, 288))
    outline[60:230, 90:200] = 120
    bottles = []
    for _ in range(12):
        label = np.kron(random.normal(0, 18, (18, 18)), np.ones((16, 16))) * (outline > 0)
        bottles += [np.clip(gain * (60 + outline + label), 0, 255).astype(np.uint8) for gain in (1.0, 0.8)]
    shots = shots_of(bottles)
    whole = shots._whole @ shots._whole.T
    assert (whole >= ALIKE).mean() > 0.3, "by themselves many would pass"
    pairs = pairs_of(shots)
    assert pairs
    assert all(i // 2 == j // 2 for i, j in pairs)


def test_details_are_looked_at_closely():
    """What differs is smaller than a field of the reduction."""
    fine = [np.kron(np.random.default_rng(seed).normal(0, 50, (48, 48)), np.ones((6, 6))) for seed in (0, 1)]
    one, other = (np.clip(thing(3, 288) + each, 0, 255).astype(np.uint8) for each in fine)
    shots = shots_of([one, one // 2 + 9, other, *(thing(seed).astype(np.uint8) for seed in range(4, 30))])
    assert shots.same(0, 1)
    assert not shots.same(0, 2)


def test_flat_pictures_are_alike_to_nothing():
    noise = np.random.default_rng(0).integers(120, 123, (2, 96, 96)).astype(np.uint8)
    shots = shots_of([*noise, np.full((96, 96), 7, np.uint8), thing(1).astype(np.uint8), thing(2).astype(np.uint8)])
    assert not shots.besides[:3].any()
    np.testing.assert_allclose(np.linalg.norm(shots.besides[3:], axis=1), 1, rtol=1e-5)
    assert pairs_of(shots) == []


def test_digits_that_look_alike_are_no_twins():
    pixels = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[:900]
    shots = shots_of(pixels)
    alike = shots._whole @ shots._whole.T - np.eye(900)
    assert (alike.max(axis=1) >= 0.95).mean() > 0.3
    near = [(i, j) for i, j in zip(*np.nonzero(alike >= ALIKE), strict=True) if shots.same(int(i), int(j))]
    assert len({i for i, _ in near}) < 9, "less than one in a hundred"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_who_has_a_twin_equals_a_loop(seed, grouped, inside):
    random = np.random.default_rng(seed)
    things = random.integers(0, 12, 40)
    grays = np.eye(12, 20, dtype=np.float32)[things]
    gallery = 30
    rows = random.permutation(gallery if inside else 40)[:14]
    groups = random.integers(-4, 8, 40).clip(-1) if grouped else None
    copies = np.stack((random.permutation(14)[:2], random.integers(0, gallery, 2)), axis=1)
    refused = random.integers(0, 3, (40, 40)) == 0

    def same(row: int, other: int) -> bool:
        return not refused[row, other]

    found, looked = find_near_twins(grays, rows, gallery, groups, 0.9, same, copies)
    assert looked.tolist() == list(range(14))
    expected = []
    for i, row in enumerate(rows.tolist()):
        others = [g for g in range(gallery) if g != row and things[g] == things[row]]
        if groups is not None and groups[row] >= 0:
            others = [g for g in others if groups[g] != groups[row]]
        close = any(same(row, g) for g in others[: module.CANDIDATES])
        if close or i in copies[:, 0]:
            expected.append(i)
    assert found.tolist() == expected


def test_of_very_many_a_part_is_looked_at(monkeypatch):
    monkeypatch.setattr(module, "MOST_PAIRS", 500)
    grays = np.eye(4, dtype=np.float32)[np.arange(200) % 4]
    found, looked = find_near_twins(grays, np.arange(100, 200), 100, None, 0.9, lambda row, other: row % 4 == 0, NONE)
    assert len(looked) == 5
    assert found.tolist() == [position for position in looked.tolist() if position % 4 == 0]


def results(hits):
    values = np.array(hits, dtype=np.float32)
    return {"recipe/index": SystemResult({Place("recall", 1): Measured(float(values.mean()), values)})}


def test_more_than_a_tenth_is_optimistic_and_the_rest_stands_beside_it():
    hits, everyone = [1.0] * 12 + [0.0] * 8, np.arange(20)
    report = {"k": [1]}
    for twins_, optimistic in ((2, False), (3, True)):
        found = near_twins((np.arange(twins_), everyone), results(hits), (1,))
        assert (found["queries"], found["of"], found["optimistic"]) == (twins_, 20, optimistic)
        assert found["with"]["recipe/index"]["recall"][1] == pytest.approx(0.6)
        assert found["without"]["recipe/index"]["recall"][1] == pytest.approx((12 - twins_) / (20 - twins_))
        report["near_twins"] = json.loads(json.dumps(found))
        words = ", optimistic: 3 of 20 queries have a near twin in the gallery (0.529 on the 17 without)"
        assert optimistic_words(report) == (words if optimistic else "")
        whole = {**report, "queries": 20, "gallery": 9}
        page = section("data", report=whole, facts={}, pictures=no_pictures(), projection={})
        assert ("flatters" in page) == optimistic
        assert f"{twins_} of 20 queries" in " ".join(page.split())
    assert optimistic_words({"k": [1]}) == optimistic_words({"k": [1], "near_twins": None}) == ""
    assert near_twins(None, results(hits), (1,)) is None
    every = near_twins((everyone, everyone), results(hits), (1,))
    assert every["without"]["recipe/index"]["recall"][1] is None
    words = ", optimistic: 20 of 20 queries have a near twin in the gallery"
    assert optimistic_words({"k": [1], "near_twins": json.loads(json.dumps(every))}) == words


def no_pictures() -> Pictures:
    return Pictures(lambda row: None, str, [])


def write_shots(root: Path) -> Path:
    """Three labels of six things of four shots; a thing is no nearer to others of its label than to any."""
    for label in range(3):
        folder = root / f"class {label}"
        folder.mkdir(parents=True)
        for each in range(6):
            for number in range(4):
                Image.fromarray(shot(10 * label + each, number)).save(folder / f"{each}_{number}.png")
    return root


@pytest.mark.slow
def test_bursts_are_said_without_groups_and_split_right_with_them(tmp_path):
    folder, home = write_shots(tmp_path / "photos"), tmp_path / "home"
    args = ["build", folder, *SMALL, "--set", "training.epochs=0", "--home", home, "--json"]
    plain, grouped = run_cli(*args, check=0), run_cli(*args, "--set", PATTERN, "--name", "grouped", check=0)
    report, honest = json.loads(plain.stdout), json.loads(grouped.stdout)
    near = report["near_twins"]
    assert near["optimistic"]
    assert f"optimistic: {near['queries']} of {near['of']} queries have a near twin in the gallery" in report["summary"]
    assert f"{near['queries']} of {near['of']} queries" in plain.stderr
    assert f"{report['queries']} queries, optimistic" in plain.stderr, "also in the stage's own line"
    page = " ".join((home / "builds" / "photos" / "report.html").read_text().split())
    assert "<strong>Optimistic</strong>" in page
    assert (honest["near_twins"]["queries"], honest["near_twins"]["optimistic"]) == (0, False)
    assert honest["groups"] == {"groups": 18, "largest": 4, "queries_left_out_for": 0}
    assert report["groups"] is None
    assert "optimistic" not in honest["summary"] + grouped.stderr
    recalls = [one["systems"]["recipe/index"]["recall"]["1"] for one in (report, honest)]
    assert recalls[0] > 0.9 > 0.7 > recalls[1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "low", "high"), [("magnetic-tile", 0.3, 1.0), ("grocery", 0.0, 0.01)])
def test_photos(name, low, high, tmp_path):
    if not os.environ.get("SIMSEARCH_TEST_DATA"):
        pytest.skip("SIMSEARCH_TEST_DATA is not set")
    root = Path(os.environ["SIMSEARCH_TEST_DATA"], name)
    files = sorted(path for path in root.rglob("*.jpg") if "masks" not in path.parts)
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))[:1400]]
    with write_thumbnails(tmp_path) as writer:
        for path in files:
            writer(encode_thumbnail(decode(path.read_bytes(), 96)))
    reduced, gallery = reductions(tmp_path), len(files) * 4 // 5
    rows = np.arange(gallery, len(files))
    with ThumbnailReader(tmp_path) as thumbnails:
        shots, copies = Shots(reduced, gallery, thumbnails.__getitem__), twins(reduced, rows, gallery)
        found, _ = find_near_twins(shots.besides, rows, gallery, None, BESIDES, shots.same, copies)
    assert low <= len(found) / len(rows) <= high
