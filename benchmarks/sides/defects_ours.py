"""Ours in defects.py: FOLDER SHARE THREADS. A bank of SHARE of all patches, then every test picture scored."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from simsearch.defects.bank import Choice, PatchBank
from simsearch.defects.maps import Mapper
from simsearch.embedder.bundle.inner_network import InnerNetwork
from simsearch.images.loading import in_order
from simsearch.images.preprocess import Preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    folder, share, threads = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    data = np.load(folder / "pictures.npz")
    side = data["fit"].shape[1]
    network = InnerNetwork((folder / "inner.onnx").read_bytes(), threads=1)
    mapper = Mapper(network, Preprocess(side, 3, "squash", MEAN, STD), (side,), local=3, threads=threads)
    places = (side // min(network.widths)) ** 2
    choice = Choice(bank=int(share * places * len(data["fit"])), per_image=places, worst=1)
    mapper.maps(data["fit"][0])  # everything is loaded
    with threadpool_limits(threads):
        began = time.perf_counter()
        bank = PatchBank.fit(mapper.each(data["fit"]), np.arange(len(data["fit"])), choice)
        fitted = time.perf_counter()
    with threadpool_limits(1):  # as Detector.each does it
        scores = np.array(list(in_order(lambda picture: bank.scores([mapper.maps(picture)])[0], data["test"], threads)))
        scored = time.perf_counter()
    rate = len(scores) / (scored - fitted)
    held = bank.scales[0].patches.nbytes
    np.save(folder / "ours.npy", scores)
    print(json.dumps({"fit": fitted - began, "rate": rate, "megabytes": held / 1e6, "scores": scores.tolist()}))


if __name__ == "__main__":
    main()
