"""Do other tools read what `simsearch export` writes? h5py as ann-benchmarks uses it, embedding-reader, autofaiss.

    python benchmarks/readers.py [--json] [--recipe mnist] [--peers PYTHON]

The recipe is built in a temporary home (mnist: about 2 min; its data under $SIMSEARCH_TEST_DATA), exported twice, and
read by a process that does not know simsearch, in a Python that has h5py, autofaiss and embedding-reader: --peers
PYTHON, else $SIMSEARCH_PEERS, else this one. One line a check; exit 1 when one says no. Checked are: shape, norms and
attributes of the HDF5, its distances and neighbours against brute force in float64 (recall as ann-benchmarks counts
it), and the .npy's rows, and that the index which autofaiss builds of it finds these neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from common import ENTRY, HERE, build, machine, run, say, unpack_mnist


def main() -> None:
    """Build, export, let the peer read, print its checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document a check")
    parser.add_argument("--recipe", default="mnist", metavar="NAME", help="what is built [mnist]")
    parser.add_argument("--peers", default=os.environ.get("SIMSEARCH_PEERS") or sys.executable, metavar="PYTHON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as temporary:
        folder = Path(temporary)
        home = folder / "home"
        if arguments.recipe == "mnist":
            unpack_mnist(home / "datasets")
        build(folder, home, arguments.recipe, "evaluation.map=false", "evaluation.baseline=false")
        for form, out in (("ann-benchmarks", "x.hdf5"), ("npy", "npy")):
            say(f"exporting {form}")
            run([ENTRY, "export", "--format", form, "--out", folder / out, "--home", home], folder)
        say(f"reading with {arguments.peers}")
        read = run([arguments.peers, HERE / "sides" / "readers_peer.py", folder / "x.hdf5", folder / "npy"], folder)
    checks = read.said["checks"]
    for name, ok, detail in checks:
        named = {"name": f"readers/{arguments.recipe}/{name}", "ok": ok, "detail": detail}
        told = f"{'ok' if ok else 'NO':<3} {name:<32} {detail}"
        print(json.dumps({**named, "peer_name": read.said["peers"], "machine": machine()}) if arguments.json else told)
    if not all(ok for _, ok, _ in checks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
