"""Recipes: a closed set of keys, one clear line for each mistake, defaults that suit the source."""

from __future__ import annotations

import tomllib

import pytest

from simsearch.errors import RecipeError, SimsearchError
from simsearch.names import build_name
from simsearch.recipe import make_recipe
from simsearch.recipe.files import find_recipe, parse_setting, recipe_lines, shipped_recipes
from simsearch.recipe.loss import LOSSES, BalancedLoss

DIGITS = {"dataset": {"source": "digits"}}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"dataset": {"source": "digits", "exlude": []}}, ["exlude", "[dataset]", "'exclude'"]),
        ({**DIGITS, "traning": {}}, ["traning", "'training'"]),
        ({**DIGITS, "loss": {"name": "l2_softmax", "margin": 0.2}}, ["margin", "[loss]"]),
        ({**DIGITS, "loss": {"name": "triplet", "alpha": 1.0}}, ["alpha", "[loss]"]),
        ({**DIGITS, "loss": {"alpah": 3.0}}, ["alpah", "'alpha'"]),
        ({**DIGITS, "loss": {"name": "arcface"}}, ["[loss]", "arcface", "l2_softmax", "pml:NAME"]),
        ({**DIGITS, "loss": {"name": "tripet"}}, ["[loss]", "'triplet'"]),
        ({**DIGITS, "loss": {"name": 3}}, ["[loss]", "3"]),
        ({**DIGITS, "loss": {"name": "triplet", "margin": 0}}, ["[loss] margin", "0"]),
        ({**DIGITS, "loss": {"name": "triplet", "mining": "easy"}}, ["[loss] mining", "easy", "semi_hard_all"]),
        ({**DIGITS, "loss": {"name": "triplet", "classes_per_batch": 1}}, ["[loss] classes_per_batch", "1"]),
        ({**DIGITS, "loss": {"name": "quadruplet", "margin2": 0.3}}, ["[loss]", "margin2 <= margin1 = 0.2", "0.3"]),
        ({**DIGITS, "loss": {"name": "quadruplet", "margin1": -1.0}}, ["[loss] margin1", "-1"]),
        ({**DIGITS, "loss": {"name": "quadruplet", "form": "text", "margin2": 0.1}}, ["[loss]", "one margin", "0.1"]),
        ({**DIGITS, "loss": {"name": "quadruplet", "classes_per_batch": 2}}, ["[loss]", "three classes", "2"]),
        ({**DIGITS, "loss": {"name": "quadruplet", "margin": 0.1}}, ["margin", "did you mean"]),
        ({**DIGITS, "loss": {"name": "pml:Multi Loss"}}, ["[loss] name", "pml:ContrastiveLoss"]),
        ({**DIGITS, "loss": {"name": "pml:ArcFaceLoss", "margin": 0.1}}, ["margin", "[loss]"]),
        ({**DIGITS, "loss": {"name": "pml:X", "options": {"a": float("nan")}}}, ["[loss] options", "nan"]),
        ({**DIGITS, "loss": {"name": "triplet", "images_per_class": 10**6}}, ["[loss] images_per_class", "65536"]),
        ({**DIGITS, "augmentation": {"crop": 0.0}}, ["[augmentation] crop", "0"]),
        ({**DIGITS, "training": {"schedule": "cosine"}}, ["[training] schedule", "cosine"]),
        ({**DIGITS, "training": {"epochs": "three"}}, ["[training] epochs", "three"]),
        ({**DIGITS, "training": {"epochs": -1}}, ["[training] epochs", "-1"]),
        ({**DIGITS, "training": {"epochs": True}}, ["[training] epochs", "True"]),
        ({**DIGITS, "training": 3}, ["[training]", "3"]),
        ({**DIGITS, "evaluation": {"k": [0]}}, ["[evaluation] k", "[0]"]),
        ({**DIGITS, "images": {"std": [0.0]}}, ["[images] std"]),
        ({**DIGITS, "images": {"interpolation": "cubic"}}, ["[images] interpolation", "cubic", "bicubic"]),
        ({**DIGITS, "images": {"crop_share": 1.1}}, ["[images] crop_share", "1.1"]),
        ({**DIGITS, "loss": {"alpha": float("nan")}}, ["[loss]", "alpha"]),
        ({"dataset": {"source": "folder:"}}, ["[dataset] source", "folder:PATH"]),
        ({}, ["[dataset]", "missing"]),
        ({**DIGITS, "index": {"factory": "HNSW0"}}, ["[index]", "HNSW0"]),
        ({**DIGITS, "index": {"factory": "IVF0,Flat"}}, ["[index]", "IVF0"]),
        ({**DIGITS, "index": {"nprobe": 3}}, ["[index]", "nprobe", "IVF"]),
        ({**DIGITS, "images": {"mean": []}}, ["[images] mean"]),
        ({"dataset": {"source": "digits", "options": {"x": float("nan")}}}, ["[dataset] options", "nan"]),
        ({"dataset": {"source": "digits", "options": {"x": [1]}}}, ["[dataset] options"]),
        ({"dataset": {}}, ["[dataset] source", "missing"]),
    ],
)
def test_mistakes_are_one_clear_line(tables, words):
    with pytest.raises(RecipeError) as seen:
        make_recipe(tables, "x.toml")
    assert "x.toml" in seen.value.message
    assert "\n" not in seen.value.message
    for word in words:
        assert word in seen.value.message, seen.value.message
    assert seen.value.hint


