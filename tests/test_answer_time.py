"""A report says how long one picture takes; where the pictures are gone, it says nothing and the build goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simsearch.artifacts import Store
from simsearch.checked import Checked
from simsearch.images.formats.decoding import PRESENT
from simsearch.images.sources.source import FileReader
from simsearch.stages import answer_time
from simsearch.stages.common import Data
from simsearch.stages.index import gallery_index
from simsearch.vectors.search import DEFAULT


@pytest.fixture
def asked(built):
    """What a picture is timed with: the artifacts of a small build, and a clock that goes 5 ms further at each look."""
    folder, home = built
    stages = json.loads((home / "builds" / "photos.json").read_bytes())["stages"]
    store = Store(home / "artifacts", Checked(None))
    data, trained, index = (store.open(name, **stages[name]) for name in ("dataset", "train", "index"))
    return folder, data, trained, gallery_index(index)


def took(asked, folder):
    _, data, trained, index = asked
    return answer_time.milliseconds_of_a_picture(Data(data, FileReader(str(folder), PRESENT)), trained, index, DEFAULT)


def test_it_is_the_median_of_whole_answers(asked, monkeypatch):
    clock = iter(np.cumsum([0, *([0.005, 1] * 5), *([0.007, 1] * 7)]))  # five of 5 ms, seven of 7 ms
    monkeypatch.setattr(answer_time.time, "perf_counter", lambda: next(clock))
    assert took(asked, asked[0]) == 7.0


def test_pictures_that_are_gone_are_not_timed(asked, tmp_path):
    assert took(asked, tmp_path) is None
