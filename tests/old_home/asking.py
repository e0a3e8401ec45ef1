"""The old home unpacked, asked through the command line, and its answers ready to be compared with golden/*.json.

`python tests/old_home/regenerate.py` writes golden/*.json from the code at hand: only for a change that was made on
purpose, and whoever reviews it reads the diff.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import numpy as np
from old_home.make import ARCHIVE, PLACE, RECIPES
from old_home.words import NUMBER, page_words, said

from simsearch.cli import main

GOLDEN = Path(__file__).parent / "golden"
# Set to True in the change that raises the version of the evaluate stage, and only there: builds then make `evaluate`
# anew, under another digest; every other stage must still stand as it is.
EVALUATE_IS_MADE_ANEW = True

# Its index is chosen by measuring, which is done anew since rows are held out of it; which one wins is told by timing.
CHOSEN = "head"
BUILDS = (*RECIPES, "vectors")
COMMANDS = {
    **{name: ("build", f"{name}.toml") for name in RECIPES},
    "head": ("build", "head.toml", "--seeds", "2"),
    # FAISS's own nprobe, as it was imported with: left out, it is tuned now.
    "vectors": ("index", "import", "vectors", "--name", "vectors", "--factory", "IVF4,Flat", "--set", "index.nprobe=1"),
}
# Builds made again with other settings, for which nothing is trained or embedded: index and report alone. By a name of
# their own they would be trained on what the present rules read.
OTHERS = {
    "more-probes": "triplet.toml --set index.nprobe=3",
    "codes": "softmax.toml --set index.factory=SQ8 --set evaluation.map=false --set evaluation.k=[2]",
    "gallery": "unseen.toml --set index.corpus=gallery --set index.factory=HNSW8 --set index.efSearch=9",
}
MADE_OF_EVALUATE = ("evaluate", "seeds", "verdict")  # the last: the old code made none
SPEED = re.compile(r"N m?s\b|[KMG]?B\b|/s\b|DATE|since the accepted night|matrix|own code|unknown")
QUALITY = ("recall", "cross_boundary_error", "map_at_r", "roc_auc", "ann_recall", "inversion_rate")
OF_VERDICTS = ("verdict", "Known, or none of these?")
VERDICT = "    verdict: "  # a line of an answer; the old code gave none, nor the keys among these
TIMES = ("verdict", "verdict_reason", "qps", "seconds", "milliseconds", "when", "versions", "device", "machine")
QUERIES = (
    "photos/ash/05.png photos/birch/broken.png photos/fir/29.bmp --build softmax -k 4",
    "photos/birch/00.png photos/fir/00.png --build softmax -k 6 --collapse",
    "photos/birch/07.png --build softmax --min-score 0.9",
    "photos/birch/16.png --build softmax --max-far 0.05",
    "photos/ash/01.png --same photos/fir/01.png --build softmax",
    "photos/ash/01.png --same photos/ash/copy.png --build softmax",
    "photos/ash/28.png photos/fir/00.png --build triplet -k 5",
    "signs/07-1.png signs/25-3.png --build unseen -k 3",
    "split/test/eel --build split -k 3",
    "split/val/cat/0.png --build split --max-far 0.2 -k 4",
    "photos/birch/near.png --build head -k 5",
    "photos/birch/12.png --build tuned -k 5",
    "--vectors q.npy --build vectors -k 4",
    "--vectors q.npy --build vectors -k 60 --min-score 0.5",
    "--vectors q.npy --build softmax -k 2",
)


def unpack(to: Path) -> Path:
    """The old home with its pictures, recipes and vectors below `to`, which its builds say they were made from."""
    place = to.resolve() / "old"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    for path in (place / "home" / "builds").glob("*.json"):
        path.write_text(path.read_text().replace(str(PLACE), json.dumps(str(place))[1:-1]))
    return place


def ask(place: Path, *words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `simsearch WORDS` in this process, from the folder that holds the home."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with mock.patch.dict(os.environ), contextlib.chdir(place), streams[0], streams[1], warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # files that a command leaves to the end of its process
        try:
            main([*words, "--home", "home"])
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), err.getvalue()


def told(place: Path, *words: str) -> str:
    """What `simsearch WORDS` prints to stdout; it must come to a good end."""
    code, out, err = ask(place, *words)
    assert code == 0, (words, code, err)
    return out


def without_times(value: Any, place: Path) -> Any:
    """A JSON value without what differs from run to run: times, versions, the place."""
    if isinstance(value, dict):
        return {key: without_times(one, place) for key, one in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [without_times(one, place) for one in value]
    return value.replace(str(place), "PLACE") if isinstance(value, str) else value


def record(place: Path, build: str) -> Any:
    """What home/builds/BUILD.json holds."""
    return json.loads((place / "home" / "builds" / f"{build}.json").read_bytes())


def measured(place: Path, build: str, file: str) -> Path:
    """A file of the evaluate artifact of a build."""
    return place / "home" / "artifacts" / "evaluate" / record(place, build)["stages"]["evaluate"]["digest"] / file


def report(place: Path, build: str) -> Any:
    """`evaluate --json`, and the words of `evaluate`."""
    found = without_times(json.loads(told(place, "evaluate", build, "--json")), place)
    return {"json": found, "words": said(told(place, "evaluate", build).split("\n"))}


def per_query(place: Path, build: str) -> Any:
    """queries.npz and far.json of a build."""
    with np.load(measured(place, build, "queries.npz"), allow_pickle=False) as stored:
        arrays = {name: {"dtype": str(stored[name].dtype), "values": _plain(stored[name])} for name in stored.files}
    return {"queries": arrays, "far": json.loads(measured(place, build, "far.json").read_bytes())}


def page(place: Path, build: str) -> list[str]:
    """The words of a build's page."""
    text = (place / "home" / "builds" / build / "report.html").read_text()
    text = re.sub(r'(?s)<section id="unknown".*?</section>', "", text)  # of verdicts the old code said nothing
    found = page_words(text, str(place))
    rate = f"{json.loads(told(place, 'evaluate', build, '--json'))['index']['qps']:,.0f}"
    return [piece for piece in found if piece not in (rate, *OF_VERDICTS)]


