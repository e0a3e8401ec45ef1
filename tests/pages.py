"""A small report whose names are hostile, and a strict reader of the page made of it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np

from simsearch.evaluation.details.projection import project
from simsearch.evaluation.evaluate import Features, evaluate
from simsearch.vectors.index import build
from simsearch.vectors.normalize import normalize

G, Q, D, C, V = 220, 100, 8, 10, 60
LABELS = np.random.default_rng(0).integers(0, C, G + Q)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]>",
    "\u202egnp.exe",
    "a\x1b[31mb\nc",
    "' onclick='alert(1)",
    "</script><b>x",
    "&amp;",
    "lone \ud800 surrogate",
    "a-rather-long-label-without-a-space-that-has-to-break-somewhere",
]
SECTIONS = ["good", "scores", "errors", "compared", "systems", "index", "map", "data", "made"]


class Array:
    def __init__(self, seed, noise):
        random = np.random.default_rng(seed)
        centres = np.random.default_rng(9).standard_normal((C, D))
        self.features = (centres[LABELS] + noise * random.standard_normal((G + Q, D))).astype(np.float32)

    @property
    def shape(self):
        return self.features.shape

    def read(self, start, stop):
        return self.features[start:stop].copy()


def measure(labels=LABELS, baseline=True, names=HOSTILE):
    recipe, before = Array(1, 0.8), Array(2, 0.9)
    found = evaluate(
        build="digits",
        features=Features(recipe, before if baseline else None, Array(3, 0.9) if baseline else None),
        gallery=G,
        query_rows=np.arange(G, G + Q),
        labels=labels,
        label_names=names,
        val_rows=np.arange(G - V, G),
        twins=np.array([[0, 3], [5, 7]]),
        index=build(lambda: [recipe.features[:G]], D, "Flat"),
        index_bytes=123,
        ks=[1, 5, 10],
    )
    rows = json.loads(json.dumps([found.report, found.details, found.false_accepts]))
    projection = project(before.features if baseline else None, normalize(recipe.features), labels)
    return {
        "report": rows[0],
        "details": rows[1],
        "projection": projection,
        "picture": lambda row: b"RIFF" + bytes([row % 256, row // 256]) * 40,
        "name": lambda row: f"{HOSTILE[row % C]}/{row}.png",
        "link": lambda row: f"../photos/{row}.png" if row % 3 else None,
        "labels": [""] * (G + Q) if labels is None else [names[i] for i in labels],
        "facts": {
            "when": "2026-11-22T01:04:45",
            "recipe_toml": '[dataset]\nsource = "<digits>"\n',
            "stages": [{"name": "train", "digest": "ab" * 32, "seconds": 3.5}],
            "versions": {"numpy": "2.4", "evil": HOSTILE[0]},
            "machine": "2 cores",
            "command": "simsearch build 'a b' --set x=\"1\"",
            "quarantine": [[HOSTILE[0], HOSTILE[1]]],
            "counts": {"images": G + Q, "fit": 100, "val": V},
            "far": rows[2],
        },
    }


class Reader(HTMLParser):
    """Reads a page strictly: every element closed in order; collects elements, text and ids."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr", "wbr"})

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words, self.json = [], [], [], ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), "an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.json += data
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]
