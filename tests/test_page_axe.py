"""axe-core finds nothing on any page that the project writes: wide, narrow, light, dark, by every rule that it has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chromium import browser as browser  # a fixture
from conftest import SMALL, picture, run_cli, write_folder
from stories import HOSTILE, cell, measured, story
from test_defects_patches import settings, surface

from simsearch.bench.outputs import trend_page

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.slow

UNTRAINED = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "evaluation.map=false"]
EVERY_RULE = """async () => {
  const rules = Object.fromEntries(axe.getRules().map(rule => [rule.ruleId, {enabled: true}]));
  const found = await axe.run({resultTypes: ["violations"], rules});
  return found.violations.flatMap(rule => rule.nodes.map(node =>
    `${rule.id} (${rule.impact}): ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""


@pytest.fixture
def violations(browser, tmp_path):
    """A function that returns what axe-core says of a page, at both widths and in both schemes, all of it opened."""
    # The page's own policy lets no script run: axe is one.
    context = browser.new_context(bypass_csp=True)

    def violations(page):
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        tab, found = context.new_page(), []
        tab.goto(file.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        tab.evaluate(axe.Axe().axe_script)
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                tab.set_viewport_size({"width": width, "height": 800})
                tab.emulate_media(color_scheme=scheme)
                assert tab.evaluate("axe.getRules().length") > 90
                found += [f"{width} px, {scheme}: {words}" for words in tab.evaluate(EVERY_RULE)]
        return found

    yield violations
    context.close()


def report_of(folder, home, *settings):
    """The report page of a build of a folder."""
    run_cli("build", folder, *settings, "--home", home, check=0)
    (page,) = (home / "builds").glob("*/report.html")
    return page.read_text(encoding="utf-8")


def test_a_report_with_every_section(violations, page):
    assert violations(page) == []


def test_a_report_of_photos_with_eight_queries(violations, tmp_path, home):
    page = report_of(write_folder(tmp_path / "photos", labels=4, each=10), home, *SMALL)
    assert "8 queries" in page
    assert violations(page) == []


def test_a_report_of_a_flat_folder(violations, tmp_path, home):
    (tmp_path / "flat").mkdir()
    for number in range(20):
        picture(number % 4, number).save(tmp_path / "flat" / f"{number:02d}.png")
    page = report_of(tmp_path / "flat", home, *UNTRAINED)
    assert "cannot be told without labels" in page
    assert violations(page) == []


def test_a_report_of_defects_with_heat_maps(violations, tmp_path, home):
    for kind, count in (("good", 30), ("cut", 2), ("hole", 2)):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(count):
            surface(number + len(kind) * 100, spot=kind != "good").save(tmp_path / "set" / kind / f"{number:02d}.png")
    words = ["defects.normal=good", "defects.method=patch", "defects.false_alarms=0.1", "training.epochs=0"]
    words = [*settings(tmp_path), *(word for one in words for word in ("--set", one))]
    page = report_of(tmp_path / "set", home, *words)
    assert "Surest defects" in page
    assert "Each kind of defect" in page
    assert violations(page) == []


@pytest.mark.parametrize("kind", ["regression", "several", "pass", "first", "long names"])
def test_a_trend_page(violations, kind):
    long = measured(cell("a-recipe-of-a-name-that-no-one-would-like-to-type-" + HOSTILE[0], "IVF1024,PQ16x4fs,RFlat"))
    several = story(3)
    found = [replace(finding, cell=one.cell.name) for one in several.results[:3] for finding in several.verdict.worse]
    several = replace(several, verdict=replace(several.verdict, findings=tuple(found)))
    told = {
        "several": several,
        "regression": story(3),
        "pass": story(2, worse=False),
        "first": story(1, worse=False),
        "long names": replace(story(2), results=(long,)),
    }
    assert violations(trend_page(told[kind])) == []


def test_defects_are_found(violations):
    page = trend_page(story(1))
    broken = page.replace("</main>", '<img src="data:,"><p><a href="#verdict"></a></p></main>')
    broken = broken.replace("</style>", ".lead { color: #999; } .large { color: #767676; }</style>")
    found = " ".join(violations(broken))
    for rule in ("image-alt (critical)", "link-name (serious)", "color-contrast (serious)", "color-contrast-enhanced"):
        assert f"390 px, light: {rule}" in found
    assert '<p class="lead">' in found
