"""Ours in tables.py: `STEP ROWS FOLDER`; says the seconds, and the peak megabytes above those of an idle process."""

import hashlib
import json
import random
import resource
import sys
import time
from pathlib import Path

from simsearch.images.records import ImageRecord, RecordTable, read_columns, write_records
from simsearch.images.sources.source import SourceImage
from simsearch.images.splits import assign
from simsearch.images.thumbnails import ThumbnailReader, write_thumbnails

LABELS, LOOKED_AT = 1_000, 10_000


def image(row):
    """Name, label and SHA-256 of a row."""
    label = f"label {row % LABELS:04d}"
    return f"{label}/2026-11/photo-{row:09d}.jpg", label, hashlib.sha256(str(row).encode()).hexdigest()


def write(rows, folder):
    """Write the table."""

    def records():
        for row in range(rows):
            name, label, digest = image(row)
            yield ImageRecord(row, name, label, True, False, True, False, digest)

    write_records(folder, records())


def look(rows, folder):
    """Look up rows all over the table."""
    table, chosen = RecordTable(folder), random.Random(0)
    for _ in range(LOOKED_AT):
        row = chosen.randrange(rows)
        assert table[row].image == image(row)[0]


def column(rows, folder):
    """Read the labels."""
    assert len(read_columns(folder, ("label",))[0]) == rows


def thumbnails(rows, folder):
    """Write thumbnails."""
    with write_thumbnails(folder) as append:
        for row in range(rows):
            append(row.to_bytes(8, "little") + bytes(292))


def look_at_thumbnails(rows, folder):
    """Look up thumbnails all over the file."""
    chosen = random.Random(0)
    with ThumbnailReader(folder) as reader:
        for _ in range(LOOKED_AT):
            row = chosen.randrange(rows)
            assert reader[row][:8] == row.to_bytes(8, "little")


def split(rows, folder):
    """Split a data set."""
    found = [image(row) for row in range(rows)]
    images = [SourceImage(name, label, None) for name, label, _ in found]
    assign(images, [digest for _, _, digest in found], split="closed", test_classes=0.5, seed=0, labelled=True)


STEPS = {one.__name__: one for one in (write, look, column, thumbnails, look_at_thumbnails, split)}


def peak():
    """Peak megabytes of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    step, rows, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    before, began = peak(), time.perf_counter()
    STEPS[step](rows, folder)
    print(json.dumps({"seconds": time.perf_counter() - began, "megabytes": max(0.1, peak() - before)}))
