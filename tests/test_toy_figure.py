"""A figure added to a copy of the package: a row of the table and a function; it then stands wherever figures do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run_process
from conftest import SMALL
from nights import MATRIX

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "simsearch"
ROW = """    Figure("toy_rank", "toy", "share", lambda found, k: found.toy_rank(k), file="toy",
           heads=(headline_k,), least=0.002),
)  # fmt: skip
"""
FUNCTION = '''
    def toy_rank(self, k: int) -> Doubles:
        """Return 1 / the rank of the first of k rows with the query's label, 0 without one."""
        right = self.right[:, :k]
        return np.where(right.any(axis=1), 1 / (1 + right.argmax(axis=1)), 0.0)
'''
GATE = """
import json, sys
import numpy as np
from simsearch.bench.judging.gate import quality
from simsearch.bench.matrix import read_matrix
from simsearch.bench.measuring.measure import per_query, quality_figures
from simsearch.bench.records import Cell, Result

report = json.load(open(sys.argv[1]))
with np.load(sys.argv[2]) as arrays:
    kept = per_query(arrays, report["k"])
figures = [f"{figure.metric}@{figure.k}" for figure in quality_figures(report, kept)]
good = {name: np.ones(300) for name in kept}
bad = {**good, "toy_rank@10": np.full(300, 0.5)}
nights = (
    Result(Cell("x", 0, "Flat", (), "x", (), (0, 0)), "measured", queries=tuple(map(str, range(300))), per_query=night)
    for night in (good, bad)
)
found = quality(read_matrix(sys.argv[3]), [tuple(nights)])
print(json.dumps([figures, [finding.metric for finding in found if finding.worse]]))
"""


def test_a_row_and_a_function_are_a_figure(photos, tmp_path):
    shutil.copytree(SOURCE, tmp_path / "copy" / "simsearch")
    (tmp_path / "copy" / "pipelines").symlink_to(SOURCE.parent / "pipelines")
    evaluation = tmp_path / "copy" / "simsearch" / "evaluation"
    table = (evaluation / "figures.py").read_text()
    assert table.count(")  # fmt: skip\n") == 1
    (evaluation / "figures.py").write_text(table.replace(")  # fmt: skip\n", ROW))
    with (evaluation / "retrieval.py").open("a") as file:
        file.write(FUNCTION)

    def toy(*arguments):
        # `python -c` looks into the folder that it starts in first.
        return run_process(*arguments, "--home", tmp_path / "home", cwd=tmp_path / "copy", check=0).stdout

    toy("build", photos, *SMALL)
    page = (tmp_path / "home" / "builds" / "photos" / "report.html").read_text()
    assert "toy@10" in page
    assert "toy@10, all" in page, "among the comparisons too"
    written = tmp_path / "home" / "builds" / "photos" / "report.json"
    report = json.loads(written.read_text())
    (values,) = (tmp_path / "home").glob("artifacts/evaluate/*/queries.npz")
    with np.load(values) as arrays:
        for name, system in report["systems"].items():
            for k in ("1", "5", "10"):
                mean = arrays[f"{name}/toy@{k}"].mean()
                assert system["toy_rank"][k] == pytest.approx(mean)
                low, high = system["intervals"]["toy_rank"][k]
                assert low <= mean <= high
            assert system["toy_rank"]["1"] == system["recall"]["1"] <= system["toy_rank"]["10"] <= 1
    assert [entry["baseline"] for entry in report["comparisons"] if entry["metric"] == "toy_rank"] == [
        "baseline/raw-l2", "baseline/raw-ip", "baseline/cosine",
    ]  # fmt: skip

    lines = toy("evaluate", "photos").splitlines()
    systems = [line for line in lines if line.startswith("your search ")]
    assert [f"{report['systems']['recipe/index']['toy_rank']['10']:.4f}" in line for line in systems].count(True)
    assert any(line.split()[-1:] == ["toy@10"] or "toy@10" in line.split() for line in lines)
    assert max(map(len, lines)) <= 80

    compared = json.loads(toy("compare", "photos", "photos", "--json"))
    assert [(e["k"], e["word"]) for e in compared["entries"] if e["metric"] == "toy_rank"] == [
        (k, "no difference seen") for k in (1, 5, 10)
    ]

    (tmp_path / "m.toml").write_text(MATRIX.replace("small.toml", "digits"))
    command = [sys.executable, "-c", GATE, written, values, tmp_path / "m.toml"]
    done = subprocess.run(command, cwd=tmp_path / "copy", capture_output=True, text=True, check=True)
    figures, worse = json.loads(done.stdout)
    assert {"toy_rank@1", "toy_rank@5", "toy_rank@10"} <= set(figures)
    assert worse == ["toy_rank"]
