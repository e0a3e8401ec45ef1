"""The embeddings of a build for index.py: FEATURES FOLDER.

Of the last 10,000 rows 2,000 are to tune with, the others are fresh queries.
"""

import sys
from pathlib import Path

import index_data
import numpy as np

from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize


def main():
    features, folder = sys.argv[1], Path(sys.argv[2])
    with FeatureFile(Path(features)) as file:
        embeddings = normalize(file.read(0, file.shape[0]))
    base, asked = embeddings[: -index_data.QUERIES], embeddings[-index_data.QUERIES :]
    np.save(folder / "base.npy", base)
    index_data.finish(base, asked[: index_data.TUNING], asked[index_data.TUNING :], folder)
    print("{}")


if __name__ == "__main__":
    main()
