"""Masks beside pictures: which is whose, and the figures of pixels that a fit by patches writes."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from conftest import run_cli
from pages import Reader
from PIL import Image
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score
from test_defects_patches import settings, surface, told_of

import simsearch
from simsearch.defects.maps import enlarged
from simsearch.images.sources.masks import masks_of
from simsearch.images.thumbnails import ThumbnailReader

PATCH = ["--method", "patch", "--false-alarms", "0.2"]


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("test/cut/000.png", "ground_truth/cut/000_mask.png"),  # MVTec
        ("cut/000.jpg", "masks/cut/000.png"),  # magnetic tiles
        ("cut/images/000.jpg", "cut/Masks/000.png"),
        ("set/test/cut/000.jpg", "set/ground_truth/cut/000.png"),
        ("test/cut/deep/000.jpg", "masks/test/cut/deep/000.bmp"),
        ("cut/000.jpg", "cut/masks/000.png"),
        ("000.jpg", "masks/000_mask.png"),
    ],
)
def test_a_mask_has_the_name_and_the_folders_of_its_picture(tmp_path, image, mask):
    touch(tmp_path, image, mask)
    assert masks_of(str(tmp_path), [image]) == {image: mask}


def test_what_is_no_mask_of_a_picture(tmp_path):
    images = ["cut/000.jpg", "hole/000.jpg", "hole/001.jpg", "crack/002.jpg", "crack/003.jpg"]
    touch(tmp_path, *images)
    touch(tmp_path, "masks/000.png", "masks/hole/002.png", "others/crack/002.png", "masks/crack/003.txt")
    assert masks_of(str(tmp_path), images) == {}, "several claim the first; others lie or are called otherwise"
    assert masks_of(str(tmp_path), images[:1]) == {"cut/000.jpg": "masks/000.png"}


def spots(number):
    """A defective surface with its mask: one spot of 8 x 8 and a lighter one of 16 x 4."""
    values = np.asarray(surface(number, spot=True)).copy()
    values[8:24, 12:16] = 60
    mask = np.zeros(values.shape, dtype=np.uint8)
    mask[40:48, 56:64] = mask[8:24, 12:16] = 255
    return Image.fromarray(values), Image.fromarray(mask)


@pytest.fixture(scope="module")
def like_mvtec(tmp_path_factory):
    """(folder of train/good, test/KIND and ground_truth/cut, home of the build set-defects of it)."""
    root = tmp_path_factory.mktemp("masks")
    for place, numbers in (("train/good", range(24)), ("test/good", range(200, 205)), ("test/odd", range(300, 302))):
        (root / "set" / place).mkdir(parents=True)
        for number in numbers:
            surface(number, spot="odd" in place).save(root / "set" / place / f"{number:03d}.png")
    for place in ("test/cut", "ground_truth/cut"):
        (root / "set" / place).mkdir(parents=True)
    for number in range(3):
        picture, mask = spots(400 + number)
        picture.save(root / "set" / "test" / "cut" / f"{number:03d}.png")
        mask.save(root / "set" / "ground_truth" / "cut" / f"{number:03d}_mask.png")
    done = run_cli("defects", "fit", root / "set", *PATCH, *settings(root), "--home", root / "home", check=0)
    return root / "set", root / "home", done.stderr


def heats(folder, home):
    """(heat, mask) of each tried picture whose defects are known, normal ones first, by the detector that answers."""
    with simsearch.open_detector("set-defects", home=str(home)) as detector:
        scorer = detector._scorer
        for path in [*sorted((folder / "test" / "good").iterdir()), *sorted((folder / "test" / "cut").iterdir())]:
            pixels = np.asarray(Image.open(path))
            mask = np.zeros(pixels.shape, dtype=bool)
            if path.parent.name == "cut":
                mask = np.asarray(Image.open(folder / "ground_truth" / "cut" / f"{path.stem}_mask.png")) > 0
            heat, _ = scorer._bank.look(scorer._mapper.maps(pixels))
            assert scorer._bank.before > 0.2
            yield enlarged(heat, *pixels.shape, scorer._bank.before), mask


def test_figures_of_pixels_are_a_slow_loop(like_mvtec):
    folder, home, said = like_mvtec
    told = told_of(home, "set-defects")
    found = told["pixels"]
    assert (found["pictures"], found["regions"]) == (8, 6), "two defective ones have no mask"
    pairs = list(heats(folder, home))
    scores, inside = (np.concatenate([one[part].ravel() for one in pairs]) for part in (0, 1))
    assert found["auroc"] == pytest.approx(roc_auc_score(inside, scores), abs=1e-3)
    regions = [
        heat[label(mask, np.ones((3, 3)))[0] == number] for heat, mask in pairs for number in (1, 2) if mask.any()
    ]
    outside, curve = np.sort(scores[~inside]), [(0.0, 0.0)]
    for threshold in np.quantile(scores, np.linspace(1, 0, 4000)):
        rate = (len(outside) - np.searchsorted(outside, threshold)) / len(outside)
        curve.append((rate, np.mean([(region >= threshold).mean() for region in regions])))
    rates, overlaps = np.array(curve).T
    at = np.linspace(0, 0.3, 3001)
    assert found["pro"] == pytest.approx(np.interp(at, rates, overlaps).mean(), abs=2e-3)
    assert 0.5 < found["pro"] < found["auroc"] < 1
    line = f"Pixel AUROC {found['auroc']:.3f}, PRO {found['pro']:.3f}, by the masks of 6 defective places in 8 pictures"
    assert line in said
    assert told["test"]["defective"] == 5


def test_scores_are_those_that_are_answered(like_mvtec):
    folder, home, _ = like_mvtec
    told = told_of(home, "set-defects")
    with simsearch.open_detector("set-defects", home=str(home)) as detector:
        asked = [sorted((folder / "test" / kind).iterdir()) for kind in ("good", "cut", "odd")]
        good, cut, odd = ([one.score for one in detector.score(paths)] for paths in asked)
    assert sorted(told["scored"]["normal"]["scores"]) == sorted(good)
    assert sorted(told["scored"]["defective"]["scores"]) == sorted([*cut, *odd])


def test_a_changed_mask_is_seen_and_one_of_another_size_is_said(like_mvtec):
    folder, home, _ = like_mvtec
    words = ["defects", "fit", folder, *PATCH, *settings(folder.parent), "--home", home]
    before = told_of(home, "set-defects")
    assert "up to date" in run_cli(*words, check=0).stderr
    place = folder / "ground_truth" / "cut" / "001_mask.png"
    kept = place.read_bytes()
    Image.new("L", (40, 96), 255).save(place)
    said = run_cli(*words, check=0).stderr
    assert (
        "warning: 1 mask cannot be compared, nor its picture: ground_truth/cut/001_mask.png is 40 x 96 px, its picture "
        "96 x 96 px" in said
    )
    assert told_of(home, "set-defects")["pixels"]["regions"] == 4
    place.write_bytes(kept)
    run_cli(*words, check=0)
    assert told_of(home, "set-defects") == before


def test_without_masks_nothing_is_said_of_pixels(tmp_path):
    for kind, count in (("good", 24), ("bad", 2)):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(count):
            surface(number, spot=kind == "bad").save(tmp_path / "set" / kind / f"{number:02d}.png")
    words = ["defects", "fit", tmp_path / "set", "--normal", "good", *PATCH, *settings(tmp_path)]
    words += ["--set", "training.epochs=0", "--home", tmp_path / "home"]
    done = run_cli(*words, check=0)
    assert told_of(tmp_path / "home", "set-defects")["pixels"] is None
    assert "Pixel" not in done.stderr
    assert "Pixel" not in (tmp_path / "home" / "builds" / "set-defects" / "report.html").read_text()
    (tmp_path / "set" / "masks" / "bad").mkdir(parents=True)
    spots(0)[1].save(tmp_path / "set" / "masks" / "bad" / "00.png")
    assert "masks may hold masks" in run_cli(*words, check=0).stderr
    assert told_of(tmp_path / "home", "set-defects")["pixels"] is None, "it is taken for a picture"
    words += ["--set", 'dataset.exclude=["masks/**"]']
    run_cli(*words, check=0)
    found = told_of(tmp_path / "home", "set-defects")["pixels"]
    assert found["regions"] == 2
    assert (
        json.loads(run_cli(*words, "--set", 'dataset.exclude=["masks/**"]', "--json", check=0).stdout)["pixels"]
        == found
    )


def section_of(home, name):
    """The words of the section on defects of a build's report, and all of the page."""
    page = (home / "builds" / name / "report.html").read_text(encoding="utf-8")
    start = page.index('<section id="defects"')
    read = Reader(page[start : page.index("</section>", start)] + "</section>")
    return " ".join(" ".join(read.words).split()), read, page


