"""The page is sound HTML, loads and runs nothing, and is small; what is missing is left out; its colours contrast."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest
from pages import SECTIONS, G, Q, Reader, measure

from simsearch.report.sections.document import render_page


def test_the_page_is_sound(page):
    read = Reader(page)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in (a for _, a in read.elements):
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(ids)
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        if attributes.get("role") == "img":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
    tags = [tag for tag, _ in read.elements]
    assert [tags.count(tag) for tag in ("h1", "header", "nav", "main", "footer")] == [1] * 5
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert [a["id"] for a in read.all("section")] == SECTIONS
    first_link = next(a for a in read.all("a"))
    assert first_link["class"] == "skip"
    # Figures can be copied: real tables, each in a box that scrolls by itself and can be reached by keyboard.
    assert tags.count("table") == page.count('<div class="scroll" role="region" tabindex="0" aria-label="') >= 8
    assert tags.count("caption") == tags.count("table")
    assert not re.search(r"<th[^>]*></th>", page)
    # Every chart has its table.
    charts = [a for a in read.all("svg") if a.get("class", "").startswith("chart")]
    assert len(charts) == 7
    assert page.count("as a table</summary>") == 6  # one for both maps
    assert page.count("How many photos in the gallery?") == 1


def test_nothing_is_loaded_and_nothing_runs(page):
    read = Reader(page)
    for tag, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert "style" not in attributes
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            linked = r"|\.\./photos/[\w.%~-]+$" if tag == "a" else ""  # the file of a picture: followed when clicked
            assert re.match(rf"#|data:(image/webp|application/json);base64,{linked}", attributes.get(name, "#")), (
                tag,
                attributes,
            )
    assert [a.get("type") for a in read.all("script")] == ["application/json"]
    policy = next(a["content"] for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in read.elements}
    css = "".join(re.findall("<style>(.*?)</style>", page, re.S))
    assert "@import" not in css
    assert "url(" not in css
    assert {"prefers-color-scheme: dark", "prefers-reduced-motion", "@media print"} <= set(
        re.findall(r"prefers-color-scheme: dark|prefers-reduced-motion|@media print", css)
    )


def test_each_picture_is_embedded_once(arguments):
    asked = []

    def picture(row):
        asked.append(row)
        return None if row % 7 == 0 else b"RIFF" + str(row).encode()

    page = render_page(**{**arguments, "picture": picture})
    assert len(asked) == len(set(asked)) > 50
    embedded = re.findall(r"data:image/webp;base64,([^\"]+)", page)
    assert len(embedded) == len(set(embedded)) == sum(row % 7 != 0 for row in asked)
    assert page.count('<use href="#p') > len(embedded)
    assert '<span class="pic none">' in page
    Reader(page)


def test_size_is_bounded(arguments):
    random = np.random.default_rng(0)
    total = 20_000
    projection = {
        "rows": np.sort(random.choice(total, 5000, replace=False)),
        "before": random.normal(size=(5000, 2)),
        "after": random.normal(size=(5000, 2)),
    }
    labels = [f"label {i}" for i in random.integers(0, 300, total)]
    photos = {row: random.bytes(4000) for row in range(G + Q)}
    changed = {**arguments, "projection": projection, "labels": labels, "picture": photos.get}
    assert len(render_page(**changed).encode()) < 2_500_000
    page = render_page(**{**changed, "picture": lambda row: photos[row] * 10})
    assert len(page.encode()) < 4_000_000
    assert "left out to keep this file small" in page
    # Digits: some 110 bytes a picture.
    small = render_page(**{**changed, "picture": lambda row: photos[row][:110]})
    assert len(small.encode()) < 1_500_000


@pytest.mark.parametrize("options", [{"labels": None}, {"baseline": False}, {"labels": np.zeros(G + Q, int)}])
def test_what_is_missing_is_left_out(options):
    arguments = measure(**options)
    read = Reader(render_page(**arguments))
    sections = [a["id"] for a in read.all("section")]
    assert [name for name in SECTIONS if name in sections] == sections
    assert {"good", "index", "data", "made"} <= set(sections)
    assert [a["href"][1:] for a in read.all("a") if a.get("href", "").startswith("#")][1:] == sections
    shown = "".join(read.words)
    assert "None" not in shown
    assert "nan" not in shown.lower().replace("finance", "")
    if options.get("labels", 0) is None:
        assert set(sections) == {"good", "index", "map", "data", "made"}, "a section with nothing to show is left out"
        assert "cannot be told without labels" in shown
        assert "one folder a label" in shown
        assert not [a for a in read.all("strong") if a.get("class", "").startswith("badge")]
        assert "Held" not in shown
        assert "normalized embeddings" not in shown
        assert "wrong" not in shown.replace("right or wrong", "")


def test_a_bare_report_is_a_page(arguments):
    bare = {
        key: arguments["report"][key] for key in ("build", "queries", "gallery", "classes", "k", "systems", "index")
    }
    bare |= {"comparisons": [], "summary": "Nothing more."}
    nothing = {"picture": lambda row: None, "name": str, "labels": [], "facts": {}, "details": {}, "projection": None}
    Reader(render_page(report=bare, **nothing))


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_the_colours():
    css = files("simsearch.page").joinpath("colours.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    )
    assert set(light) == set(dark)
    for colours in (light, dark):
        for back in (colours["bg"], colours["panel"]):
            for name in ("ink", "soft", "link", "good", "bad"):
                assert contrast(colours[name], back) >= 7, name
        for name in ("edge", "other", *(f"c{i}" for i in range(8))):
            assert contrast(colours[name], colours["bg"]) >= 3, name
