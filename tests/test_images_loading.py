"""simsearch/images/loading.py: order, bounds, errors; the same pixels as a slow loop."""

import hashlib
import threading

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.images.formats.decode import decode, read_bytes
from simsearch.images.loading import PIECES_AHEAD, PixelStore, in_order, pixel_batches, survey
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord
from simsearch.images.sources.opening import open_source

PREPROCESS = Preprocess(10, 3, "crop", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    random = np.random.default_rng(0)
    for number in range(75):
        path = root / f"c{number % 3}" / f"{number:03d}.{'jpg' if number % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20 + number, 130, 3), dtype=np.uint8)).save(path)
    return root


def opened(root):
    given = {
        "home_datasets": root / "unused",
        "options": {},
        "exclude": [],
        "root": None,
        "base": root,
        "memory": HashMemory(None),
    }
    return open_source(f"folder:{root}", **given)


def records_of(source):
    reader = source.reader()
    return [
        ImageRecord(row + 100, image.image, image.label, True, False, True, False, reader.sha256(image.image))
        for row, image in enumerate(source.images)
    ]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_survey_keeps_order_and_reports_what_is_bad(photos, threads):
    (photos / "c0/003.jpg").write_bytes((photos / "c0/003.jpg").read_bytes()[:-500])
    (photos / "c1/100.png").write_bytes(b"%PDF")
    source = opened(photos)
    (photos / "c2/005.jpg").unlink()
    found = list(survey(source, source.reader(), threads=threads))
    assert [one.image for one in found] == [image.image for image in source.images]
    bad = {one.image: (one.reason, one.sha256 == "") for one in found if one.thumbnail is None}
    assert bad.pop("c0/003.jpg") == ("truncated: the JPEG ends inside the picture", False)
    assert bad.pop("c2/005.jpg") == ("no such file", True)
    assert bad.pop("c1/100.png")[0].startswith('not an image (first bytes: "%PDF"')
    assert bad == {}
    good = next(one for one in found if one.thumbnail is not None)
    assert good.sha256 == hashlib.sha256(read_bytes(photos / good.image)).hexdigest()
    assert max(decode(good.thumbnail).shape) == 96


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 32, 40, 500])
def test_pixel_batches_equal_a_slow_loop(photos, threads, batch):
    source = opened(photos)
    records = records_of(source)
    seen = list(pixel_batches(source.reader(), iter(records), PREPROCESS, batch=batch, threads=threads))
    assert all(len(rows) == len(pixels) == batch for rows, pixels in seen[:-1])
    rows = np.concatenate([rows for rows, _ in seen])
    assert rows.dtype == np.int64
    assert rows.tolist() == [record.row for record in records]
    slow = [PREPROCESS.fit(decode(read_bytes(photos / record.image), PREPROCESS.size)) for record in records]
    assert np.array_equal(np.concatenate([pixels for _, pixels in seen]), slow)


def test_no_records_no_batches(photos):
    assert list(pixel_batches(opened(photos).reader(), [], PREPROCESS, batch=4)) == []


@pytest.mark.parametrize("limit", [0, 1 << 30])
@pytest.mark.parametrize("threads", [1, 2])
def test_pixel_store_equals_a_slow_loop(photos, limit, threads):
    source = opened(photos)
    records = records_of(source)
    store = PixelStore(source.reader(), records, PREPROCESS, threads=threads, memory_limit=limit)
    assert (store.pixels is not None) == (limit > 0)
    for indices in ([5], [74, 0, 5, 5, 33], list(range(75))):
        slow = [PREPROCESS.fit(decode(read_bytes(photos / records[n].image), 10)) for n in indices]
        assert np.array_equal(store.fetch(np.array(indices, dtype=np.int64)), slow)
    with pytest.raises(IndexError):
        store.fetch(np.array([75]))
    assert store.fetch(np.array([], dtype=np.int64)).shape == (0, 10, 10, 3)


@pytest.mark.parametrize("change", ["other", "gone"])
def test_an_image_that_changed_stops_the_build(photos, change):
    source = opened(photos)
    records = records_of(source)
    if change == "gone":
        (photos / records[40].image).unlink()
    else:
        (photos / records[40].image).write_bytes((photos / records[41].image).read_bytes())
    with pytest.raises(SourceError, match="changed while it was being read"):
        list(pixel_batches(source.reader(), records, PREPROCESS, batch=16))
    store = PixelStore(source.reader(), records, PREPROCESS, memory_limit=0)
    with pytest.raises(SourceError, match="changed while it was being read"):
        store.fetch(np.arange(75))


def test_work_ahead_is_bounded_and_ends_with_its_taker():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(lambda number: number * 2, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 2 * PIECES_AHEAD + 3
    before = threading.active_count()
    results.close()
    assert threading.active_count() < before


def test_an_error_in_a_thread_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // (3 - number), range(100), 2))
