"""Peer of cold_query.py: answer one image with numpy, onnxruntime, faiss and Pillow, and nothing else."""

import csv
import json
import sys

import faiss
import numpy as np
import onnxruntime
from PIL import Image

trained, index_file, table, path = sys.argv[1:]
with open(f"{trained}/embedder.json") as file:
    wanted = json.load(file)["preprocessing"]

size = wanted["size"]
image = Image.open(path).convert("L" if wanted["channels"] == 1 else "RGB")
if wanted["resize"] == "crop":
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
else:
    image = image.resize((size, size), Image.Resampling.BILINEAR)
pixels = np.asarray(image, dtype=np.float32).reshape(size, size, wanted["channels"]) / 255
pixels = (pixels - np.float32(wanted["mean"])) / np.float32(wanted["std"])

session = onnxruntime.InferenceSession(f"{trained}/embedder.onnx", providers=["CPUExecutionProvider"])
batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
embedding = session.run(None, {session.get_inputs()[0].name: batch})[0]
embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)

scores, rows = faiss.read_index(index_file).search(embedding, 10)
with open(table, newline="", encoding="utf-8") as file:
    images = list(csv.DictReader(file))
hits = [
    {"rank": rank, "score": float(score), "label": images[row]["label"], "image": images[row]["image"], "row": int(row)}
    for rank, (score, row) in enumerate(zip(scores[0], rows[0], strict=True), 1)
]
print(json.dumps({"query": path, "hits": hits}))
