"""Ours in mining.py: RULE BATCH THREADS [CALLS]; with one call, it is the first."""

import sys
import tempfile
from pathlib import Path

from simsearch.home import Home


def main() -> None:
    rule, *numbers = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        Home(Path(folder)).prepare_environment()  # before torch is imported, as the command line does
        import mining_clock

        from simsearch.embedder.losses.losses import Triplet

        loss = Triplet(mining_clock.MARGIN, rule)
        mining_clock.report(lambda features, labels: loss(features, labels)[0], *map(int, numbers))


if __name__ == "__main__":
    main()
