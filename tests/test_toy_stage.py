"""A stage added to a copy of the package: its module, and a line in the graph; it then stands wherever stages do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import run_process
from conftest import SMALL

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "simsearch"
TOY = '''
"""The colours stage: the mean gray of every thumbnail."""

from functools import partial

from simsearch.images.thumbnails import ThumbnailReader
from simsearch.stages.step import Step


def colours(data):
    return Step("colours", "Coloured", 1, {"of": "thumbnails"}, {"dataset": data.view("rows")}, partial(measure, data))


def measure(data, space, progress):
    with ThumbnailReader(data.artifact.path) as thumbnails:
        sizes = [len(thumbnails[row]) for row in range(data.facts["images"])]
    (space.out / "sizes.txt").write_text(" ".join(map(str, sizes)))
    return {"thumbnails": len(sizes)}, f"{len(sizes)} thumbnails"
'''


def test_a_stage_is_a_module_and_a_line_of_the_graph(tmp_path, photos):
    shutil.copytree(SOURCE, tmp_path / "source" / "simsearch")
    package = tmp_path / "source" / "simsearch"
    (package / "stages" / "colours.py").write_text(TOY)
    graph = package / "pipeline" / "graph.py"
    lines = graph.read_text()
    above = "        embedded = Systems("
    assert lines.count(above) == 1
    lines = lines.replace(above, f"        plan.make(colours(data))\n{above}")
    known = "import Data, Frozen\n"
    graph.write_text(lines.replace(known, f"{known}from simsearch.stages.colours import colours\n"))

    def toy(*arguments):
        # `python -c` looks into the folder that it starts in first.
        return run_process(*arguments, "--home", tmp_path / "home", cwd=tmp_path / "source", check=0)

    plain = [*SMALL, "--set", "evaluation.baseline=false"]
    built = toy("build", photos, *plain)
    assert "\nColoured      30 thumbnails " in built.stderr
    stages = json.loads((tmp_path / "home" / "builds" / "photos.json").read_bytes())["stages"]
    assert list(stages) == ["dataset", "colours", "train", "embed", "index", "evaluate", "verdict"]
    (sizes,) = tmp_path.glob("home/artifacts/colours/*/sizes.txt")
    assert sizes.parent.name == stages["colours"]["digest"]
    assert len(sizes.read_text().split()) == 30
    for what in ("photos", str(photos)):
        shown = json.loads(toy("show", what, *(plain if what != "photos" else []), "--json").stdout)
        assert shown["stages"]["colours"]["digest"] == stages["colours"]["digest"]
    assert "photos is up to date" in toy("build", photos, *plain).stderr
    sizes.unlink()
    assert (
        "colours"
        in run_process("build", photos, *plain, "--home", tmp_path / "home", cwd=tmp_path / "source", check=2).stderr
    )
