"""A build that does not stand yet answers by frozen features while its head is trained, and says so everywhere."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from commands import ENTRY, run_process
from conftest import run_cli, write_folder
from sealing import seal
from test_backbone_stage import KEYS, PIXELS, damage, sets
from test_embedder_onnx_files import model

import simsearch
from simsearch.errors import ArtifactError, EmbedderError, RecipeError
from simsearch.home import FROZEN, STOPPED, Home
from simsearch.pipeline import first
from simsearch.search import Question
from simsearch.stages import training

ENDED = "ended before a head was trained"


def files(home):
    """Every file of builds, by name."""
    return {path.name: path.read_bytes() for path in (home / "builds").iterdir() if path.is_file()}


def stopping(monkeypatch, meanwhile=lambda: None):
    """Let builds end where they would train a head, after `meanwhile`."""

    def stop(*arguments):
        meanwhile()
        raise EmbedderError(ENDED)

    monkeypatch.setattr(training, "train_embedder", stop)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """(command, folder, home, stderr) of a build that was stopped after its first answer; tests must not change it."""
    root = tmp_path_factory.mktemp("first")
    folder, path = write_folder(root / "photos"), root / "model.onnx"
    path.write_bytes(model(side=16).SerializeToString())
    command = ["build", folder, *sets(f"embedder.backbone=onnx:{path}", *KEYS, *PIXELS)]
    with pytest.MonkeyPatch.context() as patched:
        stopping(patched)
        done = run_cli(*command, "--home", root / "home", check=2)
    return command, folder, root / "home", done.stderr


@pytest.fixture
def copy(stopped, tmp_path):
    """(command, folder, home) as `stopped`, to be changed."""
    shutil.copytree(stopped[2], tmp_path / "home")
    return [*stopped[0], "--home", tmp_path / "home"], stopped[1], tmp_path / "home"


def test_the_build_names_the_query_before_it_trains(stopped):
    _, _, home, said = stopped
    assert f"Searchable now, by frozen features: simsearch query IMAGE --build photos --home {home}\n" in said
    assert said.index("Searchable now") < said.index(ENDED)
    record = json.loads((home / "builds" / "photos.json").read_bytes())
    assert record["provisional"] is True
    assert record["stages"].keys() == {"dataset", "backbone", "train", "embed", "index"}
    assert not (home / "builds" / "photos").exists(), "there is no report"


def test_a_query_is_answered_and_says_so(stopped):
    _, folder, home, _ = stopped
    done = run_cli("query", folder / "class 1" / "03.png", "--home", home, "--json", check=0)
    answer = json.loads(done.stdout)
    assert answer["provisional"] is True
    assert answer["hits"][0]["image"] == "class 1/03.png"
    assert answer["hits"][0]["false_accept_rate"] is None
    assert answer["hits"][0]["stranger_rate"] is None
    goes_on = f"simsearch build {folder} --set"
    assert f"{STOPPED}; {goes_on}" in done.stderr
    assert f"--home {home} goes on\n" in done.stderr
    shown = run_cli("query", folder / "class 1" / "03.png", "--home", home, check=0)
    assert shown.stderr.count(STOPPED) == 1
    assert "strangers" not in shown.stdout
    assert "false alarms" not in shown.stdout


@pytest.mark.parametrize("asks", [["--max-far", "0.01"], ["--same", "OTHER"]])
def test_what_a_score_means_is_not_known_yet(stopped, asks):
    _, folder, home, _ = stopped
    image = folder / "class 1" / "03.png"
    words = [image if word == "OTHER" else word for word in asks]
    done = run_cli("query", image, *words, "--home", home, check=2)
    assert f"how rare a false alarm is: it answers by {STOPPED}" in done.stderr
    assert "goes on; --min-score cuts by the score itself" in done.stderr


def test_python_opens_it(stopped):
    _, folder, home, _ = stopped
    with simsearch.open("photos", home=str(home)) as searcher:
        assert searcher.build.provisional
        found = searcher.ask(folder / "class 2" / "00.png", Question(5, collapse=True))
        assert found.hits[0].label == "class 2"
        with pytest.raises(RecipeError, match=STOPPED):
            searcher.same(folder / "class 2" / "00.png", folder / "class 2" / "01.png")


def test_a_query_is_answered_while_the_build_goes_on(stopped, tmp_path, monkeypatch):
    command, folder, _, _ = stopped
    home, answers = tmp_path / "home", []
    asks = [["query", folder / "class 0" / "00.png", "--json"], ["show"], ["show", "photos"], ["evaluate", "photos"]]
    asks.append(["index", "verify", "photos"])

    def ask():
        answers.extend(run_process(*words, "--home", home, without=("torch",)) for words in asks)

    stopping(monkeypatch, ask)
    run_cli(*command, "--home", home, check=2)
    assert json.loads(answers[0].stdout)["provisional"] is True
    assert [done.returncode for done in answers] == [0, 0, 0, 2, 0]
    for done in answers:
        assert FROZEN in done.stdout + done.stderr
        assert STOPPED not in done.stdout + done.stderr
    assert answers[0].stderr.endswith(f"{FROZEN}; wait for simsearch build photos\n")
    assert "hint: wait for simsearch build photos; simsearch query answers meanwhile" in answers[3].stderr


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "photos"],
        ["compare", "photos", "photos"],
        ["sync", "--build", "photos"],
        ["sync", "FOLDER", "--dry-run"],
        ["switch", "photos", "photos"],
        ["export", "photos", "--format", "npy", "--out", "OUT"],
    ],
)
def test_what_needs_a_whole_build_refuses_it(stopped, tmp_path, words):
    _, folder, home, _ = stopped
    places = {"FOLDER": folder, "OUT": tmp_path / "out"}
    before = files(home)
    done = run_cli(*(places.get(word, word) for word in words), "--home", home, check=2)
    assert done.stdout == ""
    assert f"error: build photos is provisional: {STOPPED}\n" in done.stderr
    assert f"hint: simsearch build {folder} --set" in done.stderr
    assert f"--home {home} goes on" in done.stderr
    assert files(home) == before
    assert not (tmp_path / "out").exists()


def test_show_and_verify_say_it(stopped):
    home = stopped[2]
    assert f"(provisional: {STOPPED})" in run_cli("show", "--home", home, check=0).stdout
    assert f"# provisional: {STOPPED}\n" in run_cli("show", "photos", "--home", home, check=0).stdout
    assert json.loads(run_cli("show", "--json", "--home", home, check=0).stdout)["builds"][0]["provisional"] is True
    one = json.loads(run_cli("show", "photos", "--json", "--home", home, check=0).stdout)
    assert (one["provisional"], one["next"].startswith("simsearch build ")) == (True, True)
    checked = run_cli("index", "verify", "--json", "--home", home, check=0).stdout.splitlines()
    found = {line["check"]: line for line in map(json.loads, checked)}
    assert found["report"]["ok"] is None
    assert STOPPED in found["report"]["detail"]
    assert "goes on" in found["report"]["detail"]
    assert all(line["ok"] for name, line in found.items() if name != "report")


def test_the_same_command_goes_on_to_the_whole_build(copy):
    command, folder, home = copy
    done = run_cli(*command, check=0)
    assert done.stderr.count("Searchable now") == 1
    assert all(title not in done.stderr for title in ("Read ", "Backbone ")), "what was finished is used"
    record = json.loads((home / "builds" / "photos.json").read_bytes())
    assert "provisional" not in record
    assert "command" not in record
    assert {"evaluate", "frozen/embed"} <= record["stages"].keys()
    asked = run_cli("query", folder / "class 1" / "03.png", "--home", home, "--json", check=0)
    assert "provisional" not in asked.stdout
    assert "frozen" not in asked.stderr
    assert run_cli(*command, check=0).stderr.startswith("photos is up to date")
    # A whole build stands until the next one is whole, whatever that is made of.
    with pytest.MonkeyPatch.context() as patched:
        stopping(patched)
        before = files(home)
        for more in (sets("loss.alpha=8"), ["--retrain", *sets("loss.alpha=4")]):
            assert "Searchable now" not in run_cli(*command, *more, check=2).stderr
        assert files(home) == before
        # Another name is another build, which does not stand yet.
        assert "Searchable now" in run_cli(*command, *sets("loss.alpha=8"), "--name", "eight", check=2).stderr
    assert json.loads((home / "builds" / "eight.json").read_bytes())["provisional"] is True
    asked = run_cli("query", folder / "class 1" / "03.png", "--home", home, check=0).stderr
    assert asked.startswith("photos: "), "the newest whole one is taken, where there is one"
    assert Home(home).build("eight").when > Home(home).build().when


def test_no_first_answer_where_none_is_due(copy, monkeypatch):
    command, _, home = copy
    (home / "builds" / "photos.json").unlink()
    stopping(monkeypatch)
    run_cli(*command, "--seeds", 2, check=2)
    monkeypatch.setattr(first, "MOST_BYTES", 100)
    run_cli(*command, check=2)
    monkeypatch.undo()
    stopping(monkeypatch)
    damage(next((home / "artifacts" / "index").glob("*/index.faiss")))
    assert ENDED in run_cli(*command, check=2).stderr, "the build itself does not need that index"
    assert files(home) == {}, "of several seeds, where the index would be large, and where it is damaged"


def test_it_follows_other_settings_as_it_is_no_build_yet(copy, monkeypatch):
    command, folder, home = copy
    stopping(monkeypatch)
    before = files(home)
    run_cli(*command, check=2)
    assert files(home) == before, "one that stands is left as it is"
    run_cli(*command, *sets("images.std=[0.5,0.5,0.5]"), check=2)
    assert files(home) != before
    assert Home(home).build("photos").record.recipe["images"]["std"] == [0.5, 0.5, 0.5]
    run_cli("query", folder / "class 1" / "03.png", "--home", home, check=0)


def test_clean_keeps_what_it_names_and_removes_it_by_name(copy, monkeypatch):
    _, folder, home = copy
    monkeypatch.setattr("simsearch.artifacts.GRACE_SECONDS", -1.0)
    run_cli("clean", "--home", home, check=0)
    run_cli("query", folder / "class 1" / "03.png", "--home", home, check=0)
    run_cli("clean", "photos", "--home", home, check=0)
    assert files(home) == {}
    assert not list((home / "artifacts").glob("*/[0-9a-f]*"))


def test_a_damaged_index_is_made_anew(copy):
    command, folder, home = copy
    damage(next((home / "artifacts" / "index").glob("*/index.faiss")))
    assert "index verify photos --repair" in run_cli("query", folder, "--home", home, check=2).stderr
    run_cli("index", "verify", "photos", "--repair", "--home", home, check=0)
    assert Home(home).build("photos").provisional
    run_cli("query", folder / "class 1" / "03.png", "--home", home, check=0)
    run_cli(*command, check=0)


def test_a_file_that_lost_the_word_is_damaged(copy):
    home = copy[2]
    path = home / "builds" / "photos.json"
    whole = json.loads(path.read_bytes())
    seal(path, {key: value for key, value in whole.items() if key != "provisional"})
    with pytest.raises(ArtifactError, match="damaged"):
        Home(home).build("photos")


@pytest.mark.slow
def test_killed_after_the_first_answer_it_answers_and_goes_on(stopped, tmp_path):
    command, folder, _, _ = stopped
    home, image = tmp_path / "home", folder / "class 1" / "03.png"
    more = sets("training.epochs=300")
    words = [*ENTRY, *map(str, [*command, *more, "--home", home])]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert any("Searchable now" in line for line in process.stderr)
        meanwhile = run_process("query", image, "--home", home, check=0).stderr
        process.kill()
    assert meanwhile.splitlines()[1].startswith(FROZEN)
    assert Home(home).build("photos").provisional
    for _ in range(2):
        asked = run_process("query", image, "--home", home, "--json", check=0)
        assert json.loads(asked.stdout)["provisional"] is True
        assert f"{STOPPED}; simsearch build" in asked.stderr
    run_process(*command, *more, "--home", home, check=0)
    assert not Home(home).build("photos").provisional
    run_process("index", "verify", "--home", home, check=0)
