"""What is said of a slip of the fingers: what was expected and seen, where, and the very next command to type."""

from __future__ import annotations

import pytest
from commands import run_cli

from simsearch.cli.mistakes import mended
from simsearch.errors import near_path

SLIPS = [
    ("biuld photos", "No such command 'biuld'. Did you mean 'build'?", "simsearch build photos"),
    ("index verfy photos", "No such command 'verfy'. Did you mean 'verify'?", "simsearch index verify photos"),
    ("query a.png --motage m.png", "No such option '--motage'. Did you mean '--montage'?",
     "simsearch query a.png --montage m.png"),
    ("query a.png --min-scor=0.5", "No such option '--min-scor'. Did you mean '--min-score'?",
     "simsearch query a.png --min-score=0.5"),
    ("build photos --nmae x", "No such option '--nmae'. (Did you mean one of: '--home', '--name'?)",
     "simsearch build photos --name x"),
    ("query a.png --k ten", "Invalid value for '--k' / '-k': expected a whole number from 1 to 1000, seen 'ten'.",
     "as simsearch query x.jpg --k 5 --montage hits.png; simsearch query --help shows the rest"),
    ("query a.png --min-score high", "Invalid value for '--min-score': expected a number from -1 to 1, seen 'high'.",
     "as simsearch query x.jpg --k 5 --montage hits.png; simsearch query --help shows the rest"),
    ("index import v.npy --name v --target-recall 99",
     "Invalid value for '--target-recall': expected a number above 0, up to 1, seen '99'.",
     "as simsearch index import glove-100-angular.hdf5 --name glove; simsearch index import --help shows the rest"),
    ("export photos --format nyp --out o",
     "Invalid value for '--format': 'nyp' is not one of 'npy', 'ann-benchmarks', 'fvecs', 'pack', 'milvus'.",
     "simsearch export photos --format npy --out o"),
    ("query", "give IMAGE... or --vectors FILE",
     "as simsearch query x.jpg --k 5 --montage hits.png; simsearch query --help shows the rest"),
    ("compare", "Missing argument 'BUILD BUILD...'.",
     "as simsearch compare digits digits-triplet; simsearch compare --help shows the rest"),
    ("build a b", "Got unexpected extra argument (b)",
     "as simsearch build photos/ --set training.epochs=20; simsearch build --help shows the rest"),
    ("query --build", "Option '--build' requires an argument.",
     "as simsearch query x.jpg --k 5 --montage hits.png; simsearch query --help shows the rest"),
    ("build photoz/", "no recipe, recipe file or folder 'photoz/'; did you mean 'photos'?", "simsearch build photos"),
    ("build scans/", "no recipe, recipe file or folder 'scans/'",
     "check the path, of a folder of images (class/x.jpg) or a table (.csv); this is {here}"),
    ("build scans", "no recipe, recipe file or folder 'scans'", "shipped recipes: digits, "),
    ("build digitz", "no recipe, recipe file or folder 'digitz'; did you mean 'digits'?", "simsearch build digits"),
    ("build lits.csv --name x", "no recipe, recipe file or folder 'lits.csv'; did you mean 'list.csv'?",
     "simsearch build list.csv --name x"),
    ("show phtos", "no recipe, recipe file or folder 'phtos'; did you mean 'photos'?", "simsearch show photos"),
    ("build photos --set training.epoch=3",
     "folder photos: unknown key 'epoch' in [training]; did you mean 'epochs'?",
     "simsearch build photos --set training.epochs=3"),
    ("build photos --set trainin.epochs=3", "folder photos: unknown table [trainin]; did you mean 'training'?",
     "simsearch build photos --set training.epochs=3"),
    ("build photos --name Photos", "not a build name: 'Photos'; did you mean 'photos'?",
     "simsearch build photos --name photos"),
    ("query photos/a.png --build phtoos", "no build 'phtoos' in {home}; did you mean 'photos'?",
     "simsearch query photos/a.png --build photos"),
    ("query photos/a.png --build=phtoos", "no build 'phtoos' in {home}; did you mean 'photos'?",
     "simsearch query photos/a.png --build=photos"),
    ("evaluate photo", "no build 'photo' in {home}; did you mean 'photos'?", "simsearch evaluate photos"),
    ("compare photos phtos", "no build 'phtos' in {home}; did you mean 'photos'?", "builds here: photos"),
    ("clean phtos", "no build 'phtos' in {home}; did you mean 'photos'?; nothing was deleted",
     "simsearch show lists the builds"),
    ("index verify phtos", "no build 'phtos' in {home}; did you mean 'photos'?", "simsearch index verify photos"),
    ("export photoss --format npy --out o", "no build 'photoss' in {home}; did you mean 'photos'?",
     "simsearch export photos --format npy --out o"),
    ("sync photoz", "no build in {home} was made from photoz; did you mean 'photos'?", "simsearch sync photos"),
    ("index import vecs.npz --name v", "no file or folder {here}/vecs.npz; did you mean '{here}/vecs.npy'?",
     "simsearch index import {here}/vecs.npy --name v"),
    ("bench nigtly", "no matrix file 'nigtly'; did you mean 'nightly'?", "simsearch bench nightly"),
    ("bench accpt", "no matrix file 'accpt'; did you mean 'accept'?", 'simsearch bench accept --reason "..."'),
    ("query a.png --k5", "No such option '--k5'. Did you mean '--k'?", "simsearch query a.png --k 5"),
    ("query photos/w.png", "cannot read photos/w.png: no such file", "check the path"),
    ("query photos/-a.png", "cannot read photos/-a.png: no such file", "check the path"),
    ("clean Photos", "no build 'Photos' in {home}; did you mean 'photos'?; nothing was deleted",
     "simsearch show lists the builds"),
    ("bench m.toml", "m.toml, line 3: unknown key 'recipe' in [matrix]; did you mean 'recipes'? (and 1 more)",
     "legal here: factories, recipes, search, seeds, settings"),
    ("bench s.toml", "s.toml: recipe digits: unknown key 'epoch' in [training]; did you mean 'epochs'?",
     "legal here: "),
    ("build r.toml", "r.toml, line 2: unknown key 'sorce' in [dataset]; did you mean 'source'? (and 1 more)",
     "legal here: "),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, built):
    """A folder with a photos/, a list, vectors and files with mistakes; no command here gets as far as to write."""
    here = tmp_path_factory.mktemp("here")
    for name in ("photos/a.png", "photos/long-name.png", "list.csv", "vecs.npy"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).touch()
    (here / "m.toml").write_text("# a matrix\n[matrix]\nrecipe = ['digits']\n")
    (here / "s.toml").write_text("[matrix]\nrecipes = ['digits']\nsettings = ['training.epoch=3']\n")
    (here / "r.toml").write_text("[dataset]\nsorce = 'digits'\n")
    return here