def answers(place: Path, query: str) -> Any:
    """Exit code and lines of `query --json`, and the words of `query`."""
    code, out, _ = ask(place, "query", *query.split(), "--json")
    lines = [without_times(json.loads(line), place) for line in out.splitlines()]
    words = [line for line in ask(place, "query", *query.split())[1].split("\n") if not line.startswith(VERDICT)]
    return {"code": code, "lines": lines, "words": said(words)}


def recipe(place: Path, name: str) -> Any:
    """The resolved recipe, its digests as the code at hand reckons them, and what is not built."""
    found = json.loads(told(place, "show", f"{name}.toml", "--json"))
    return {"recipe": without_times(found["recipe"], place), "digests": digests(found), "next": found["next"]}


def digests(found: Any) -> dict[str, str]:
    """The digest of each stage."""
    return {stage: one["digest"] for stage, one in found["stages"].items()}


def shown(place: Path, build: str) -> Any:
    """`show BUILD --json`; how large a build is, the old code did not say."""
    found = json.loads(told(place, "show", build, "--json"))
    assert found.pop("bytes") > 0
    return without_times(found, place)


def shipped(place: Path) -> Any:
    """Every shipped recipe with its defaults filled in."""
    names = json.loads(told(place, "show", "--json"))["recipes"]
    empty = place / "split"
    return {name: without_times(json.loads(told(empty, "show", name, "--json"))["recipe"], empty) for name in names}


def others(place: Path) -> Any:
    """The digests of builds of other settings, which are made."""
    found = {}
    for name, words in OTHERS.items():
        told(place, "build", *words.split())
        found[name] = digests(record(place, words.partition(".toml")[0]))
    return found


def compared(place: Path) -> Any:
    """`compare` of two builds, as JSON and in words."""
    words = said(told(place, "compare", "softmax", "triplet").split("\n"))
    return {"json": json.loads(told(place, "compare", "softmax", "triplet", "--json")), "words": words}


def verified(place: Path, build: str) -> Any:
    """The lines of `index verify --json`."""
    lines = told(place, "index", "verify", build, "--json").splitlines()
    return [without_times(json.loads(line), place) for line in lines]


def nights(place: Path) -> Any:
    """The history of nights: its columns, the first row, and what every row says of its figure."""
    told(place, "bench", "--export", "nights.jsonl")
    rows = [json.loads(line) for line in (place / "nights.jsonl").read_text().splitlines()]
    keys = ("night", "cell", "metric", "k", "scope", "value", "low", "high", "n")
    return {"first": rows[0], "rows": [[row[key] for key in keys] for row in rows]}


