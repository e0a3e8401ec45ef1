"""An index chosen by measuring, through the command line: kept, shown, searched with; and what is refused."""

import json
from types import SimpleNamespace

import pytest
from conftest import SMALL, artifact_file, run_cli

from simsearch.artifacts import Artifact
from simsearch.images.records import ImageRecord, write_records
from simsearch.recipe.files import find_recipe
from simsearch.report.sections.document import section
from simsearch.stages.common import Data
from simsearch.stages.index import _val_rows, index, search_settings

DIGITS = ["digits", "--set", "training.epochs=1", "--set", "evaluation.baseline=false", "--set", "evaluation.map=false"]
TARGET = ["--set", "index.target_recall=0.9"]


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """The home of a build of digits whose index was chosen by measuring, and the build's stderr."""
    home = tmp_path_factory.mktemp("chosen") / "home"
    return home, run_cli("build", *DIGITS, *TARGET, "--strict", "--home", home, check=0)


def test_the_choice_is_kept_searched_with_and_measured(chosen):
    home, done = chosen
    told = json.loads(artifact_file(home, "index", "index.json").read_bytes())
    choice = told["choice"]
    assert choice["reached"]
    assert choice["why"] in done.stderr
    assert len({line["factory"] for line in choice["table"]}) > 3
    assert sum(line["chosen"] for line in choice["table"]) == 1
    record = json.loads((home / "builds" / "digits.json").read_bytes())
    assert {key: value for key, value in record["search"].items() if value is not None} == told["search"]
    report = json.loads((home / "builds" / "digits" / "report.json").read_bytes())
    assert report["index"]["factory"] == told["factory"]
    # The evaluation's queries were never tuned with, and find about as much.
    assert report["index"]["ann_recall"]["10"] > 0.85
    page = (home / "builds" / "digits" / "report.html").read_text()
    assert "Indexes that were tried" in page
    assert '<title id="tuning-title">' in page
    assert not artifact_file(home, "index", "index.json").with_name("index.png").exists()
    image = home / "datasets" / "digits" / "7" / "0007.png"
    hits = json.loads(run_cli("query", image, "--json", "--home", home, check=0).stdout)["hits"]
    assert len(hits) == 10


def test_no_query_tunes_an_index_also_where_it_is_watched(tmp_path):
    """One photo a label may be both, where the source keeps all of them for watching."""
    flags = [(True, False), (False, True), (True, True), (False, False), (True, False)]
    records = (
        ImageRecord(row, f"{row}.png", "a", not val, val, True, query, "0" * 64)
        for row, (val, query) in enumerate(flags)
    )
    write_records(tmp_path, records)
    assert _val_rows(Data(Artifact(tmp_path, {"facts": {}}), None)).tolist() == [0, 4]


@pytest.mark.slow
def test_again_nothing_runs_and_another_target_makes_another_index(chosen, tmp_path):
    home, _ = chosen
    again = run_cli("build", *DIGITS, *TARGET, "--home", home, check=0)
    assert "up to date" in again.stderr
    other = run_cli("build", *DIGITS, "--set", "index.target_recall=1", "--name", "exact", "--home", home, check=0)
    assert "Indexed" in other.stderr
    assert "Embedded" not in other.stderr
    record = json.loads((home / "builds" / "exact.json").read_bytes())
    (reference,) = (record["stages"][stage] for stage in ("index",))
    told = json.loads((home / "artifacts" / "index" / reference["digest"] / "index.json").read_bytes())
    assert (told["factory"], told["choice"]["interval"]) == ("Flat", [1.0, 1.0])