@pytest.mark.parametrize(("line", "error", "hint"), SLIPS, ids=[line for line, _, _ in SLIPS])
def test_a_slip_is_answered_with_the_next_command(built, place, line, error, hint):
    done = run_cli(*line.split(), cwd=place, env={"SIMSEARCH_HOME": str(built[1])}, check=2)
    assert done.stdout == ""
    said = [one for one in done.stderr.splitlines() if one.startswith(("error: ", "hint: "))]
    assert said[0] == "error: " + error.format(home=built[1], here=place)
    assert said[1].startswith("hint: " + hint.format(home=built[1], here=place))
    if hint.startswith("simsearch"):
        assert said[1] == "hint: " + hint.format(home=built[1], here=place)


def test_a_path_with_spaces_is_quoted_for_a_shell(built, place):
    (place / "My Photos").mkdir(exist_ok=True)
    done = run_cli("build", "My Photoz", "--home", built[1], cwd=place, check=2)
    assert done.stderr.splitlines()[-1] == f"hint: simsearch build 'My Photos' --home {built[1]}"


def test_a_path_of_thousands_of_folders_that_are_not_there(built, place):
    deep = "a/" * 1990 + "x.png"
    for words in (["query", deep], ["build", deep], ["sync", deep], ["query", "--vectors", deep]):
        said = run_cli(*words, "--home", built[1], cwd=place, check=2).stderr.splitlines()
        assert [line.partition(":")[0] for line in said[-2:]] == ["error", "hint"]
    assert near_path(place / ("photoz/" + deep)) is None
    assert near_path("/" + deep) is None
    (place / "photos" / "b" / "cat").mkdir(parents=True, exist_ok=True)
    assert near_path(place / "photoz" / "b" / "cart") == str(place / "photos" / "b" / "cat")