def _of_quality(figure: dict[str, Any]) -> bool:
    return figure["metric"] in QUALITY


def _place(figure: dict[str, Any]) -> tuple[str, int, str]:
    return figure["metric"], figure["k"] or 0, figure["scope"]


def night(place: Path) -> Any:
    """One more night, held against the accepted one of the old history: its verdict, quality, and words of its pages.

    Numbers of the trend page are left out, as most of them are of speed; those of quality stand in the others.
    """
    found = json.loads(told(place, "bench", "night.toml", "--json"))
    latest = place / "home" / "bench" / "latest"
    trend = {NUMBER.sub("#", one) for one in page_words((latest / "trend.html").read_text(), str(place))}
    cases = ElementTree.parse(latest / "junit.xml").iter("testcase")
    table = [
        line.split("|")[1:5] for line in (latest / "nightly.md").read_text().split("\n") if line.startswith("| `split")
    ]
    return {
        "keys": sorted(found),
        "verdict": [found[key] for key in ("night", "verdict", "exit", "accepted", "regressions")],
        "cells": [
            {
                "cell": cell["cell"],
                "status": cell["status"],
                "figures": sorted(filter(_of_quality, cell["figures"]), key=_place),
                "metrics": sorted(
                    {f"{one['metric']} {one['scope']}" for one in cell["figures"] if one["scope"] != "verdict"}
                ),
            }
            for cell in found["cells"]
        ],
        "trend": sorted(one for one in trend if not SPEED.search(one)),
        "cases": sorted(
            [case.get(key) for key in ("classname", "name")] + [case.findtext("system-out", "").strip()]
            for case in cases
        ),
        "table": [[entry.strip() for entry in row] for row in table],
    }


def publish(place: Path) -> dict[str, str]:
    """Build everything again, which draws the pages anew and runs nothing; returns what each said on stderr."""
    said_of = {}
    for build in BUILDS:
        (place / "home" / "builds" / build / "report.html").unlink()
        code, _, said_of[build] = ask(place, *COMMANDS[build])
        assert code == 0, said_of[build]
    return said_of


def golden(name: str) -> Any:
    """What golden/NAME.json holds, without what a new version of evaluate changes."""
    return standing(json.loads((GOLDEN / f"{name}.json").read_bytes()), name)


def standing(value: Any, name: str) -> Any:
    """What must still be so of what NAME is expected to be."""
    if name in ("builds", "verified") and isinstance(value, dict) and CHOSEN in value:
        value = {**value, CHOSEN: _without_index(value[CHOSEN])}
    if not EVALUATE_IS_MADE_ANEW or name not in ("builds", "others", "recipes", "verified"):
        return value
    if isinstance(value, dict):
        return {key: standing(one, name) for key, one in value.items() if key not in MADE_OF_EVALUATE}
    if isinstance(value, list):
        return [standing(one, name) for one in value if not (name == "verified" and one["check"] in MADE_OF_EVALUATE)]
    return value


def _without_index(value: Any) -> Any:
    """What is shown or verified of a build, without its index."""
    if isinstance(value, list):
        return [one for one in value if one["check"] != "index"]
    return {**value, "stages": {name: stage for name, stage in value["stages"].items() if name != "index"}}


def _plain(array: Any) -> Any:
    """An array as JSON: NaN and infinity are words."""
    values = array.tolist()
    return [str(v) if isinstance(v, float) and not np.isfinite(v) else v for v in values] if array.ndim == 1 else values


# What is asked of the home once everything was published again, by the name of its golden file.
ASKED: dict[str, Callable[[Path], Any]] = {
    "reports": lambda place: {build: report(place, build) for build in BUILDS},
    "queries": lambda place: {build: per_query(place, build) for build in BUILDS},
    "pages": lambda place: {build: page(place, build) for build in BUILDS},
    "answers": lambda place: {query: answers(place, query) for query in QUERIES},
    "recipes": lambda place: {name: recipe(place, name) for name in RECIPES},
    "builds": lambda place: {build: shown(place, build) for build in BUILDS},
    "shipped": shipped,
    "compared": compared,
    "verified": lambda place: {build: verified(place, build) for build in BUILDS},
    "nights": nights,
}
# What changes the home, which is asked last, or of a home of its own.
CHANGING: dict[str, Callable[[Path], Any]] = {"others": others, "night": night}
