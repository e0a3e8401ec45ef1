"""Pictures scored beside each other: in order, the same bits as one by one, an error where it belongs."""

from __future__ import annotations

import subprocess
import sys
from itertools import count

import pytest
from test_defects_patches import fitted  # noqa: F401

import simsearch
from simsearch.errors import ImageError


@pytest.fixture
def paths(fitted):  # noqa: F811
    root = fitted[0]
    (root / "no.png").write_bytes(b"no picture")
    every = [str(path) for kind in ("good", "bad") for path in sorted((root / kind).iterdir())]
    return [*every[:3], str(root / "no.png"), *every[3:]]


def test_several_are_scored_as_each_alone(fitted, paths):  # noqa: F811
    with simsearch.open_detector(home=str(fitted[1])) as detector:
        alone = [found for path in paths for found in detector.each([path])]
        beside = list(detector.each(iter(paths), threads=3))
        readable = [path for path in paths if not path.endswith("no.png")]
        listed = detector.score(readable)
    assert [path for path, _ in beside] == [path for path, _ in alone] == paths
    assert [isinstance(found, ImageError) for _, found in beside] == [path.endswith("no.png") for path in paths]
    scores = [found for _, found in alone if not isinstance(found, ImageError)]
    assert listed == [found for _, found in beside if not isinstance(found, ImageError)] == scores


def test_drawn_in_order_by_the_thread_that_asks(fitted, paths):  # noqa: F811
    drawn = []
    with simsearch.open_detector(home=str(fitted[1])) as detector:
        answered = []
        for path, _ in detector.each(paths, lambda path, pixels: drawn.append((path, pixels.shape)), threads=2):
            answered.append(path)
            assert len(drawn) == sum(not one.endswith("no.png") for one in answered)
    assert [path for path, _ in drawn] == [path for path in paths if not path.endswith("no.png")]


def test_with_one_thread_no_path_is_taken_before_it_is_asked_for(fitted, paths):  # noqa: F811
    taken = count()
    with simsearch.open_detector(home=str(fitted[1])) as detector:
        for number, _ in enumerate(detector.each((path for path in paths if next(taken) >= 0), threads=1), 1):
            assert next(taken) == 2 * number - 1


def test_a_path_on_stdin_is_answered_before_the_next_is_written(fitted, paths):  # noqa: F811
    command = [sys.executable, "-m", "simsearch", "defects", "score", "-", "--home", str(fitted[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for path in paths[:3]:
            print(path, file=process.stdin, flush=True)
            assert process.stdout.readline().endswith(path + "\n")
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0