@pytest.mark.parametrize(
    ("words", "seen", "near", "whole"),
    [
        ("query a.png --same aa.png", "aa.png", "a.png", None),
        ("query a.png ./aa.png", "./aa.png", "./a.png", None),
        ("query b.png aa.png", "aa.png", "a.png", "simsearch query b.png a.png"),
        ("compare one onee", "onee", "one", None),
        ("compare one twoo", "twoo", "two", "simsearch compare one two"),
        ("switch one onee", "onee", "one", None),
        ("switch one twoo", "twoo", "two", "simsearch switch one two"),
        ("clean onee", "onee", "one", None),
        ("clean one --dryrun", "--dryrun", "--dry-run", "simsearch clean one --dry-run"),
        ("bench accept --reason x --jsn", "--jsn", "--json", "simsearch bench accept --reason x --json"),
        ("bench accpt --reason x", "accpt", "accept", "simsearch bench accept --reason x"),
        ("query aa.png", "aa.png", "a\x1b.png", None),
    ],
)
def test_what_is_proposed(words, seen, near, whole):
    assert mended(words.split(), seen, near) == whole


@pytest.mark.parametrize(
    ("seen", "there", "near"),
    [
        ("w.png", "q.png", False),
        ("-x.png", "q.png", False),
        ("nqf.png", "q.png", False),
        ("nope.png", "ape.png", False),
        ("q.jpg", "q.png", True),
        ("cart.png", "cat.png", True),
        ("vecs.npz", "vecs.npy", True),
    ],
)
def test_which_names_are_near(tmp_path, seen, there, near):
    (tmp_path / there).touch()
    assert near_path(tmp_path / seen) == (str(tmp_path / there) if near else None)


def test_a_command_that_nobody_can_type_is_not_given(built, place):
    for name in ("name \u202e of many", "name \udcff\udce9 of many"):
        (place / f"{name}.csv").touch()
        said = run_cli("build", f"{name}s.csv", "--home", built[1], cwd=place, check=2).stderr.splitlines()
        (place / f"{name}.csv").unlink()
        assert said[0].count("did you mean") == 1
        assert said[1].startswith("hint: shipped recipes: ")
        said = run_cli("sync", name, "--home", built[1], cwd=place, check=2).stderr.splitlines()
        assert said[1].startswith("hint: simsearch build FOLDER ")


def test_a_name_as_the_folder_has_it_finds_its_build(built):
    image = built[0] / "class 0" / "00.png"
    for name in ("Photos", "PHOTOS/", " photos"):
        done = run_cli("query", image, "--build", name, "--home", built[1], check=0)
        assert done.stderr.startswith("photos: 30 images")
    shown = run_cli("show", "Photos", "--home", built[1], check=0).stdout
    assert shown == run_cli("show", "photos", "--home", built[1], check=0).stdout
    for name in ("", "..", "-"):
        assert "no build" in run_cli("query", image, f"--build={name}", "--home", built[1], check=2).stderr


@pytest.mark.parametrize(
    "words", [[], ["-h"], ["--help"], ["index"], ["index", "-h"], ["build", "-h"], ["query", "-h"]]
)
def test_help_is_no_mistake(words):
    done = run_cli(*words, check=0)
    assert done.stdout.startswith(f"Usage: {' '.join(['simsearch', *(one for one in words if one[0] != '-')])} ")
    assert "Example:" in done.stdout
    assert done.stderr == ""
