"""Looking through a corpus on the page: labels to check, near-duplicates, defects, and what people say of hits."""

from __future__ import annotations

import csv
import shutil

import pytest
from browsing import browser as browser  # a fixture
from browsing import visiting
from conftest import SMALL, picture, run_cli, write_folder
from serving import served
from test_defects_patches import settings, surface
from test_page_axe import EVERY_RULE, axe

from simsearch.server.feedback import Feedback

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """(folder, home): `photos` with one wrong label and one copy, and `good-defects`, which draws where defects are."""
    root = tmp_path_factory.mktemp("doubtful")
    folder = write_folder(root / "photos", labels=5, each=10)
    picture(1, 50).save(folder / "class 2" / "wrong.png")
    shutil.copy(folder / "class 0" / "03.png", folder / "class 0" / "copy.png")
    run_cli("build", folder, *SMALL, "--home", root / "home", check=0)
    (root / "good").mkdir()
    for number in range(24):
        surface(number).save(root / "good" / f"{number:02d}.png")
    surface(7, spot=True).save(root / "bad.png")
    words = ["--method", "patch", "--false-alarms", "0.2", *settings(root), "--home", root / "home"]
    run_cli("defects", "fit", root / "good", *words, check=0)
    return root, root / "home"


@pytest.fixture
def feedback(tmp_path):
    return tmp_path / "feedback.csv"


@pytest.fixture
def server(doubtful, feedback):
    with served(doubtful[1], "photos", "good-defects", feedback=Feedback(str(feedback))) as server:
        yield server


def test_wrong_labels_and_copies_are_looked_through(browser, server):
    with visiting(browser, server, bypass_csp=True) as visit:
        visit.tab.wait_for_selector("#starts img")
        visit.tab.evaluate(axe.Axe().axe_script)
        visit.tab.get_by_role("button", name="Labels to check").click()
        first = visit.tab.locator("#suspects .entries > li").filter(has_text="class 2/wrong.png")
        assert first.locator("p").first.inner_text() == "Label class 2, neighbours say class 1"
        assert visit.tab.evaluate("document.querySelector('#suspects img').naturalWidth") == 24
        assert visit.tab.evaluate(EVERY_RULE) == []
        visit.tab.keyboard.press("Escape")
        visit.tab.get_by_role("button", name="Near-duplicates").click()
        group = visit.tab.locator("#duplicates .entries > li").filter(has=visit.tab.get_by_alt_text("copy.png"))
        assert group.inner_text().startswith("2 images: the same bytes")
        assert visit.tab.evaluate(EVERY_RULE) == []
        group.locator("a").first.click()
        visit.answered()
        assert not visit.tab.locator("#duplicates").is_visible()
        assert visit.unexpected() == []


def test_a_pack_offers_no_list_that_it_cannot_show(browser, doubtful, tmp_path):
    pack = tmp_path / "shelf.pack"
    run_cli("export", "photos", "--format", "pack", "--out", pack, "--home", doubtful[1], check=0)
    with served(tmp_path / "home", str(pack)) as server, visiting(browser, server) as visit:
        visit.tab.wait_for_selector("#starts img")
        tools = visit.tab.locator("#tools button").all_inner_texts()
        assert "Labels to check" not in tools
        visit.tab.get_by_role("button", name="Near-duplicates").click()
        visit.tab.locator("#duplicates .entries > li").filter(has=visit.tab.get_by_alt_text("copy.png")).wait_for()
        visit.tab.keyboard.press("Escape")
        visit.start()
        assert "original" not in visit.text("#hits"), "said of all of them it says nothing of any"
        assert not visit.tab.locator("#part").is_visible(), "a part is cut from the original"
        visit.tab.locator("#hits .more").first.click()
        visit.tab.get_by_text("This server has small pictures alone.").wait_for()
        assert visit.unexpected() == []


def test_defects_are_scored_and_drawn(browser, server, doubtful):
    with visiting(browser, server, "/?build=good-defects", bypass_csp=True) as visit:
        visit.tab.wait_for_selector("#starts img")
        visit.tab.evaluate(axe.Axe().axe_script)
        visit.tab.get_by_role("button", name="Defects").click()
        for path, words in ((doubtful[0] / "bad.png", "A defect."), (doubtful[0] / "good" / "03.png", "As the")):
            visit.tab.set_input_files("#defects-file", path)
            visit.until("([name]) => document.querySelector('#defects .soft').textContent === name", path.name)
            visit.until("document.querySelector('#defects .heat')")
            assert visit.text("#defects .lead").startswith(words)
            reply = server.form("/v1/builds/good-defects/defects", image=path.read_bytes()).json
            assert f"Score {reply['score']:.3f}" in visit.text("#defects")
        assert visit.tab.evaluate("document.querySelector('.heat').width") >= 96
        assert visit.tab.evaluate(EVERY_RULE) == []
        assert visit.unexpected() == []


def test_what_is_said_of_a_hit_is_written(browser, server, doubtful, feedback):
    path = doubtful[0] / "photos" / "class 3" / "04.png"
    with visiting(browser, server) as visit:
        visit.tab.set_input_files("#file", path)
        visit.answered()
        label = visit.tab.locator("#hits .label").first.inner_text()
        visit.tab.locator("#hits .more").first.click()
        visit.tab.get_by_role("button", name="Right", exact=True).click()
        visit.tab.get_by_text("Noted: right.").wait_for()
        with feedback.open() as file:
            (row,) = csv.DictReader(file)
        assert (row["label"], row["said"]) == (label, "right")
        assert (feedback.parent / row["path"]).read_bytes() == path.read_bytes()
        visit.tab.fill("#said", "class 4")
        visit.tab.get_by_role("button", name="Send").click()
        visit.tab.get_by_text("Noted: class 4.").wait_for()
        with feedback.open() as file:
            (row,) = csv.DictReader(file)
        assert (row["label"], row["said"]) == ("class 4", "wrong")
        assert visit.unexpected() == []


def test_nobody_is_asked_where_nothing_is_kept(browser, doubtful):
    with served(doubtful[1], "photos") as server, visiting(browser, server, "/?image=class 1/03.png") as visit:
        visit.answered()
        visit.tab.locator("#hits .more").first.click()
        visit.tab.wait_for_selector("#details h2")
        assert visit.tab.locator(".opinion").count() == 0