@pytest.mark.slow
def test_a_target_that_no_index_reaches_is_said_loudly_and_strict_says_no(chosen):
    home, _ = chosen
    facts = json.loads(artifact_file(home, "index", "index.json").read_bytes())
    flat = facts["ntotal"] * facts["dim"] * 4
    few = [*DIGITS, "--set", "index.target_recall=1", "--set", f"index.max_bytes={flat // 2}", "--name", "few"]
    done = run_cli("build", *few, "--strict", "--home", home, check=1)
    assert "warning: No index of " in done.stderr
    assert done.stdout.strip().endswith("few/report.html")
    again = run_cli("build", *few, "--home", home, check=0)
    assert "warning: No index of " in again.stderr
    assert run_cli("build", *few, "--strict", "--home", home).returncode == 1
    image = home / "datasets" / "digits" / "7" / "0007.png"
    run_cli("query", image, "--build", "few", "--home", home, check=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["index.target_recall=0"], "above 0, at most 1, seen 0"),
        (["index.target_recall=1.5"], "above 0, at most 1, seen 1.5"),
        (["index.target_recall=nan"], "above 0, at most 1, seen nan"),
        (["index.target_recall=0.9", "index.factory=Flat"], "target_recall chooses factory by measuring"),
        (["index.target_recall=0.9", "index.nprobe=3"], "target_recall chooses nprobe by measuring"),
        (["index.max_bytes=1000"], "belongs to target_recall"),
        (["index.max_build_seconds=10"], "belongs to target_recall"),
        (["index.factory=IVF4,Flat", "index.k_factor=2"], "k_factor belongs to RFlat and Refine indexes"),
        (["index.target_recall=0.9", "index.max_bytes=0"], "max_bytes"),
    ],
)
def test_settings_that_cannot_be_are_one_clear_line(built, tmp_path, settings, words):
    folder, _ = built
    chosen = [word for setting in settings for word in ("--set", setting)]
    done = run_cli("build", folder, *SMALL, "--set", "training.epochs=0", *chosen, "--home", tmp_path / "home", check=2)
    error, hint = done.stderr.strip().splitlines()[-2:]
    assert error.startswith("error: ")
    assert words in error
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("Nonsense", "FAISS refuses the factory 'Nonsense' for dim 64"),
        ("PQ7x4fs", "FAISS refuses the factory 'PQ7x4fs' for dim 64"),
        ("IVF1439,Flat", "index IVF1439,Flat needs at least 1439 rows for its 1439 lists, seen 1438"),
        ("HNSW4_PQ4", "index HNSW4_PQ4: expected inner product, seen metric 1"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_factory_that_cannot_be_is_refused_before_anything_is_trained(tmp_path, factory, words, more):
    home = tmp_path / "home"
    done = run_cli("build", "digits", "--set", f"index.factory={factory}", *more, "--home", home, check=2)
    error, hint = done.stderr.strip().splitlines()[-2:]
    assert error.startswith(f"error: {words}")
    assert hint.startswith("hint: ")
    assert not any(home.glob("artifacts/train/*"))


def test_k_factor_reaches_the_index(chosen):
    home, _ = chosen
    settings = ["--set", "index.factory=PQ8x4fs,RFlat", "--name", "coded", "--home", home]
    run_cli("build", *DIGITS, "--set", "index.k_factor=144", *settings, check=0)
    record = json.loads((home / "builds" / "coded.json").read_bytes())
    assert record["search"]["k_factor"] == 144
    report = json.loads((home / "builds" / "coded" / "report.json").read_bytes())
    assert report["index"]["ann_recall"]["10"] == 1.0  # 1,440 candidates of 1,438 rows


def test_digests_of_recipes_without_a_target_are_what_they_were():
    data = SimpleNamespace(view=lambda view: {}, facts={"views": {}})
    embedded = SimpleNamespace(reference={})
    table = find_recipe("digits", []).recipe.resolve().index
    assert index(data, embedded, table).settings == {"factory": "Flat", "corpus": "gallery"}
    assert search_settings(table, SimpleNamespace(facts={})).to_json() == {"nprobe": None, "efSearch": None}
    table = find_recipe("digits", ["index.target_recall=0.9", "index.max_bytes=7"]).recipe.resolve().index
    assert index(data, embedded, table).settings == {
        "target_recall": 0.9,
        "max_bytes": 7,
        "max_build_seconds": None,
        "corpus": "gallery",
    }


def lines():
    shared = {"rows": 100, "low": 0.9, "high": 1.0, "bytes": 5000, "build_seconds": 1.0, "pareto": True}
    lists = {**shared, "factory": "<b>IVF4", "chosen": False}
    return [
        {**lists, "nprobe": 2, "stage": "sample", "ann_recall": 0.95, "qps": 9000.0},
        {**shared, "factory": "Flat", "stage": "sample", "ann_recall": 1.0, "qps": 90.0, "chosen": False},
        {**lists, "nprobe": 3, "stage": "full", "ann_recall": 0.99, "qps": 5000.0},
        {**lists, "nprobe": 3, "stage": "check", "ann_recall": 0.98, "qps": 5100.0, "chosen": True},
        {**lists, "nprobe": 3, "stage": "served", "ann_recall": 0.98, "qps": 5000.0},
    ]


def test_the_section_shows_why_the_chart_and_every_point():
    def shown(choice):
        return section("index", report={"index": {"factory": "Flat"}}, facts={"choice": choice})

    html = shown({"table": lines(), "target_recall": 0.97, "why": "because <it> is"})
    assert "because &lt;it&gt; is" in html
    assert "<b>IVF4" not in html
    assert html.count("<tr>") == 5 + 5  # and those of the index that was chosen
    assert "(chosen)" in html
    assert "nprobe 3" in html
    assert '<svg class="chart' in html
    for nothing in (None, {"table": [], "target_recall": 1.0, "why": ""}):
        assert "All that was measured" not in shown(nothing)


def test_a_dry_run_tells_what_a_build_would_take_and_writes_nothing(photos, tmp_path):
    home = tmp_path / "home"
    done = run_cli("build", photos, *SMALL, "--dry-run", "--home", home, check=0)
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["images"] == "30 of 3 labels"
    assert told["rows"] == "30 x 64, index Flat"
    assert {"memory", "disk", "time"} <= told.keys()
    assert done.stderr == ""
    found = json.loads(run_cli("build", photos, *SMALL, "--dry-run", "--json", "--home", home, check=0).stdout)
    assert (found["images"], found["rows"], found["dim"], found["exists"]) == (30, 30, 64, False)
    assert not home.exists()
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]
    more = run_cli(
        "build", photos, *SMALL, "--set", "training.epochs=50", "--dry-run", "--json", "--home", home, check=0
    )
    assert json.loads(more.stdout)["seconds"]["train"] >= found["seconds"]["train"]
    assert "1,797" in run_cli("build", "--dry-run", "--home", home, check=0).stdout
    assert "MNIST is not in" in run_cli("build", "mnist", "--dry-run", "--home", home, check=2).stderr
    run_cli("build", tmp_path / "absent", "--dry-run", "--home", home, check=2)
    assert not home.exists()


def test_a_dry_run_of_a_build_says_that_it_exists(built):
    folder, home = built
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    done = run_cli("build", folder, *SMALL, "--dry-run", "--home", home, check=0)
    assert "photos exists" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
