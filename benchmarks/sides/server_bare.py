"""Peer of server.py: a bare loop that decodes the same bytes, embeds and searches; prints CPU seconds a picture.

Arguments: folder of the embedder, index file, folder of pictures, seconds.
"""

import io
import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import onnxruntime
from PIL import Image

trained, index_file, folder, seconds = sys.argv[1:]
wanted = json.loads((Path(trained) / "embedder.json").read_bytes())["preprocessing"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(f"{trained}/embedder.onnx", options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
faiss.omp_set_num_threads(1)
index = faiss.read_index(index_file)
pictures = [file.read_bytes() for file in sorted(Path(folder).iterdir())]
size, mean, std = wanted["size"], np.array(wanted["mean"], np.float32), np.array(wanted["std"], np.float32)


def answer(data: bytes) -> None:
    """Find the ten nearest of one picture."""
    image = Image.open(io.BytesIO(data))
    image.draft(None, (2 * size, 2 * size))
    image = image.convert("L" if wanted["channels"] == 1 else "RGB")
    if wanted["resize"] == "crop":
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        image = image.resize((size, size), box=(left, top, left + side, top + side), resample=Image.Resampling.BILINEAR)
    else:
        image = image.resize((size, size), resample=Image.Resampling.BILINEAR)
    pixels = (np.asarray(image, dtype=np.float32).reshape(size, size, -1) / 255 - mean) / std
    (feature,) = session.run(None, {name: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})
    index.search(feature / np.linalg.norm(feature), 10)


for data in pictures[:50]:
    answer(data)
started, used, count = time.perf_counter(), time.process_time(), 0
while time.perf_counter() - started < float(seconds):
    answer(pictures[count % len(pictures)])
    count += 1
print(json.dumps({"cpu": (time.process_time() - used) / count, "pictures": count}))