def test_the_report_shows_figures_curves_and_places(like_mvtec):
    _, home, _ = like_mvtec
    told = told_of(home, "set-defects")
    words, read, page = section_of(home, "set-defects")
    figures = told["pixels"]
    assert f"Pixel AUROC {figures['auroc']:.3f}, PRO {figures['pro']:.3f}" in words
    assert [one["id"] for one in read.all("title")] == ["defect-scores-title", "defect-roc-title"]
    for kind, images in (("cut", 3), ("odd", 2)):
        found = told["test"]["kinds"][kind]["found"]
        assert (found["images"], found["share"]) == (images, 1)
        assert f"{kind} {images} 1.000 1.000 to 1.000 100.0 % 100.0 % to 100.0 %" in words
    for title in (
        "Nearest to the threshold",
        "Surest defects",
        "Surest normal ones",
        "Most unusual of the normal ones",
    ):
        assert title in words
    assert "Defective, and called normal" not in words, "all are found"
    assert "A blue line in the picture" in words
    shown = {one["href"][1:] for one in read.all("use")}
    assert shown == {f"{kind}{row}" for kind in "sh" for row in told["drawn"]}
    assert 5 < len(told["drawn"]) <= 24
    for name in shown:
        assert page.count(f'<symbol id="{name}"') == 1, "embedded once, however often it is shown"
    assert len(page) < 1_000_000


def test_the_places_that_are_drawn_are_hot_where_the_spot_is(like_mvtec):
    _, home, _ = like_mvtec
    told = told_of(home, "set-defects")
    digest = json.loads((home / "builds" / "set-defects.json").read_bytes())["stages"]["defects"]["digest"]
    hot = told["scored"]["defective"]["rows"][0]
    at = told["drawn"].index(hot)
    with ThumbnailReader(home / "artifacts" / "defects" / digest) as drawn:
        assert len(drawn) == 2 * len(told["drawn"])
        plain, heat = (np.asarray(Image.open(io.BytesIO(drawn[2 * at + one]))).astype(int) for one in (0, 1))
    assert plain.shape == heat.shape == (96, 96, 3)
    assert (heat[44, 60] - heat[44, 60].min()).max() > 60, "coloured at the spot"
    assert np.ptp(heat[80, 10]) < 30, "and not far from it"
    assert np.ptp(plain[44, 60]) < 30
    blue = plain[:, :, 2] - plain[:, :, 0] > 40
    assert blue[38:40, 58:62].any(), "its mask has an outline"
    assert not blue[60:, :30].any()
