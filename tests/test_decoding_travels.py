"""How a build's pictures were decoded: counted and said, kept in its bundle, used by its syncs and queries."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from conftest import SMALL, artifact_file, picture, run_cli, write_folder
from PIL import Image

from simsearch.images.formats import formats


def logo(number, size=24):
    image = Image.new("RGBA", (size, size), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (2 + number % 7, 4, 12 + number % 9, 20))
    return image


def manifest(home, stage):
    return json.loads(artifact_file(home, stage, "manifest.json").read_bytes())


@pytest.fixture
def logos(tmp_path):
    root = write_folder(tmp_path / "logos")
    for label in range(3):
        for number in range(3):
            logo(3 * label + number).save(root / f"class {label}" / f"logo{number}.png")
    Image.new("RGB", (24, 24), (9, 9, 9)).save(root / "class 0" / "flat.png")
    Image.open(root / "class 0" / "00.png").save(root / "class 0" / "twin.bmp")
    return root


def test_what_decoding_decided_is_counted_said_and_travels(logos, home, tmp_path):
    said = run_cli("build", logos, *SMALL, "--home", home, check=0).stderr
    for line in (
        "9 pictures light on a transparent ground",
        "1 picture decodes to one flat colour",
        "1 picture has the very pixels of another file",
    ):
        assert line in said
    facts = manifest(home, "dataset")["facts"]
    assert facts["decoded"] == {"equal pixels": 1, "on black": 9, "one flat colour": 1}
    assert facts["decoding"]["background"] == "auto"
    assert json.loads((home / "builds/logos/report.json").read_bytes())["decoded"] == facts["decoded"]
    assert "9 pictures light on a transparent ground" in (home / "builds/logos/report.html").read_text()
    bundle = json.loads(artifact_file(home, "train", "embedder.json").read_bytes())
    assert bundle["preprocessing"]["version"] == 2
    assert bundle["preprocessing"]["decoding"] == facts["decoding"]
    own = logos / "class 1" / "logo0.png"
    hit = json.loads(run_cli("query", own, "-k", "1", "--json", "--home", home, check=0).stdout)["hits"][0]
    assert hit["score"] == pytest.approx(1, abs=1e-5)
    deep = np.asarray(picture(2, 77)).astype(np.uint16) * 16
    Image.fromarray(deep).save(logos / "class 2" / "deep.tif")
    synced = run_cli("sync", "--home", home, check=0)
    assert "1 added" in synced.stdout + synced.stderr
    facts = manifest(home, "dataset")["facts"]
    assert facts["decoded"] == {"scaled from 12 bits": 1}
    assert facts["decoding"]["background"] == "auto"
    assert "1 picture scaled from 12 bits" in synced.stderr


def test_another_background_is_another_data_set_and_its_queries_know(logos, home):
    given = ["--set", "images.background=checker", "--home", home]
    run_cli("build", logos, *SMALL, *given, check=0)
    bundle = json.loads(artifact_file(home, "train", "embedder.json").read_bytes())
    assert bundle["preprocessing"]["decoding"]["background"] == "checker"
    again = run_cli("build", logos, *SMALL, *given, check=0).stderr
    assert "up to date" in again


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("images.background=pink", "expected auto, white, black, checker or #rrggbb, seen 'pink'"),
        ("images.range=[3,1]", "expected auto, full, or [low, high]"),
        ("images.max_pixels=0", "expected 1 to 2,147,483,647"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(logos, home, given, reason):
    done = run_cli("build", logos, *SMALL, "--set", given, "--home", home, check=2)
    assert reason in done.stderr


def test_once_a_plugin_is_installed_what_it_reads_is_tried_again(logos, home, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    file = logos / "class 0" / "phone.heic"
    pillow_heif.from_pillow(logo(3, 64).convert("RGB")).save(file)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        without.setattr(formats, "find_spec", lambda name: None)
        run_cli("build", logos, *SMALL, "--home", home, check=0)
        assert formats.EXTRA in artifact_file(home, "dataset", "quarantine.csv").read_text()
        assert "up to date" in run_cli("sync", "--home", home, check=0).stderr.lower()
    done = run_cli("sync", "--home", home, check=0)
    assert "1 added" in done.stdout + done.stderr
