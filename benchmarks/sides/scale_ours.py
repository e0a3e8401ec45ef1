"""Ours in scale.py: `write ROWS FILE` makes a features.h5 of clustered vectors, `build FILE OUT` indexes it.

Written and read in blocks. The number of lists grows with the square root of the rows, as measuring chooses it.
"""

import json
import math
import sys
import time
from pathlib import Path

import index_data


def write(rows, path):
    """Write `rows` vectors as the embed stage writes them."""
    from simsearch.vectors.shards import Shards

    scratch = path.parent / "blocks"
    scratch.mkdir(exist_ok=True)
    file = Shards(scratch, rows, index_data.DIM, index_data.BLOCK)
    for number, block in enumerate(index_data.blocks("clustered", rows)):
        file.write(number * index_data.BLOCK, block)
    file.join(path)
    return {}


def build(path, out):
    """Build and save the index, straight from the file."""
    from simsearch.vectors.features import FeatureFile
    from simsearch.vectors.index import build

    began = time.perf_counter()
    with FeatureFile(path) as file:
        rows, dim = file.shape
        nlist = 2 ** round(math.log2(2 * math.sqrt(rows)))
        index = build(lambda: file.blocks(0, rows, 16_384), dim, f"IVF{nlist},Flat", rows=rows)
        built = time.perf_counter() - began
        index.save(out)
    return {"seconds": time.perf_counter() - began, "build": built, "bytes": out.stat().st_size, "lists": nlist}


if __name__ == "__main__":
    what, first, second = sys.argv[1:]
    print(json.dumps(write(int(first), Path(second)) if what == "write" else build(Path(first), Path(second))))
