"""Ours in index.py: FOLDER; chosen by measuring for ann_recall@10 0.99, then one batch for each line of stdin.

`choose` holds rows of the base out to tune with; it sees neither set of queries.
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

import index_data

from simsearch.vectors.tuning.choose import choose


class Source:
    """Vectors in a mapped file, as FeatureFile gives them."""

    def __init__(self, base):
        self.base, self.shape = base, base.shape

    def read(self, start, stop):
        """Rows [start, stop)."""
        return self.base[start:stop]


def main():
    base, _, (asked, kth) = index_data.opened(sys.argv[1])
    say = lambda words: print(words, file=sys.stderr, flush=True)  # noqa: E731
    chosen = choose(Source(base), len(base), target_recall=index_data.TARGET, progress=say)

    def search(batch):
        return chosen.index.search(batch, index_data.K, chosen.search)[1]

    index_data.serve(
        search,
        asked,
        name=f"{chosen.factory} {chosen.search}",
        recall=index_data.recall(base, asked, kth, search(asked)),
        build_seconds=chosen.build_seconds,
        tuning_seconds=chosen.tuning_seconds,
        why=chosen.why,
    )


if __name__ == "__main__":
    main()