def test_defaults_of_digits_and_of_photos(tmp_path):
    digits = make_recipe(DIGITS, "x").resolve()
    assert (digits.embedder.backbone, digits.embedder.weights, digits.embedder.train) == ("mnist_cnn", "none", "all")
    assert (digits.images.size, digits.images.resize, digits.index.corpus) == (28, "squash", "gallery")
    photos = make_recipe({"dataset": {"source": f"folder:{tmp_path}"}}, "x").resolve()
    assert (photos.embedder.backbone, photos.embedder.weights) == ("torchvision:mobilenet_v2", "default")
    assert (photos.embedder.train, photos.index.corpus, photos.images.size) == ("head", "all", 224)
    assert photos.images.mean == [0.485, 0.456, 0.406]
    assert (photos.training.epochs, photos.training.head_learning_rate) == (40, 2e-3)
    assert photos.training.freeze_batch_norm


def test_defaults_of_fine_tuning(tmp_path):
    tables = {"dataset": {"source": f"folder:{tmp_path}"}, "embedder": {"train": "all"}}
    photos = make_recipe(tables, "x").resolve()
    assert photos.fine_tunes
    assert (photos.training.schedule, photos.training.learning_rate) == ("one_cycle", 3e-4)
    assert photos.training.head_learning_rate == 2e-3
    assert photos.training.patience == 3
    assert photos.training.freeze_batch_norm
    assert photos.augmentation.flip
    assert photos.augmentation.crop < 1
    head = photos.with_head_only()
    assert head == make_recipe({"dataset": tables["dataset"]}, "x").resolve()
    drawn = make_recipe({**tables, "embedder": {"backbone": "conv4"}}, "x").resolve()
    assert not drawn.fine_tunes
    assert drawn.augmentation.model_dump() == make_recipe(DIGITS, "x").resolve().augmentation.model_dump()
    assert not drawn.augmentation.flip


def test_quadruplet_fills_in_its_second_margin():
    def loss(**keys):
        return make_recipe({**DIGITS, "loss": {"name": "quadruplet", **keys}}, "x").resolve().loss

    assert loss(margin1=0.4).margin2 == 0.2
    assert loss(margin1=0.4, margin2=0.4).margin2 == 0.4
    assert loss(form="text").margin2 is None


def test_another_loss_has_none_of_the_keys_of_the_recipes():
    assert find_recipe("mnist", ["loss.name=triplet"]).recipe.loss.margin == 0.2
    assert find_recipe("mnist", ["loss.alpha=8.0"]).recipe.loss.alpha == 8
    with pytest.raises(RecipeError, match="alpha"):
        find_recipe("mnist", ["loss.name=triplet", "loss.alpha=8.0"])


