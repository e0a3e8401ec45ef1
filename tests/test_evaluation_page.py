"""The report page: sound HTML, hostile names, verdicts, sizes, contrast; in a headless browser where there is one."""

import base64
import copy
import itertools
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from simsearch.evaluation.projection import project
from simsearch.evaluation.report import Features, evaluate
from simsearch.page.html import one_in, p_value, short, text
from simsearch.report.sections import render_page
from simsearch.report.sections.answer import verdict
from simsearch.report.sections.errors import chosen_labels, maps
from simsearch.report.sections.scores import _sentence as norms_sentence
from simsearch.report.sections.table import best_systems, systems
from simsearch.vectors.index import build
from simsearch.vectors.normalize import normalize

G, Q, D, C, V = 220, 100, 8, 10, 60
LABELS = np.random.default_rng(0).integers(0, C, G + Q)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]>",
    "\u202egnp.exe",
    "a\x1b[31mb\nc",
    "' onclick='alert(1)",
    "</script><b>x",
    "&amp;",
    "lone \ud800 surrogate",
    "a-rather-long-label-without-a-space-that-has-to-break-somewhere",
]
SECTIONS = ["verdict", "see", "errors", "scores", "map", "systems", "index", "data", "made"]


class Array:
    def __init__(self, seed, noise):
        random = np.random.default_rng(seed)
        centres = np.random.default_rng(9).standard_normal((C, D))
        self.features = (centres[LABELS] + noise * random.standard_normal((G + Q, D))).astype(np.float32)

    @property
    def shape(self):
        return self.features.shape

    def read(self, start, stop):
        return self.features[start:stop].copy()


