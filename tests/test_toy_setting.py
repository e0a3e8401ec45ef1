"""A search setting that FAISS knows and simsearch does not, added to a copy of the source: two files name it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# FAISS looks at no more than so many codes of the lists that it probes.
ADDED = {
    "vectors/search.py": ("    k_factor: float | None = _of(REFINE)\n", "    max_codes: int | None = _of(IVF)\n"),
    "recipe/tables.py": (
        ' candidates are compared again.", None, ge=1)\n',
        '    max_codes: int | None = setting("IVF: how many codes a search looks at.", None, ge=1)\n',
    ),
}
SCRIPT = """
import json, sys
from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.recipe.files import find_recipe
from simsearch.report.reading import report_of

file, home = sys.argv[1], Home.locate(sys.argv[2])
recipe = find_recipe("digits", ["index.factory=IVF16,Flat", "index.max_codes=300"]).recipe
found = {"recipe": recipe.index.max_codes}
for name, more in (("plain", {}), ("toy", {"max_codes": 300})):
    build = run_import(file, home, name, {"factory": "IVF16,Flat", "nprobe": 16, **more}).build
    recall = report_of(build)["index"]["ann_recall"]["10"]
    found[name] = {"stages": build.record.stages, "search": build.record.search.to_json(), "recall": recall}
print(json.dumps(found))
"""


def test_a_setting_is_a_line_of_search_and_a_key_of_the_recipe(tmp_path):
    shutil.copytree(ROOT / "simsearch", tmp_path / "simsearch")
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    for name, (after, line) in ADDED.items():
        path = tmp_path / "simsearch" / name
        text = path.read_text()
        assert text.count(after) == 1
        path.write_text(text.replace(after, after + line))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "x.npy", tmp_path / "home"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    plain, toy = found["plain"], found["toy"]
    assert found["recipe"] == 300
    assert toy["search"] == {"nprobe": 16, "efSearch": None, "max_codes": 300}
    assert plain["search"] == {"nprobe": 16, "efSearch": None}, "a build without it keeps its record and digests"
    assert toy["stages"]["index"] == plain["stages"]["index"]
    assert toy["stages"]["evaluate"]["digest"] != plain["stages"]["evaluate"]["digest"]
    assert plain["recall"] > 0.99 > 0.9 > toy["recall"] > 0, "the search of the index heeds it"