@pytest.mark.parametrize(
    "tables",
    [
        {**DIGITS, "images": {"mean": [0.1, 0.2]}},
        {**DIGITS, "embedder": {"backbone": "torchvision:alexnet"}},
        {**DIGITS, "embedder": {"weights": "default"}},
        {**DIGITS, "embedder": {"backbone": "conv4", "weights": "default"}},
        {**DIGITS, "embedder": {"train": "head"}, "augmentation": {"shift": 1}},
        {**DIGITS, "embedder": {"train": "head"}, "training": {"rotate_classes": True}},
        {**DIGITS, "embedder": {"train": "head"}, "training": {"head_learning_rate": 0.1}},
        {**DIGITS, "embedder": {"train": "head"}, "training": {"freeze_batch_norm": True}},
        {**DIGITS, "training": {"head_first": True}},
        {**DIGITS, "augmentation": {"shift": 14}},
        {**DIGITS, "images": {"size": 200}},
        {**DIGITS, "images": {"order": "bgr"}},
        {**DIGITS, "images": {"crop_share": 0.9}},
        {**DIGITS, "images": {"resize": "crop", "crop_share": 0.9}},
        {**DIGITS, "images": {"interpolation": "lanczos", "antialias": False}},
    ],
)
def test_what_only_resolving_can_refuse(tables):
    with pytest.raises(SimsearchError):
        make_recipe(tables, "x").resolve()


@pytest.mark.parametrize(
    "tables",
    [
        DIGITS,
        {"dataset": {"source": "folder:x"}},
        {"dataset": {"source": "folder:x"}, "embedder": {"train": "all"}},
        {"dataset": {"source": "table:x.csv", "columns": {"path": "f"}}, "training": {"learning_rate": 0.01}},
        {**DIGITS, "embedder": {"train": "head"}, "index": {"target_recall": 0.9}, "training": {"epochs": 0}},
        {**DIGITS, "loss": {"name": "quadruplet", "form": "text"}, "index": {"factory": "IVF8,Flat", "nprobe": 2}},
        {**DIGITS, "loss": {"name": "pml:ContrastiveLoss", "options": {"pos_margin": 0.1}}},
    ],
)
@pytest.mark.parametrize("explained", [False, True])
def test_a_resolved_recipe_as_it_is_printed_is_that_recipe(tables, explained):
    resolved = make_recipe(tables, "x").resolve()
    printed = "\n".join(recipe_lines(resolved.model_dump(), explained=explained))
    assert make_recipe(tomllib.loads(printed), "printed").resolve() == resolved


def test_settings_are_toml_or_text():
    assert parse_setting("training.epochs=3") == ("training", "epochs", 3)
    assert parse_setting("evaluation.k=[1, 2]") == ("evaluation", "k", [1, 2])
    assert parse_setting("embedder.weights=a b.pth") == ("embedder", "weights", "a b.pth")
    assert parse_setting("loss.learn_alpha=true") == ("loss", "learn_alpha", True)
    assert parse_setting("dataset.source=folder:x = y\nz = 1")[2] == "folder:x = y\nz = 1"
    for wrong in ("epochs=3", "training.epochs", ".x=1", "training.=1"):
        with pytest.raises(RecipeError):
            parse_setting(wrong)


def test_a_shipped_name_wins_over_a_folder(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_recipe("digits", []).recipe.dataset.source == "digits"
    assert find_recipe("./digits", []).recipe.dataset.source == f"folder:{tmp_path / 'digits'}"


def test_relative_paths_start_at_the_recipe_or_at_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "r.toml").write_text(
        '[dataset]\nsource = "folder:photos"\n[embedder]\nweights = "w.safetensors"\n'
    )
    monkeypatch.chdir(tmp_path)
    recipe = find_recipe("deep/r.toml", []).recipe
    assert recipe.dataset.source == f"folder:{tmp_path}/deep/photos"
    assert recipe.embedder.weights == f"{tmp_path}/deep/w.safetensors"
    assert find_recipe("deep/r.toml", ["embedder.weights=v.pth"]).recipe.embedder.weights == f"{tmp_path}/v.pth"


