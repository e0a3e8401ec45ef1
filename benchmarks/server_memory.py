"""Memory of `simsearch serve` over ten minutes of load, in which its build is exchanged 50 times.

Resident megabytes, read before each exchange, when the state before it has answered for 12 s. The median of the last
ten is compared with that of the first ten, and the last with the one after the first exchange: a server that opens its
first build has not yet had two beside each other. The load is digits, 50 a second by 32 clients
(benchmarks/sides/server_load.py); each answer must be one.

Command: python benchmarks/server_memory.py [--json]      (11 minutes)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

from common import ENTRY, Row, build, main, say
from server import FORM, sent_bodies, serving

from simsearch.home import Home

MINUTES, EXCHANGES, RATE = 10, 50, 50
MOST = 1.05


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """Rows for the last ten figures, and for the last."""
    home = folder / "home"
    record = build(folder, home, "digits", "training.epochs=1", "evaluation.baseline=false")
    bodies = sent_bodies("digits", folder, home, record)[1]
    opened = Home(home)
    stands = opened.build("digits").record
    other = home / "digits-again"  # the same pictures in another place: a new state of the build
    other.symlink_to(stands.root)
    pause = 60 * MINUTES / EXCHANGES
    with serving(folder, ENTRY, "serve", "--build", "digits", "--home", home) as ours, ThreadPoolExecutor(1) as beside:
        load = beside.submit(ours, "/v1/search", FORM, bodies, wanted=RATE, seconds=round(60 * MINUTES + pause))
        started, seen = time.monotonic(), []
        for number in range(1, EXCHANGES + 1):
            digest = ours.digest()
            opened.write_build("digits", replace(stands, root=str(other) if number % 2 else stands.root))
            while ours.digest() == digest:
                time.sleep(0.05)
            time.sleep(max(0.0, started + number * pause - time.monotonic()))
            seen.append(ours.megabytes())
        load.result()
    say(f"megabytes: {' '.join(f'{one:.0f}' for one in seen)}")
    yield Row("server/memory/last_ten", median(seen[-10:]), median(seen[:10]), "the first ten", "MB", 1 / MOST)
    yield Row("server/memory/last", seen[-1], seen[0], "after the first", "MB", 1 / MOST)


if __name__ == "__main__":
    main(__doc__, measure)
