"""Peer of cold_query.py: answer one image with torch, torchvision and faiss, as one would write it by hand."""

import csv
import json
import sys

import faiss
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision import transforms

trained, index_file, table, path = sys.argv[1:]
with open(f"{trained}/embedder.json") as file:
    bundle = json.load(file)
wanted = bundle["preprocessing"]
weights = load_file(f"{trained}/weights.safetensors")

if bundle["backbone"] == "mnist_cnn":
    backbone = nn.Sequential()
    backbone.add_module("conv1", nn.Conv2d(1, 32, 3))
    backbone.add_module("relu1", nn.ReLU())
    backbone.add_module("conv2", nn.Conv2d(32, 64, 3))
    backbone.add_module("relu2", nn.ReLU())
    backbone.add_module("pool", nn.MaxPool2d(2))
    backbone.add_module("flat", nn.Flatten())
else:
    backbone = torchvision.models.get_model(bundle["backbone"].removeprefix("torchvision:"), weights=None)
    backbone.classifier = nn.Identity()
model = nn.Sequential()
model.add_module("backbone", backbone)
if "head.weight" in weights:
    model.add_module("head", nn.Linear(*reversed(weights["head.weight"].shape)))
model.load_state_dict(weights)
model.eval()

size = wanted["size"]
steps = [transforms.Resize((size, size))]
if wanted["resize"] == "crop":
    steps = [transforms.Resize(size), transforms.CenterCrop(size)]
prepare = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(wanted["mean"], wanted["std"])])
image = Image.open(path).convert("L" if wanted["channels"] == 1 else "RGB")
with torch.inference_mode():
    embedding = nn.functional.normalize(model(prepare(image)[None])).numpy()

scores, rows = faiss.read_index(index_file).search(embedding, 10)
with open(table, newline="", encoding="utf-8") as file:
    images = list(csv.DictReader(file))
hits = [
    {"rank": rank, "score": float(score), "label": images[row]["label"], "image": images[row]["image"], "row": int(row)}
    for rank, (score, row) in enumerate(zip(scores[0], rows[0], strict=True), 1)
]
print(json.dumps({"query": path, "hits": hits}))