def test_what_is_no_recipe(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(RecipeError, match="is a picture"):
        find_recipe(str(tmp_path / "x.png"), [])
    with pytest.raises(RecipeError, match="did you mean 'digits'"):
        find_recipe("digit", [])


@pytest.mark.parametrize(
    "text",
    ["x = " + "9" * 5000, "x = " + "[" * 5000, "[dataset\n", '[dataset]\nsource = "folder:a\\u0000b"\n', "\ud800"],
)
def test_hostile_recipe_files(tmp_path, text):
    (tmp_path / "r.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RecipeError):
        find_recipe(str(tmp_path / "r.toml"), [])


def test_hostile_settings():
    assert parse_setting("training.epochs=" + "9" * 5000)[2] == "9" * 5000
    assert parse_setting("training.epochs=" + "[" * 5000)[2] == "[" * 5000
    with pytest.raises(RecipeError, match="no recipe"):
        find_recipe("~nobody-of-that-name/x", [])


def test_a_build_name_never_ends_in_json():
    assert build_name("v1.json") == "v1"


def test_build_names_are_legal():
    assert build_name("My Photos (2)") == "my-photos-2"
    assert build_name("...") == "build"
    assert build_name("Ünïcode") == "n-code"
    assert len(build_name("a" * 100)) == 64


def test_every_shipped_recipe_is_valid_short_and_headed():
    recipes = shipped_recipes()
    assert set(recipes) >= {"digits", "mnist", "mnist-2d", "mnist-triplet", "fashion-mnist", "folder", "omniglot"}
    for name, path in recipes.items():
        lines = path.read_text().splitlines()
        assert len(lines) <= 30, name
        assert lines[0].startswith("# "), name
        assert any("simsearch build" in line for line in lines if line.startswith("#")), name
        make_recipe(tomllib.loads(path.read_text()), name).resolve()


def test_what_a_loss_says_of_itself():
    """Training asks the table, and guesses nothing from its keys."""
    assert {name for name, table in LOSSES.items() if table.raw} == {"softmax"}
    balanced = {name for name, table in LOSSES.items() if issubclass(table, BalancedLoss)}
    assert balanced == {name for name, table in LOSSES.items() if "classes_per_batch" in table.model_fields}
    for name in LOSSES:
        given = "pml:ContrastiveLoss" if name == "pml" else name
        loss = make_recipe({"dataset": {"source": "digits"}, "loss": {"name": given}}, "here").loss
        assert type(loss) is LOSSES[name]


@pytest.mark.parametrize(
    ("setting", "said", "hint"),
    [
        ("training.epochs=viele", "expected a whole number, 0 to 100000, seen 'viele'", "as --set training.epochs=20"),
        ("training.epochs=-1", "expected a whole number, 0 to 100000, seen -1", "as --set training.epochs=20"),
        (
            "images.resize=foo",
            'expected "squash" or "crop" or "pad" or "center_crop" or "floor_crop", seen \'foo\'',
            "as --set images.resize=squash",
        ),
        ("loss.alpha=0", "expected a number, above 0, seen 0", "as --set loss.alpha=16.0"),
        ("dataset.test_classes=x", "expected a whole number or number, seen 'x'", "as --set dataset.test_classes=0.5"),
        ("dataset.follow_links=no", "expected true or false, seen 'no'", "as --set dataset.follow_links=false"),
        ("evaluation.k=3", "expected a list of whole number, seen 3", "as --set 'evaluation.k=[1, 5, 10]'"),
    ],
)
def test_a_value_that_does_not_fit_is_answered_in_words(setting, said, hint):
    with pytest.raises(RecipeError) as seen:
        find_recipe("digits", [setting])
    assert said in seen.value.message
    assert seen.value.hint == hint


def test_a_table_that_is_none_text_without_quotes_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text, hint in (
        ("a.toml", "dataset = 3", "its keys follow a line [dataset], or are given as --set dataset.KEY=VALUE"),
        ("b.toml", "[dataset]\nsource = folder:photos # mine", 'text needs quotes: source = "folder:photos"'),
        ("c.jpg", "any", "simsearch query c.jpg, or simsearch build ."),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(RecipeError) as seen:
            find_recipe(name, [])
        assert seen.value.hint == hint
