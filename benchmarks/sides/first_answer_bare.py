"""Peer of first_answer.py: decode and embed a folder of photos with Pillow and ONNX Runtime, and save the features.

One photo after the other is decoded; the session has its default threads, which are as many as there are cores.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

photos, backbone, out = sys.argv[1:]
with open(f"{backbone}/backbone.json") as file:
    wanted = json.load(file)["preprocessing"]
size, mean, std = wanted["size"], np.float32(wanted["mean"]), np.float32(wanted["std"])


def load(path):
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return ((np.asarray(image, dtype=np.float32) / 255 - mean) / std).transpose(2, 0, 1)


session = onnxruntime.InferenceSession(f"{backbone}/backbone.onnx", providers=["CPUExecutionProvider"])
paths = sorted(path for path in Path(photos).rglob("*") if path.is_file())
features = []
for start in range(0, len(paths), 32):
    batch = np.stack([load(path) for path in paths[start : start + 32]])
    features.append(session.run(None, {session.get_inputs()[0].name: batch})[0])
np.save(out, np.concatenate(features))
print(json.dumps({"images": len(paths)}))
