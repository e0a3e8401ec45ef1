"""Patches for defects: seconds to fit, pictures a second and AUROC against anomalib's PatchCore, on magnetic tiles.

The same MobileNetV2 and weights, the same pictures squashed to 288 px, strides 8 and 16 with a 3 x 3 mean, 1 % of all
patches, the worst patch for a score; 111 good tiles to fit, of views that are not tested; 2 threads. Ours
(sides/defects_ours.py) takes its coreset of at most 60,000 patches and runs the network in ONNX Runtime; the peer
(sides/defects_anomalib.py) is PatchcoreModel, its feature extractor replaced by the same stages of torchvision's
network. Memory is that of the bank. A like-for-like setting, not our default, which keeps the aspect, takes four sides
and no mean (benchmarks/defects_tiles.py). AUROC moves by .01 with the patch that a coreset begins with.

The peer runs in a Python of its own: --peers PYTHON, else $SIMSEARCH_PEERS, else this one. Its coreset takes minutes.

Command: python benchmarks/defects.py [--json] [--rounds N] [--peers PYTHON]      (5 to 15 minutes a round on 2 cores)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import DATA, HERE, WEIGHTS, Ran, Row, in_turn, main, median, peer_version, require, run, say, side

SIDE, FIT, SHARE, THREADS = 288, 111, 0.01, 2
TIMES, BEHIND = 3, 0.005  # pictures a second, and how much of AUROC the peer may be ahead
VERSION = "from importlib.metadata import version; import anomalib; print(version('anomalib'))"


def measure(peers: str, folder: Path, rounds: int) -> Iterator[Row]:
    """Rows of fitting, scoring, memory, and what is missing from an AUROC of 100 %: ours may be .5 above the peer's."""
    tiles = DATA / "magnetic-tile"
    require(tiles, WEIGHTS)
    peer_name = f"anomalib {peer_version(peers, 'anomalib', VERSION)}, PatchcoreModel"
    side("defects_data", folder, folder, tiles, WEIGHTS, SIDE, FIT)
    script = HERE / "sides" / "defects_anomalib.py"
    sides = {
        "ours": partial(side, "defects_ours", folder, folder, SHARE, THREADS),
        "peer": partial(run, [peers, script, folder, WEIGHTS, str(SHARE), str(THREADS)], folder),
    }
    ours, peer = in_turn(rounds, sides).values()
    figures = {one: [_auroc(folder, ran) for ran in runs] for one, runs in (("ours", ours), ("peer", peer))}
    say(f"AUROC on new views: {json.dumps(figures)}")
    for name, key, unit, target in (
        ("fit", "fit", "s", None),
        ("score", "rate", "pictures/s", TIMES),
        ("memory", "megabytes", "MB", 1 - 1e-3),
    ):
        yield Row(f"defects/{name}", *(median(runs, _said(key)) for runs in (ours, peer)), peer_name, unit, target)
    wrong = [100 * (1 - sorted(values)[len(values) // 2]) for values in figures.values()]
    yield Row("defects/auroc_missed", *wrong, peer_name, "%", wrong[1] / (wrong[1] + 100 * BEHIND))


def _said(key: str):
    return lambda ran: float(ran.said[key])


def _auroc(folder: Path, ran: Ran) -> float:
    """The AUROC of the scores that a side printed, by a child: this process imports nothing heavy."""
    code = "import json, sys, numpy as np; from sklearn.metrics import roc_auc_score as auc; "
    code += "print(json.dumps({'auroc': auc(np.load(sys.argv[1])['defective'], json.loads(sys.stdin.read()))}))"
    done = subprocess.run(
        [sys.executable, "-c", code, folder / "pictures.npz"],
        input=json.dumps(ran.said["scores"]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return round(float(json.loads(done.stdout)["auroc"]), 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--peers", default=os.environ.get("SIMSEARCH_PEERS") or sys.executable)
    chosen, sys.argv[1:] = parser.parse_known_args()
    main(__doc__, partial(measure, chosen.peers))
