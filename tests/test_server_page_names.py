"""The page with names that are hard: quotes, markup, characters of addresses; and with no labels at all."""

from __future__ import annotations

import pytest
from browsing import browser as browser  # a fixture
from browsing import visiting
from conftest import SMALL, picture, run_cli
from serving import served

pytestmark = pytest.mark.slow
LABELS = ("it's <b>bold", '"a", (b) & c', "50 %25 ?#=+", "<img src=x onerror=alert(1)>", "名前 ñ")


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    root = tmp_path_factory.mktemp("hard")
    for label, name in enumerate(LABELS):
        (root / "photos" / name).mkdir(parents=True)
        for number in range(10):
            picture(label, number).save(root / "photos" / name / f"it's {number} & <i>.png")
    run_cli("build", root / "photos", *SMALL, "--home", root / "home", check=0)
    (root / "flat").mkdir()
    for number in range(30):
        picture(number % 3, number).save(root / "flat" / f"{number:02d}.png")
    flat = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "evaluation.map=false"]
    run_cli("build", root / "flat", *flat, "--home", root / "home", check=0)
    with served(root / "home", "photos", "flat") as server:
        yield server


def test_names_are_shown_as_they_are_and_found_again(browser, hard):
    with visiting(browser, hard) as visit:
        for label in LABELS:
            visit.tab.goto("/")
            visit.tab.wait_for_selector("#starts img")
            visit.start()
            visit.tab.click("#labels summary")
            visit.tab.fill("#find-label", label)
            assert visit.text("#labels li") == f"{label} 10"
            visit.tab.locator("#labels li input").check()
            visit.answered()
            assert set(visit.tab.locator("#hits .label").all_inner_texts()) == {label}
            visit.tab.keyboard.press("Escape")
            visit.tab.locator("#hits a").first.click()
            visit.answered()
            visit.until("document.querySelector('#called').textContent.includes('it')")
            assert f"Label: {label}" in visit.text("#called")
            rows = visit.rows()
            visit.tab.reload()
            visit.answered()
            assert visit.rows() == rows
            visit.tab.locator("#hits .more").first.click()
            visit.tab.wait_for_selector("#details h2")
            assert visit.text("#details code").startswith(f"{label}/it's ")
        assert visit.tab.locator("b, i, img:not([alt])").count() == 0
        assert visit.unexpected() == []


def test_without_labels_there_are_scores(browser, hard):
    with visiting(browser, hard, "/?build=flat") as visit:
        visit.tab.wait_for_selector("#starts img")
        assert visit.text("#about").startswith("30 pictures, ")
        visit.start()
        assert visit.text("#answer h2").startswith("The nearest scores 0.")
        assert len(visit.rows()) == 10
        assert visit.tab.locator("#labels").count() == 0
        assert visit.tab.locator("#hits > li.other").count() == 0
        assert visit.tab.get_by_role("button", name="Labels to check").count() == 0
        visit.tab.select_option("#build", "photos")
        visit.tab.wait_for_selector("#starts img")
        assert visit.text("h1") == "photos"
        assert "build=photos" in visit.tab.url
        assert visit.unexpected() == []
