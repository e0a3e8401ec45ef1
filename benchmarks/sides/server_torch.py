"""Peer of server.py: the same job as a plain FastAPI script with torch, torchvision and faiss.

Arguments: folder of the embedder, index file, table of images, port. `/empty` takes JSON and answers nothing,
`/received` takes a picture.
"""

import csv
import io
import json
import sys

import faiss
import torch
import torchvision
import uvicorn
from fastapi import FastAPI, Request, UploadFile
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision import transforms

trained, index_file, table, port = sys.argv[1:]
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
index = faiss.read_index(index_file)
with open(table, newline="", encoding="utf-8") as file:
    images = list(csv.DictReader(file))
app = FastAPI()


@app.post("/search")
def search(image: UploadFile):
    """The ten nearest of a picture."""
    picture = Image.open(io.BytesIO(image.file.read())).convert("L" if wanted["channels"] == 1 else "RGB")
    with torch.inference_mode():
        embedding = nn.functional.normalize(model(prepare(picture)[None])).numpy()
    scores, rows = index.search(embedding, 10)
    return {
        "hits": [
            {"score": float(score), "label": images[row]["label"], "image": images[row]["image"]}
            for score, row in zip(scores[0], rows[0], strict=True)
        ]
    }


@app.post("/empty")
async def empty(request: Request):
    """Nothing, once the JSON was read."""
    await request.json()
    return {}


@app.post("/received")
async def received(image: UploadFile):
    """Nothing, once the picture was read."""
    await image.read()
    return {}


uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="critical")