def measure(labels=LABELS, baseline=True, names=HOSTILE):
    recipe, before = Array(1, 0.8), Array(2, 0.9)
    found = evaluate(
        build="digits",
        features=Features(recipe, before if baseline else None, Array(3, 0.9) if baseline else None),
        gallery=G,
        query_rows=np.arange(G, G + Q),
        labels=labels,
        label_names=names,
        val_rows=np.arange(G - V, G),
        twins=np.array([[0, 3], [5, 7]]),
        index=build(lambda: [recipe.features[:G]], D, "Flat"),
        index_bytes=123,
        ks=[1, 5, 10],
    )
    rows = json.loads(json.dumps([found.report, found.details, found.false_accepts]))
    projection = project(before.features if baseline else None, normalize(recipe.features), labels)
    return {
        "report": rows[0],
        "details": rows[1],
        "projection": projection,
        "picture": lambda row: b"RIFF" + bytes([row % 256, row // 256]) * 40,
        "name": lambda row: f"{HOSTILE[row % C]}/{row}.png",
        "labels": [""] * (G + Q) if labels is None else [names[i] for i in labels],
        "facts": {
            "when": "2026-11-22T01:04:45",
            "recipe_toml": '[dataset]\nsource = "<digits>"\n',
            "stages": [{"name": "train", "digest": "ab" * 32, "seconds": 3.5}],
            "versions": {"numpy": "2.4", "evil": HOSTILE[0]},
            "machine": "2 cores",
            "command": "simsearch build 'a b' --set x=\"1\"",
            "quarantine": [[HOSTILE[0], HOSTILE[1]]],
            "counts": {"images": G + Q, "fit": 100, "val": V},
            "far": rows[2],
            "milliseconds": 3.14,
        },
    }


@pytest.fixture(scope="module")
def arguments():
    return measure()


@pytest.fixture(scope="module")
def page(arguments):
    return render_page(**arguments)


class Reader(HTMLParser):
    """Reads a page strictly: every element closed in order; collects elements, text and ids."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.words, self.json = [], [], [], ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), "an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.json += data
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


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
    assert len(charts) == 6
    assert page.count("as a table</summary>") == 5  # one for both maps


def test_nothing_is_loaded_and_nothing_runs(page):
    read = Reader(page)
    for tag, attributes in read.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert "style" not in attributes
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            assert re.match(r"#|data:(image/webp|application/json);base64,", attributes.get(name, "#")), (
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


def test_hostile_names_are_shown_and_do_nothing(page, arguments):
    read = Reader(page)
    shown = "".join(read.words)
    for name in HOSTILE[:3] + HOSTILE[5:8]:
        assert name in shown
    assert "\\u202egnp.exe" in shown
    assert "a\\x1b[31mb\\x0ac" in shown
    assert "lone \\ud800 surrogate" in shown
    page.encode("utf-8")
    assert not set(page) & set("\x1b\u202e\ud800\x00")
    assert not read.all("img")
    assert 'source = "<digits>"' in shown
    labels = [a["aria-label"] for a in read.all("svg") if a.get("class") == "pic"]
    assert any(label.startswith('"><img src=x onerror=alert(1)>, "><img') for label in labels)
    # report.json is embedded whole, and offered to be saved.
    assert json.loads(read.json) == arguments["report"]
    link = next(a for a in read.all("a") if a.get("download"))
    assert link["download"] == "report.json"
    assert json.loads(base64.b64decode(link["href"].partition(",")[2])) == arguments["report"]


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


def test_strips_name_what_is_wrong(page, arguments):
    entries = arguments["details"]["neighbours"]
    assert page.count('<figure class="strip">') == len(entries) == 24
    wrong = sum(hit["label"] != entry["label"] for entry in entries for hit in entry["hits"])
    assert page.count('<li class="tile wrong">') == page.count("<b>wrong</b>") == wrong > 0
    assert page.index("Typical queries") < page.index("Boundary queries") < page.index("The worst queries")


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


def changed(report, entry=None, **errors):
    """The report with another first comparison, and other boundary errors of systems."""
    report = copy.deepcopy(report)
    report["comparisons"][0] |= entry or {}
    for system, error in errors.items():
        report["systems"][system.replace("_", "/", 1)]["cross_boundary_error"]["10"]["boundary"] = error
    return report


def test_verdicts(arguments):
    report = arguments["report"]
    better = {"difference": -0.11, "interval": [-0.14, -0.08], "p_value": 0.0001, "n": 100}
    held = verdict(changed(report, better, recipe_index=0.31, recipe_cosine=0.31, baseline_cosine=0.4))
    assert '<strong class="badge held">held</strong>' in held
    assert "31.0\u00a0% of the nearest 10 have another label" in held
    assert "difference -11.0 points [-14.0, -8.0], p < .001, n = 100, one seed." in held
    for entry in (
        {"difference": -0.01, "interval": [-0.03, 0.01], "p_value": 0.3},
        {"difference": -0.01, "interval": [-0.03, 0.01], "p_value": 0.04},
    ):
        words = verdict(changed(report, entry, recipe_cosine=0.3, baseline_cosine=0.4))
        assert '<strong class="badge">not shown</strong>' in words
        assert "no difference seen." in words.split("</p>")[1]
    worse = {"difference": 0.1, "interval": [0.05, 0.15], "p_value": 0.0001}
    for error in (0.3, 0.5):
        words = verdict(changed(report, worse, recipe_cosine=error, baseline_cosine=0.4))
        assert '<strong class="badge opposite">the opposite</strong>' in words
        assert "; that is MORE errors." in words
    alone = verdict(changed(report, better, recipe_cosine=0.31, baseline_cosine=0.31))
    assert "not shown" in alone
    assert alone.index("Normalization alone does as well as the recipe") < alone.index("On the hardest tenth")
    seeds = verdict(changed(report, {**better, "seeds": 5, "interval": None}))
    assert "5 seeds" in seeds
    none = verdict({**report, "comparisons": [], "summary": "Only <this>."})
    assert "not shown" in none
    assert "Only &lt;this&gt;." in none


def test_the_verdict_is_about_the_most_seeds(arguments):
    one = {"difference": -0.11, "interval": [-0.14, -0.08], "p_value": 0.0001}
    report = changed(arguments["report"], one, recipe_cosine=0.3, baseline_cosine=0.4)
    test = {"n": 5, "seeds": 5, "test": "paired t over seeds"}
    first = {**report["comparisons"][0], **test, "difference": -0.01, "interval": [-0.03, 0.01], "p_value": 0.2}
    other = {**first, "baseline": "baseline/cosine", "difference": 0.02, "interval": None, "p_value": None}
    report["comparisons"] += [first, other]
    figure = {"mean": 0.25, "interval": None, "values": [0.25] * 5}
    figures = {"recall@1": {"mean": 0.9, "interval": [0.8, 1.0], "values": [0.85, 0.95]}, "error@10 boundary": figure}
    systems = dict.fromkeys(("recipe/index", "baseline/raw-l2"), figures)
    report["seeds"] = {"count": 5, "training_seeds": [7, 8, 9, 10, 11], "systems": systems}
    words = verdict(report)
    assert '<strong class="badge">not shown</strong>' in words
    assert "mean over seeds 25.0\u00a0% of the nearest 10" in words
    assert "difference -1.0 points [-3.0, +1.0], p = .200, 5 seeds; no difference seen." in words
    assert "(baseline/cosine): +2.0 points, no test, 5 seeds; no difference seen." in re.sub(" +", " ", words)
    page = render_page(**{**arguments, "report": report})
    Reader(page)
    assert "5 seeds (7, 8, 9, 10, 11)" in page
    assert "0.9000<br><small>[0.800, 1.000]</small><br><small>0.8500 0.9500</small>" in page
    by_query, by_seed = page.split("Paired comparisons, query by query</caption>")[1].split("seed by seed</caption>")
    assert "paired t over seeds" not in by_query
    assert by_seed.split("</table>")[0].count("paired t over seeds") == 2


def test_the_sentence_about_norms_never_contradicts_itself(arguments):
    def said(short, middle, long, pairs=100):
        areas = {"short": short, "middle": middle, "long": long}
        buckets = {name: {"same": pairs, "different": 100} for name in areas}
        figures = {name: {"roc_auc": area} for name, area in areas.items()}
        return norms_sentence({"norm_buckets": {"baseline": figures, "buckets": buckets}})

    assert "pairs are all alike" in said(0.9, 0.9, 0.90001)
    assert "short-short pairs are the worst, as" in said(0.8, 0.9, 0.9)
    assert "short-short and middle-middle pairs are the worst, and alike" in said(0.8, 0.8, 0.9)
    assert "not the worst: middle-middle and long-long pairs are" in said(0.9, 0.8, 0.8)
    assert "too few pairs to tell" in said(0.8, 0.9, 0.9, 99)
    assert "too few pairs to tell" in said(0.8, 0.9, None)


def test_copies_are_told_apart_from_scores(arguments):
    report = copy.deepcopy(arguments["report"])
    found = report["near_duplicates"]
    found |= {"queries": 93, "pairs": [{"row": 1, "other_row": 2, "kind": "score", "score": 0.9995}]}
    found["by_kind"] = {
        "hash": {"queries": 2, "without": {**found["without"], "queries": 98}},
        "score": {"queries": 92, "without": {**found["without"], "queries": 8}},
    }
    page = render_page(**{**arguments, "report": report})
    assert (
        "2 queries have a near-duplicate in the gallery, by its looks (a near perceptual hash, and close in gray)."
        in page
    )
    assert "92 queries have a score above 0.999, which a trained space gives to images of one label too." in page
    assert '<th scope="row" class="words">queries</th><td>100</td><td>98</td>' in page


def test_counts_that_are_cut_off_are_told_in_full(arguments):
    report = copy.deepcopy(arguments["report"])
    report |= {"classes": 5000, "per_class": report["per_class"][:1] * 200}
    facts = {**arguments["facts"], "quarantine": [["a", "b"]] * 200, "bad": 260}
    page = render_page(**{**arguments, "report": report, "facts": facts})
    assert "260 files left out." in page
    assert "200 of 260 shown" in page
    assert "The other 4,990 labels (the first 200 are kept)" in page


@pytest.mark.parametrize(("queries", "why"), [(3, "fewer than 4 images"), (100, "the recipe says map = false")])
def test_a_missing_map_has_a_reason(arguments, queries, why):
    page = render_page(**{**arguments, "report": {**arguments["report"], "queries": queries}, "projection": None})
    assert f"No map: {why}." in page


def test_labels_with_one_point_are_no_share(arguments):
    report, points = arguments["report"], np.array([[0.0, 0], [1, 0], [5, 0], [9, 0]])
    projection = {"rows": np.arange(4), "before": None, "after": points}
    assert "The point nearest to a point" not in maps(report, projection, list("abcd"))
    assert "has its label for 100\u00a0% after." in maps(report, projection, list("aabc"))


def test_long_labels_are_cut_in_their_middle():
    assert short("a" * 40) == "a" * 40
    cut = short("a" * 30 + "<" + "b" * 30)
    assert cut.startswith(f'<span title="{"a" * 30}&lt;{"b" * 30}">')
    assert len(cut.partition(">")[2].partition("<")[0]) <= 40


@pytest.mark.parametrize("options", [{"labels": None}, {"baseline": False}, {"labels": np.zeros(G + Q, int)}])
def test_what_is_missing_is_left_out(options):
    arguments = measure(**options)
    read = Reader(render_page(**arguments))
    sections = [a["id"] for a in read.all("section")]
    assert [name for name in SECTIONS if name in sections] == sections
    assert {"verdict", "see", "index", "data", "made"} <= set(sections)
    assert [a["href"][1:] for a in read.all("a") if a.get("href", "").startswith("#")][1:] == sections
    shown = "".join(read.words)
    assert "None" not in shown
    assert "nan" not in shown.lower().replace("finance", "")
    if options.get("labels", 0) is None:
        assert "no labels" in shown
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


def test_best_is_marked_only_when_separable():
    ends = {"a": [0.8, 0.9], "b": [0.6, 0.79], "c": [0.5, 0.7]}
    assert best_systems({"a": 0.85, "b": 0.7, "c": 0.6}, ends, True) == {"a"}
    assert best_systems({"a": 0.85, "b": 0.7, "c": 0.6}, {**ends, "b": [0.6, 0.81]}, True) == set()
    assert best_systems({"a": 0.85, "b": 0.7, "c": 0.6}, ends, False) == set()
    assert best_systems({"a": 0.1, "b": 0.3}, {"a": [0, 0.2], "b": [0.25, 0.4]}, False) == {"a"}
    assert best_systems({"a": 0.8, "b": 0.8, "c": 0.1}, {"a": [0.7, 1], "b": [0.7, 1], "c": [0, 0.2]}, True) == {
        "a",
        "b",
    }
    assert best_systems({"a": 0.8, "b": 0.1}, {"a": None, "b": [0, 0.2]}, True) == set()
    assert best_systems({"a": 0.8, "b": None}, ends, True) == set()
    assert best_systems({"a": 1.0, "b": 0.7}, {**ends, "a": [1.0, 1.0]}, True) == set()


@pytest.mark.parametrize("boundary", [29, 30])
def test_few_boundary_queries_have_no_best(boundary):
    def system(error, ends):
        return {
            "cross_boundary_error": {"10": {"boundary": error}},
            "intervals": {"cross_boundary_error": {"10": {"boundary": ends}}},
        }

    both = {"a": system(0.1, [0.05, 0.15]), "b": system(0.5, [0.4, 0.6])}
    body = systems({"k": [10], "systems": both, "boundary_queries": boundary})
    assert (' <b class="best">best</b>' in body) == (boundary == 30)


def test_words():
    assert [one_in(x) for x in (0.00026, 0.1, 0.5, 1.0, 0, None)] == [
        "1 in 3,800",
        "1 in 10",
        "1 in 2",
        "1 in 1",
        "–",
        "–",
    ]
    assert [p_value(x) for x in (0.0001, 0.0236, 1.0)] == ["p < .001", "p = .024", "p = 1.000"]
    assert text("\u202e<&\"'") == "\\u202e&lt;&amp;&quot;&#x27;"


def test_labels_that_get_a_colour():
    labels = [str(i) for i in range(12) for _ in range(12 - i)]
    assert chosen_labels(labels, []) == ["0", "1", "2", "3", "4", "5", "6", "7"]
    assert chosen_labels(labels, [{"label": "11", "other": "10"}]) == ["0", "1", "10", "11", "2", "3", "4", "5"]
    assert chosen_labels(["b", "a", "b"], [{"label": "b", "other": "c"}]) == ["a", "b"]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_the_colours():
    css = files("simsearch.page").joinpath("page.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    )
    assert set(light) == set(dark)
    for colours in (light, dark):
        for back in (colours["bg"], colours["panel"]):
            for name in ("ink", "soft", "link", "good", "bad"):
                assert contrast(colours[name], back) >= 4.5, name
        for name in ("edge", "other", *(f"c{i}" for i in range(8))):
            assert contrast(colours[name], colours["bg"]) >= 3, name


BROWSER = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None or shutil.which("bash") is None, reason="no headless browser here (apt-get install chromium)"
)


class Browser:
    """A headless Chromium over its debugging pipe: JSON messages that end in a zero byte."""

    def __init__(self, folder):
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        options = ["--headless", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            # Chromium reads from descriptor 3 and writes to 4.
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', BROWSER, *options, "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self.events, self._session = b"", 0, [], {}
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self.call("Page.enable")
        self.call("Network.enable")

    def _read(self):
        while b"\0" not in self._buffer:
            received = os.read(self._in, 65536)
            assert received, "the browser went away"
            self._buffer += received
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters, **self._session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != message["id"]:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path, width, dark, scripts):
        """Open a file, and return the schemes and hosts of all requests, the first for the page itself."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.events.clear()
        self.call("Page.navigate", url=f"file://{path}")
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        sent = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url if url.startswith("http") else url.partition(":")[0] for url in sent]

    def value(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self):
        self.call("Browser.close")
        self.process.wait(20)
        os.close(self._out)
        os.close(self._in)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


# Elements that reach beyond the window or are cut, but for those in a box that scrolls by itself.
CUT = """[...document.querySelectorAll("main *, header *, footer *")].filter(e => !e.closest(".scroll, pre, svg") && (
    e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1 ||
    (e.scrollWidth > e.clientWidth + 1 && e.clientWidth && getComputedStyle(e).display != "inline" &&
     e.id != "verdict-h"))).map(e => e.outerHTML.slice(0, 120))"""


@needs_browser
def test_in_a_browser_nothing_is_asked_for_and_nothing_is_cut(browser, page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    backs = set()
    for width in (320, 360, 390, 800, 1280):
        for dark in (False, True):
            asked = browser.open(file, width, dark, scripts=False)
            assert asked[0] == "file"
            assert set(asked) <= {"file", "data"}
            assert asked.count("file") == 1
            assert browser.value("document.documentElement.scrollWidth") == width
            assert browser.value(CUT) == []
            backs.add(browser.value("getComputedStyle(document.body).backgroundColor"))
            if width == 1280:
                assert browser.value("document.querySelector('nav').getBoundingClientRect().right") < 300
                assert browser.value("document.querySelector('.lead').getBoundingClientRect().bottom") < 300
    assert len(backs) == 2
    # With scripts on, the page's own policy lets none run, whatever stands in the names.
    browser.open(file, 800, False, scripts=True)
    assert browser.value("document.scripts.length") == 1
    assert not [e for e in browser.events if e["method"] == "Page.javascriptDialogOpening"]


@needs_browser
def test_the_browser_would_have_seen_a_request(browser, tmp_path):
    file = tmp_path / "asks.html"
    file.write_text('<!DOCTYPE html><img src="http://127.0.0.1:9/x.png" alt="x">')
    assert "http://127.0.0.1:9/x.png" in browser.open(file, 800, False, scripts=False)
