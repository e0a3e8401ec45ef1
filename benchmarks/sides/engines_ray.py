"""Both sides of engines_ray.py: HOME ENGINE SHARD_ROWS embeds the build `grocery` anew, below TMPDIR only."""

import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

from simsearch.console import Progress
from simsearch.embedder.bundle.embedding import Bundle
from simsearch.embedder.bundle.trained import model_of
from simsearch.engines.chosen import engine_of
from simsearch.engines.engine import Job
from simsearch.home import Home
from simsearch.images.formats.decoding import told
from simsearch.images.sources.source import FileReader


def main() -> None:
    home, who, shard_rows = Home(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    record = home.build("grocery").record
    dataset, trained = (home.store.open(stage, **record.stages[stage]) for stage in ("dataset", "train"))
    bundle = Bundle(model_of(trained), FileReader(record.root, told(dataset.facts)))
    engine, rows = engine_of({"embed": who, "shard_rows": shard_rows}), int(dataset.facts["images"])
    with tempfile.TemporaryDirectory() as folder:
        job = Job.of(bundle, dataset.path, Path(folder), rows, engine)
        began = time.perf_counter()
        engine(job, Progress())
        seconds = time.perf_counter() - began
        dates = sorted((path.stat().st_mtime, path) for path in Path(folder).glob("shard-*.npy"))
        (first, path), (last, _) = dates[0], dates[-1]
        later = rows - min(shard_rows, rows - int(path.stem.rpartition("-")[2]))
        job.shards.join(Path(folder) / "features.h5")
        sha256 = hashlib.sha256((Path(folder) / "features.h5").read_bytes()).hexdigest()
    print(json.dumps({"from_first_shard": later / (last - first), "whole": rows / seconds, "sha256": sha256}))


if __name__ == "__main__":
    main()
