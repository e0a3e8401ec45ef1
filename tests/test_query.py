"""`simsearch query` through its real entry point, without torch."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from commands import run_process
from conftest import artifact_file, picture, run_cli
from PIL import Image
from remade import remade
from sealing import seal

import simsearch
from simsearch.images.flow import TILES
from simsearch.images.montage import MARKED


def test_a_gallery_image_returns_itself_first_while_torch_is_unimportable(built):
    folder, home = built
    heavy = ["torch", "torchvision", "pydantic", "rich", "h5py", "sklearn", "filelock"]
    done = run_process("query", folder / "class 1" / "04.png", "--json", "--home", home, without=heavy, check=0)
    answer = json.loads(done.stdout)
    assert set(answer) == {"query", "build", "hits", "milliseconds", "verdict", "verdict_reason"}
    assert answer["build"] == "photos"
    assert len(answer["hits"]) == 10
    first = answer["hits"][0]
    rates = {f"{rate}{end}" for rate in ("false_accept_rate", "stranger_rate") for end in ("", "_at_most")}
    assert set(first) == {"rank", "score", "label", "image", "path", "row", "same_file", *rates}
    assert (first["rank"], first["label"], first["image"]) == (1, "class 1", "class 1/04.png")
    assert first["score"] >= 0.9999
    assert os.path.samefile(first["path"], folder / "class 1" / "04.png")
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_what_a_query_loads_is_never_looked_through_for_garbage(built):
    import subprocess
    import sys

    folder, home = built
    watched = (
        "import atexit, gc; from simsearch.cli import main; "
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count())); main()"
    )
    command = [sys.executable, "-c", watched, "query", folder / "class 1" / "04.png", "--json", "--home", home]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    enabled, frozen = done.stdout.splitlines()[-1].split()
    assert enabled == "True"
    assert int(frozen) > 10_000


def test_help_needs_no_torch():
    assert "Example:" in run_process("--help", without=["torch", "numpy"], check=0).stdout
    for command in ("build", "query", "show", "evaluate", "compare", "index", "index import", "index verify", "export"):
        assert "Example:" in run_cli(*command.split(), "--help", check=0).stdout


def test_table_goes_to_stdout_and_words_to_stderr(built):
    folder, home = built
    done = run_cli("query", folder / "class 0" / "01.png", "--k", 3, "--home", home, check=0)
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert "score" in lines[1]
    assert "label" in lines[1]
    assert lines[2].split()[0] == "1"
    assert "same file" in lines[2]
    assert "photos" in done.stderr
    assert str(home) in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_least_score(built):
    folder, home = built
    done = run_cli("query", folder / "class 0" / "01.png", "--min-score", 0.99999, "--json", "--home", home, check=0)
    hits = json.loads(done.stdout)["hits"]
    assert 1 <= len(hits) < 10
    assert all(hit["score"] >= 0.99999 for hit in hits)


@pytest.fixture(scope="module")
def rated(built, tmp_path_factory):
    """(query, home): what the scores of `photos` mean is known here, of two other builds it is not."""
    home = tmp_path_factory.mktemp("rated") / "home"
    shutil.copytree(built[1], home)
    query = built[0] / "class 0" / "01.png"
    hits = json.loads(run_cli("query", query, "--json", "--home", home, check=0).stdout)["hits"]
    second, fifth = (hits[n]["score"] - 1e-6 for n in (1, 4))  # rates are looked up a rounding error below the score
    table = {"pairs": 20_000, "table": [[1.0, 0.0001], [second, 0.0004], [fifth, 0.05], [-1.0, 1.0]]}
    remade(home, "rated", {"far.json": json.dumps(table).encode()}, when="2999-01-01T00:00:00+00:00")
    remade(home, "unlabelled", {"far.json": b"null"}, labelled=False)
    remade(home, "old", {"far.json": None})
    return query, home


def test_what_a_score_means(rated):
    query, home = rated
    hits = json.loads(run_cli("query", query, "--json", "--home", home, check=0).stdout)["hits"]
    rates = [hit["false_accept_rate"] for hit in hits]
    assert rates[0] <= 0.0004 == rates[1]
    assert rates[4] == 0.05
    assert rates == sorted(rates)
    done = run_cli("query", query, "--home", home, check=0)
    assert "strangers" in done.stdout.splitlines()[1]
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    assert "different-label pairs (--max-far 0.001 keeps just" in done.stderr


def test_the_highest_rate(rated):
    query, home = rated
    done = run_cli("query", query, "--max-far", 0.0004, "--json", "--home", home, check=0)
    assert len(json.loads(done.stdout)["hits"]) == 2
    done = run_cli("query", query, "--max-far", 0.00001, "--home", home, check=0)
    assert "no hit" in done.stdout
    assert "20,000 different-label pairs, too few" in done.stderr
    assert "Only" not in done.stderr
    for wrong in ("0", "1.1", "nan", "x"):
        run_cli("query", query, f"--max-far={wrong}", "--home", home, check=2)


@pytest.mark.parametrize(("build", "reason"), [("unlabelled", "no labels"), ("old", "older simsearch")])
def test_a_build_that_does_not_know_what_a_score_means(rated, build, reason):
    query, home = rated
    done = run_cli("query", query, "--build", build, "--home", home, check=0)
    assert "false alarms" not in done.stdout
    hits = json.loads(run_cli("query", query, "--build", build, "--json", "--home", home, check=0).stdout)["hits"]
    assert {hit["false_accept_rate"] for hit in hits} == {None}
    for option in (["--max-far", 0.1], ["--same", query]):
        done = run_cli("query", query, *option, "--build", build, "--home", home, check=2)
        assert not done.stdout
        assert reason in done.stderr


def test_same_or_different(rated, built, tmp_path):
    query, home = rated
    near, far = built[0] / "class 0" / "01.png", built[0] / "class 1" / "01.png"
    assert run_cli("query", query, "--same", near, "--home", home, check=0).stdout.startswith("same  score 1.000")
    line = run_cli("query", query, "--same", far, "--max-far", 1e-4, "--home", home, check=1).stdout
    assert line.startswith("different  score")
    assert "false alarms 1 in " in line
    answer = json.loads(
        run_cli("query", query, "--same", far, "--max-far", 1, "--json", "--home", home, check=0).stdout
    )
    assert set(answer) == {"query", "other", "build", "score", "false_accept_rate", "same"}
    assert (answer["query"], answer["other"], answer["build"]) == (str(query), str(far), "rated")
    assert answer["same"] is True, "every pair has a rate of at most 1"
    assert answer["score"] < 1
    bad = tmp_path / "bad.png"
    bad.write_text("%PDF")
    for pair in ((query, bad), (bad, query), (query, tmp_path / "gone.png"), (query, tmp_path)):
        done = run_cli("query", pair[0], "--same", pair[1], "--json", "--home", home, check=2)
        assert "error" in json.loads(done.stdout)
        assert [line.partition(":")[0] for line in done.stderr.splitlines()[1:]] == ["error", "hint"]
    run_cli("query", query, near, "--same", far, "--home", home, check=2)
    run_cli("query", query, "--same", far, "--min-score", 0.5, "--home", home, check=2)


def test_several_a_folder_and_stdin_in_the_order_of_input(built):
    folder, home = built
    first, second = folder / "class 2" / "00.png", folder / "class 0" / "00.png"
    done = run_cli("query", first, folder / "class 1", "-", "--k", 1, "--json", "--home", home,
                   stdin=f"{second}\r\n", check=0)  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["query"] for a in answers] == [
        str(first),
        *(str(folder / "class 1" / f"{i:02d}.png") for i in range(10)),
        str(second),
    ]


def test_an_unreadable_image_is_told_and_the_others_are_answered(built, tmp_path):
    folder, home = built
    bad = tmp_path / "bad.png"
    bad.write_text("text")
    done = run_cli(
        "query", bad, folder / "class 0" / "00.png", tmp_path / "gone.png", "--json", "--home", home, check=2
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in a for a in answers] == [True, False, True]
    assert answers[0]["query"] == str(bad)
    assert "hint:" in done.stderr


def test_montage_is_a_picture(built, tmp_path):
    folder, home = built
    out = tmp_path / "hits.png"
    run_cli("query", folder / "class 0" / "00.png", folder / "class 1" / "00.png", "--k", 4, "--montage", out,
            "--home", home, check=0)  # fmt: skip
    with Image.open(out) as image:
        assert image.width > 5 * 100
        assert image.height > 2 * 100


def test_a_montage_says_what_it_has_no_room_for(built, tmp_path):
    folder, home = built
    query, out = folder / "class 0" / "00.png", tmp_path / "m.png"
    done = run_cli("query", *[query] * 53, "--k", 12, "--montage", out, "--home", home, check=0)
    assert f"Montage of the first 50 of 53 queries: {out}" in done.stderr
    with Image.open(out) as image:
        assert max(image.size) <= 4000
        assert 1 / 2 < image.width / image.height < 4 / 3


def test_montage_without_the_original_files(built, tmp_path):
    folder, home = built
    shutil.copytree(home, tmp_path / "elsewhere")
    build = tmp_path / "elsewhere" / "builds" / "photos.json"
    record = json.loads(build.read_text())
    seal(build, {**record, "root": "/nowhere"})
    done = run_cli("query", folder / "class 0" / "00.png", "--json", "--montage", tmp_path / "m.png",
                   "--home", tmp_path / "elsewhere", check=0)  # fmt: skip
    assert json.loads(done.stdout)["hits"][0]["path"] is None
    assert (tmp_path / "m.png").stat().st_size > 1000


def test_a_hit_whose_file_is_gone_is_marked_and_said_once(ours, tmp_path):
    folder, home = ours
    query = folder / "class 0" / "01.png"
    before = [line.split() for line in run_cli("query", query, "--home", home, check=0).stdout.splitlines()[2:]]
    gone = [tuple(line[-2:]) for line in before if line[-1].endswith(".png") and line[-1] != "0/01.png"][:2]
    assert len(gone) == 2
    for name in gone:
        (folder / " ".join(name)).unlink()
    done = run_cli("query", query, query, "--montage", tmp_path / "m.png", "--home", home, check=0)
    marked = [line for line in done.stdout.splitlines() if line.endswith("  (gone)")]
    assert sorted({tuple(line.split()[-3:-1]) for line in marked}) == sorted(gone)
    assert len(marked) == 4
    assert done.stderr.count("simsearch sync --build photos brings the build in step") == 1
    assert "2 files shown above are gone" in done.stderr
    assert marks(tmp_path / "m.png") == 4
    hits = json.loads(run_cli("query", query, "--json", "--home", home, check=0).stdout)["hits"]
    assert {tuple(hit["image"].split()) for hit in hits if hit["path"] is None} == set(gone)
    assert all("gone" not in hit for hit in hits)
    run_cli("sync", "--build", "photos", "--home", home, check=0)
    done = run_cli("query", query, "--montage", tmp_path / "m.png", "--home", home, check=0)
    assert "(gone)" not in done.stdout
    assert "gone:" not in done.stderr
    assert marks(tmp_path / "m.png") == 0


def marks(montage):
    """How many tiles of a montage bear a word: its first line of pixels has no letters in it."""
    with Image.open(montage) as image:
        red = (np.asarray(image.convert("RGB")) == MARKED).all(axis=2)
    first = red & ~np.roll(red, 1, axis=0)
    return int((first.sum(axis=1) // TILES[0]).sum())


def test_files_that_changed_are_marked_in_the_montage(ours, tmp_path):
    folder, home = ours
    picture(7, 70).save(folder / "class 0" / "02.png")
    done = run_cli("query", folder / "class 0" / "01.png", "-k", 30, "--montage", tmp_path / "m.png", "--home", home)
    assert "1 file in it changed since" in done.stderr
    assert marks(tmp_path / "m.png") == 1


def test_no_hit_is_marked_where_the_whole_folder_is_not_here(ours, tmp_path):
    folder, home = ours
    shutil.copy(folder / "class 0" / "01.png", tmp_path / "query.png")
    shutil.rmtree(folder)
    done = run_cli("query", tmp_path / "query.png", "--montage", tmp_path / "m.png", "--home", home, check=0)
    assert "(gone)" not in done.stdout
    assert f"None of these images is on this machine: there is no {folder}" in done.stderr
    assert marks(tmp_path / "m.png") == 0


def test_k_beyond_the_corpus_gives_the_corpus(built):
    folder, home = built
    done = run_cli("query", folder / "class 0" / "00.png", "--k", 500, "--json", "--home", home, check=0)
    rows = [hit["row"] for hit in json.loads(done.stdout)["hits"]]
    assert sorted(rows) == list(range(30))


@pytest.mark.parametrize("k", ["0", "-1", "x"])
def test_a_k_that_makes_no_sense(built, k):
    run_cli("query", built[0] / "class 0" / "00.png", f"--k={k}", "--home", built[1], check=2)


def test_strange_names_are_shown_safely(tmp_path):
    folder = tmp_path / "photos"
    names = [
        "a [bold]b.png",
        "quote\"'.png",
        "ü ñ 图.png",
        "line\nbreak.png",
        "esc\x1b[31mred.png",
        "bidi\u202egnp.png",
    ]
    for label in ("x\x1b]0;title\x07", "[red]y"):
        (folder / label).mkdir(parents=True)
        for number, name in enumerate(names):
            picture(len(label) % 5, number).save(folder / label / name)
    (folder / "[red]y" / os.fsdecode(b"latin\xff.png")).write_bytes((folder / "[red]y" / names[0]).read_bytes())
    home = tmp_path / "home"
    wanted = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "training.epochs=1"]
    built = run_cli("build", folder, *wanted, "--set", "evaluation.baseline=false", "--home", home, check=0)
    table = run_cli("query", folder / "[red]y" / names[4], "--k", 20, "--home", home, check=0)
    for text in (built.stderr, built.stdout, table.stdout, table.stderr):
        assert not set("\x1b\x07\u202e") & set(text)
    assert "[bold]" in table.stdout
    answer = run_cli("query", folder / "[red]y" / names[3], "--k", 20, "--json", "--home", home, check=0)
    assert len(answer.stdout.splitlines()) == 1
    hits = json.loads(answer.stdout)["hits"]
    assert {os.path.basename(hit["image"]) for hit in hits} >= set(names)
    run_cli("query", folder, "--k", 2, "--montage", tmp_path / "m.png", "--home", home, check=0)


def test_the_newest_listed_build_answers(copy_of_built):
    folder, home = copy_of_built
    record = json.loads((home / "builds" / "photos.json").read_text())
    newer = {**record, "when": "2999-01-01T00:00:00+00:00"}
    seal(home / "builds" / "newer.json", newer)
    seal(home / "builds" / "hidden.json", {**record, "when": "2999-02-01T00:00:00+00:00", "listed": False})
    done = run_cli("query", folder / "class 0" / "00.png", "--json", "--home", home, check=0)
    assert json.loads(done.stdout)["build"] == "newer"


def test_a_reader_that_goes_away_is_no_error(built):
    import subprocess
    import sys

    folder, home = built
    command = f"{sys.executable} -c 'from simsearch.cli import main; main()' query '{folder}' --home '{home}' | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["query"], ["build", "--nonsense"], ["query", "x.png", "--min-score", "nan"]]
)
def test_usage_errors_have_the_form_of_all_others(arguments):
    lines = run_cli(*arguments, check=2).stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"]


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "2>/dev/full"])
def test_closed_streams(built, closed):
    import subprocess
    import sys

    folder, home = built
    image = folder / "class 0" / "00.png"
    command = f"'{sys.executable}' -c 'from simsearch.cli import main; main()' query '{image}' --json --home '{home}' "
    done = subprocess.run(["bash", "-c", command + closed], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    if closed != ">&-":
        (line,) = done.stdout.splitlines()
        assert json.loads(line)["hits"]


def test_nothing_is_written_to_the_users_home(built, tmp_path):
    folder, home = built
    done = run_cli("query", folder / "class 0" / "00.png", "--home", home, env={"HOME": str(tmp_path)}, check=0)
    assert done.stdout
    assert not list(tmp_path.iterdir())


def test_a_gallery_file_that_changed_is_drawn_from_its_thumbnail(tmp_path):
    from conftest import SMALL, write_folder

    folder, home = write_folder(tmp_path / "photos"), tmp_path / "home"
    run_cli("build", folder, *SMALL, "--set", "evaluation.baseline=false", "--home", home, check=0)
    image = folder / "class 0" / "00.png"
    searcher = simsearch.open(home=str(home))
    hits = searcher.search([image], k=30)[0]
    before = {hit.row: searcher.picture(hit) for hit in hits}
    for path in sorted(folder.rglob("*.png"))[1::2]:
        path.write_bytes(b"junk")
    picture(8, 8).save(folder / "class 2" / "00.png")
    for hit in hits:
        shown, was = searcher.picture(hit), before[hit.row]
        # Small pictures have lossless thumbnails; WebP gives gray ones back as RGB.
        assert (shown == (was if shown.ndim == 2 else was[:, :, None])).all()
    run_cli("query", image, "--montage", tmp_path / "m.png", "--home", home, check=0)


def test_the_querys_own_file_stands_before_its_pixel_twins(tmp_path):
    from conftest import SMALL, write_folder

    folder, home = write_folder(tmp_path / "photos", each=6), tmp_path / "home"
    for label in range(3):
        for number in range(3):
            twin = folder / f"class {label}" / f"{number:02d}.bmp"
            picture(label, number).save(twin)
    run_cli("build", folder, *SMALL, "--set", "evaluation.baseline=false", "--home", home, check=0)
    searcher = simsearch.open(home=str(home))
    for path in sorted(folder.rglob("*.*")):
        assert searcher.search([path], k=3)[0][0].image == f"{path.parent.name}/{path.name}"


def test_python_interface(built):
    folder, home = built
    searcher = simsearch.open("photos", home=str(home))
    path = folder / "class 2" / "07.png"
    (by_path,), (by_bytes,) = searcher.search([path], k=3), searcher.search([path.read_bytes()], k=3)
    assert by_path == by_bytes
    assert by_path[0].image == "class 2/07.png"
    assert by_path[0].same_file


def test_data_of_the_index_belongs_to_the_build(built):
    assert artifact_file(built[1], "index", "index.faiss").is_file()
