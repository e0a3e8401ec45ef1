"""Ours in embed.py: the embed stage alone, on the first COUNT rows of a finished build; writes below TMPDIR only."""

import json
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from simsearch.home import Home

BLOCK = 8192


def reader_of(home, record):
    """The reader of the build's source, without the listing of the source, which would hold a name for every image."""
    from simsearch.images.sources.source import FileReader
    from simsearch.images.sources.unpacked import IMAGES, META, PixelReader

    if record["root"] is not None:
        return FileReader(record["root"])
    (folder,) = (home.datasets / ".unpacked").iterdir()
    meta = json.loads((folder / META).read_text())
    return PixelReader(folder / IMAGES, tuple(meta["shape"]), dict(meta["splits"]))


def mean_feature(path):
    from simsearch.vectors.features import FeatureFile

    with FeatureFile(path) as file:
        rows = file.shape[0]
        return rows, (sum(block.sum(0, dtype="f8") for block in file.blocks(0, rows, BLOCK)) / rows).tolist()


def main() -> None:
    home, name, count = Home(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    home.prepare_environment()
    from simsearch.artifacts import Workspace
    from simsearch.console import Progress
    from simsearch.stages.common import Data
    from simsearch.stages.embed import embed

    record = home.build(name).record
    whole, trained = (home.store.open(stage, **record["stages"][stage]) for stage in ("dataset", "train"))

    class FirstRows(Data):
        """A data set that ends after `count` rows."""

        @property
        def facts(self):
            return {**super().facts, "images": count}

        def records(self):
            return islice(super().records(), count)

    data = FirstRows(whole, reader_of(home, record))
    with tempfile.TemporaryDirectory() as folder:
        space = Workspace(Path(folder) / "out", Path(folder) / "scratch")
        space.out.mkdir()
        space.scratch.mkdir()
        began = time.perf_counter()
        embed(data, trained, None).work(space, Progress())
        seconds = time.perf_counter() - began
        rows, mean = mean_feature(space.out / "features.h5")
    print(json.dumps({"images": rows, "images_per_second": rows / seconds, "mean": mean}))


if __name__ == "__main__":
    main()
