"""What people read of a night: every worse figure and its cause, in words, with names that do nothing anywhere."""

from __future__ import annotations

import html
import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from stories import CAUSE, HOSTILE, cell, finding, matrix, measured, night, png, story

from simsearch.bench.judging.metrics import METRICS
from simsearch.bench.outputs import contents, junit_xml, nightly_markdown, series, terminal_table, trend_page, words
from simsearch.bench.outputs.terminal import cell_len, wrap
from simsearch.bench.records import Cause, Loser, NightFigure, Result, Story, Verdict

OUTPUTS = (terminal_table, nightly_markdown, junit_xml, trend_page)
NAME = "digits seed 0 IVF16,Flat nprobe=4"


class Reader(HTMLParser):
    """Elements with their attributes, and the words of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag, kind=""):
        return [a for t, a in self.elements if t == tag and (not kind or kind in (a.get("class") or "").split())]


def plain(output, of):
    """The words of an output, as a reader sees them."""
    found = output(of)
    if output is trend_page:
        return " ".join("".join(Reader(found.split("</style>")[1]).words).split())
    found = re.sub(r"<!-- -->", "", found) if output is nightly_markdown else found
    return " ".join(html.unescape(found).split())


def hostile():
    """A story in which every name is hostile."""
    plain_story = story()
    other = {"digits": HOSTILE[2] + HOSTILE[0], "mnist": HOSTILE[5] + HOSTILE[1]}

    def named(of):
        return replace(of, recipe=other[of.recipe], factory=HOSTILE[4] + of.factory)

    def all_named(results):
        return tuple(replace(r, cell=named(r.cell), error=r.error and " ".join(HOSTILE)) for r in results)

    names = {of.name: named(of).name for of in matrix()}
    cause = Cause("features", " ".join(HOSTILE), *[tuple(Loser(h, 1, 1.0, 0.0) for h in HOSTILE)] * 2, png())
    found = [replace(f, cell=names[f.cell], cause=cause if f.worse else None) for f in plain_story.verdict.findings]
    verdict = replace(
        plain_story.verdict, findings=tuple(found), failed=(), dropped=(), new=HOSTILE, gone=HOSTILE, notes=HOSTILE
    )
    evil = {"machine": " ".join(HOSTILE), "commit": HOSTILE[1], "versions": {HOSTILE[1]: HOSTILE[0]}}
    return Story(
        replace(plain_story.night, **evil),
        plain_story.accepted,
        all_named(plain_story.results),
        verdict,
        tuple((replace(n, **evil), all_named(r)) for n, r in plain_story.trend),
        {3: " ".join(HOSTILE)},
    )


@pytest.fixture(scope="module")
def told():
    return story()


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_worse_finding_and_its_cause_is_told(output, told):
    shown = plain(output, told)
    assert words.sentence(told) in shown
    for found in told.verdict.worse:
        assert found.cell in shown
        assert words.metric(found) in shown
        assert f"the {found.cause.stage} changed ({found.cause.why})" in shown
    assert "recall@10" in shown
    assert "p < .001" in shown
    assert "train set too small: 12 rows for 16 lists" in shown
    assert "test/7/0000.png" in shown  # a query that lost most


def test_the_sentence():
    assert words.sentence(story()) == (
        "Tonight: 3 of 6 cells held; digits seed 0 IVF16,Flat nprobe=4 ann_recall@10 fell .060 [.058, .062] against "
        "night 15 of 16 October 2026; cause: the search settings changed (nprobe 4 -> 1); 3 more figures are worse; "
        "1 failed; 1 dropped."
    )
    cells = matrix()
    held = tuple(finding(of.name) for of in cells)
    passed = replace(story(worse=False), verdict=Verdict("pass", held, (), (), (), (), ()))
    assert words.sentence(passed) == "Tonight: all 6 cells held against night 15 of 16 October 2026."
    taken = replace(passed, accepted=None, accepts={passed.night.number: "the first night"})
    assert "later nights are held against this first one" in words.sentence(taken)
    first = replace(passed, accepted=None, verdict=Verdict("pass", (), (), (), tuple(c.name for c in cells), (), ()))
    assert words.sentence(first) == "Tonight: 6 of 6 cells measured; no night is accepted yet to hold it against."
    left = replace(passed, night=replace(passed.night, verdict="abandoned"))
    assert words.sentence(left).startswith("Tonight, abandoned before its end: all 6 cells")
    one = replace(finding(cells[0].name), worse=True, cause=Cause(None, "every stage is the same"))
    failed = Result(cells[1], "failed", "index", "rows are missing", broken=True)
    verdict = Verdict("regression", (one, *held[2:]), (failed,), (), (), (), ())
    broken = replace(passed, results=(*passed.results[:1], failed, *passed.results[2:]), verdict=verdict)
    assert words.sentence(broken) == (
        "Tonight: 4 of 6 cells held; digits seed 0 Flat recall@10 fell .004 [.002, .006] against night 15 of "
        "16 October 2026; cause not found (every stage is the same); 1 broken."
    )


def test_moves_are_told_in_the_direction_of_the_metric():
    rose = finding("c", "cross_boundary_error", before=0.11, after=0.14)
    assert words.change(rose) == "rose .030 [.028, .032]"
    assert words.signed(rose) == "+.030 [+.028, +.032]"
    assert words.change(finding("c")) == "fell .004 [.002, .006]"
    assert words.signed(finding("c")) == "-.004 [-.006, -.002]"
    slower = finding("c", "latency_p50", None, before=2.0, after=3.0, interval=(0.5, 1.5), p_value=None, p_holm=None)
    assert words.change(slower) == "rose 50 % [25 %, 75 %]"
    assert words.moved(slower) == "2.00 -> 3.00 of the reference workload, rose 50 % [25 %, 75 %]"
    assert words.change(finding("c", before=0.5, after=0.5)) == "did not move"
    assert words.change(replace(finding("c"), difference=-0.0004, interval=None)) == "fell .00040"


def test_the_greatest_loss_comes_first_by_the_table_of_metrics(monkeypatch):
    worse = [finding("c", after=0.95), finding("c", "cross_boundary_error", before=0.1, after=0.2)]
    fast = finding("c", "qps", None, before=1.0, after=0.1)
    assert [f.metric for f in contents.by_loss([fast, *worse])] == ["cross_boundary_error", "recall", "qps"]
    flipped = replace(METRICS["cross_boundary_error"], higher_is_better=True)
    monkeypatch.setattr(contents, "METRICS", {**METRICS, "cross_boundary_error": flipped})
    assert [f.metric for f in contents.by_loss([fast, *worse])] == ["recall", "cross_boundary_error", "qps"]
    monkeypatch.setattr("simsearch.bench.outputs.over_nights.METRICS", {**METRICS, "cross_boundary_error": flipped})
    assert "lower is better" in trend_page(story())
    page = trend_page(story()).split("cross-boundary error@10 boundary</h3>")[1]
    assert page.startswith(" <small>higher is better")


def test_a_word_for_each_cell(told):
    found = contents.states(told)
    assert list(found.values()) == ["held", "held", "WORSE", "better", "failed", "dropped"]
    new = replace(told, verdict=replace(told.verdict, findings=(), failed=(), dropped=()))
    assert list(contents.states(new).values())[:3] == ["new", "unpaired", "unpaired"]
    broken = replace(told.results[4], broken=True)
    both = replace(told, results=told.results[:4], verdict=replace(told.verdict, failed=(broken,)))
    assert list(contents.states(both).values())[4:] == ["BROKEN", "dropped"]  # also those that only the verdict names


def test_table_is_at_most_80_columns(told):
    for each in (told, hostile(), story(1), story(worse=False)):
        assert max(cell_len(line) for line in terminal_table(each).splitlines()) <= 80
    lines = terminal_table(told).splitlines()
    row = next(line for line in lines if line.startswith(NAME))
    assert row.split()[-6:] == ["0.955", "0.050", "0.935", "73,481", "0.100", "WORSE"]
    failed = next(line for line in lines if line.startswith("mnist seed 0 IVF16,Flat nprobe=1"))
    assert failed.split()[-6:] == ["-"] * 5 + ["failed"]
    heads = next(line for line in lines if line.startswith("cell"))
    assert heads.index("ann@10") + len("ann@10") == row.index("0.935") + len("0.935")


def test_a_long_name_is_never_cut():
    long = cell("a-recipe-of-a-name-that-nobody-would-like-to-type", "IVF1024,PQ16x4fs,RFlat")
    lines = terminal_table(replace(story(1), results=(measured(long),))).splitlines()
    at = lines.index("a-recipe-of-a-name-that-nobody-would-like-to-type seed 0 IVF1024,PQ16x4fs,RFlat")
    assert lines[at + 1] == "nprobe=4"
    assert lines[at + 2].split()[-1] == "new"


def test_wrap():
    assert wrap("one two", 2, 4) == ["  one two"]
    assert wrap("x" * 170, 2, 4) == ["  " + "x" * 78, "    " + "x" * 76, "    " + "x" * 16]
    assert wrap("漢" * 41) == ["漢" * 40, "漢"]
    assert wrap(f"{'a' * 50} {'b' * 40}", 0, 2) == ["a" * 50, "  " + "b" * 40]
    assert wrap("\x1b[0m\u202e") == ["\\x1b[0m\\u202e"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_control_characters_are_shown_as_escapes(output):
    found = output(hostile())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800]", found)
    assert "\\x1b" in plain(output, hostile())
    assert "\\u202egnp.exe" in plain(output, hostile())
    found.encode("utf-8")


def test_names_are_inert_in_markdown():
    found = nightly_markdown(hostile())
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(found)
    inline = [child for token in tokens for child in token.children or ()]
    assert not {"link_open", "em_open", "image", "s_open"} & {child.type for child in inline}
    raw = [token.content for token in [*tokens, *inline] if token.type in ("html_inline", "html_block")]
    tags = set(re.findall(r"<[^>]*>", "".join(raw)))
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>", "<!-- -->"}
    strong = [token.content for token in tokens if "strong_open" in {child.type for child in token.children or ()}]
    assert strong == ["**worse**"] * 4
    # Tables keep their shape: a | in a name adds no cell.
    rows = [line.count(" | ") for line in found.splitlines() if line.startswith("| **worse**")]
    assert rows == [7] * 4
    # GitHub makes links of the shown text too, outside code.
    outside = re.sub(r"<code>.*?</code>|`[^`]*`", "", found)
    assert not re.search(r"@team|#1 |://|www\.", html.unescape(outside))
    assert "<script" not in found


def test_markdown_shows_what_changed_and_folds_the_rest(told):
    found = nightly_markdown(told)
    assert found.startswith("## Nightly: regression\n\nTonight: 3 of 6 cells held;")
    shown = found.split("<details>")[0]
    row = next(line for line in shown.splitlines() if "ann_recall@10 |" in line)
    assert row == (
        f"| **worse** | `{NAME}` | ann_recall@10 | 0.995 | 0.935 | -.060 [-.062, -.058] | p &lt; .001 (Holm) | "
        "the search settings changed (nprobe 4 -&gt; 1) |"
    )
    assert "| better | `mnist seed 0 Flat` | latency p50 to the reference | 1.50 | 0.75 | -50 %" in shown
    assert "Dropped for time: `mnist seed 0 IVF16,Flat nprobe=4`" in shown
    assert "| `digits seed 0 Flat` | 0.985" not in shown
    assert "| `digits seed 0 Flat` | 0.985 | 0.020 | 0.995 | 122,469 | 0.060 | held |" in found
    assert found.count("<details>") == found.count("</details>") == 4
    quiet = nightly_markdown(story(worse=False))
    assert quiet.startswith("## Nightly: pass\n")
    assert "|" not in quiet.split("<details>")[0]


def test_markdown_of_a_large_matrix_fits_into_a_comment():
    cells = matrix([f"recipe{number}" for number in range(40)])
    found = tuple(finding(of.name, k=k, worse=True, cause=CAUSE) for of in cells for k in (1, 10))
    failed = tuple(Result(of, "failed", "train", "x" * 9000) for of in cells[:20])
    every = tuple(measured(of) for of in cells)
    verdict = Verdict("regression", found, failed, (), tuple(c.name for c in cells), (), ("long " * 900,) * 2)
    shown = nightly_markdown(Story(night(2), night(1), (*failed, *every[20:]), verdict))
    assert len(shown) < 65_536
    assert "160 more changed figures: see the trend page." in shown
    assert "12 more failed cells: see the trend page." in shown
    assert " and 112 more" in shown


def test_junit(told):
    root = ET.fromstring(junit_xml(told))
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["digits", "mnist"]
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == len(list(root.iter("testcase"))) == int(root.get("tests"))
    for found in told.verdict.worse:
        failure = cases[found.cell, words.metric(found)].find("failure")
        assert words.change(found) in failure.get("message")
        assert found.cause.why in failure.text
    assert "class 7: 0.990 -> 0.830, 107 queries" in cases[NAME, "recall@10"].find("failure").text
    assert cases["mnist seed 0 Flat", "latency p50"].find("failure") is None
    assert [child.tag for child in cases["digits seed 0 Flat", "recall@1"]] == ["system-out"]
    error = cases["mnist seed 0 IVF16,Flat nprobe=1", "measured"].find("error")
    assert error.get("message") == "index: train set too small: 12 rows for 16 lists"
    assert cases["mnist seed 0 IVF16,Flat nprobe=4", "measured"].find("skipped").get("message") == "dropped for time"
    assert (NAME, "MAP@R") not in cases  # the gate did not judge it there
    assert (NAME, "ROC AUC") not in cases  # not judged
    for element in [root, *root]:
        inside = list(element.iter("testcase"))
        assert int(element.get("tests")) == len(inside)
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(element.get(name)) == len(list(element.iter(kind)))
        assert float(element.get("time")) == pytest.approx(sum(float(case.get("time")) for case in inside))
    assert float(cases[NAME, "measured"].get("time")) == 4.25
    assert [root.get("failures"), root.get("errors")] == ["4", "1"]


def test_junit_of_new_broken_and_unknown_cells(told):
    first = replace(told, accepted=None, verdict=replace(told.verdict, findings=(), new=(NAME,)))
    root = ET.fromstring(junit_xml(first))
    run, *others = [case for case in root.iter("testcase") if case.get("classname") == NAME]
    assert run.find("skipped") is None
    assert {case.find("skipped").get("message") for case in others} == {"new: nothing to compare it with"}
    broken = replace(told.results[4], broken=True, error="rows\nare missing")
    lost = finding("gone seed 1 Flat", worse=True)
    verdict = replace(told.verdict, findings=(lost,), failed=(broken,), dropped=())
    root = ET.fromstring(junit_xml(replace(told, results=(broken,), verdict=verdict)))
    cases = {case.get("classname"): case for case in root.iter("testcase")}
    assert cases[broken.cell.name].find("failure").text == "index: rows are missing"
    assert cases["gone seed 1 Flat"].find("failure") is not None
    ET.fromstring(junit_xml(hostile()))


def test_the_page_is_sound_and_asks_for_nothing(told):
    for page in (trend_page(told), trend_page(hostile()), trend_page(story(1)), trend_page(story(worse=False))):
        read = Reader(page)
        tags = [tag for tag, _ in read.elements]
        ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert [tags.count(tag) for tag in ("h1", "header", "nav", "main", "footer")] == [1] * 5
        assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(tags)
        for tag, attributes in read.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            for name in ("aria-labelledby", "aria-describedby"):
                assert set((attributes.get(name) or "").split()) <= set(ids)
            for name in ("src", "href"):
                assert re.match(r"#|data:image/png;base64,", attributes.get(name, "#")), (tag, attributes)
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        policy = next(a["content"] for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
        css = "".join(re.findall("<style>(.*?)</style>", page, re.S))
        assert not re.search(r"@import|url\(", css)
        charts = read.all("svg", "chart")
        assert len(charts) == len(read.all("figure")) - len(read.all("img")) > 0
        assert len(re.findall("<desc ", page)) == len(charts)
        assert page.count("as a table</summary>") == page.count("</h3> <small>")  # a table a metric


def test_hostile_names_are_shown_on_the_page():
    shown = "".join(Reader(trend_page(hostile())).words)
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[6], HOSTILE[7]):
        assert name in shown
    assert "lone \\ud800 surrogate" in shown


def test_only_what_is_worse_is_red(told):
    def red(of):
        return [a for a in Reader(trend_page(of)).elements if "worse" in (a[1].get("class") or "").split()]

    assert not red(story(worse=False))
    # Four rows of the table, one cell of tonight; four captions, four words and four marks in charts.
    assert len(red(told)) == 4 + 1 + 3 * 4
    assert trend_page(told).count('<b class="worse">WORSE</b>') == 4 + 1 + 4


def test_the_picture_is_shown_once_and_has_words(told):
    read = Reader(trend_page(told))
    (picture,) = read.all("img")
    assert NAME in picture["alt"]
    far = replace(CAUSE, picture=png("blue") + bytes(2_400_000))
    cells = [replace(f, cause=far) if f.metric == "recall" and f.worse else f for f in told.verdict.findings]
    page = trend_page(replace(told, verdict=replace(told.verdict, findings=tuple(cells))))
    assert len(Reader(page).all("img")) == 1
    assert "left out: too large" in page
    assert len(page) < 4_000_000


def chart(page, metric, of):
    """The SVG of one metric of one cell."""
    return ET.fromstring(
        re.search(rf"<svg class=\"chart\"[^>]*><title[^>]*>{re.escape(f'{metric}, {of}')}.*?</svg>", page)[0]
    )


def paths(svg, kind):
    return [e.get("d") for e in svg.iter("path") if e.get("class").split()[0] == kind]


def test_lines_have_gaps_marks_and_words(told):
    page = trend_page(told)
    svg = chart(page, "recall@1", "digits seed 0 IVF16,Flat nprobe=1")
    assert [d.count("L") + 1 for d in paths(svg, "line")] == [8, 11]  # night 9 failed
    assert len(paths(svg, "band")) == 2
    events = {e.find("title").text for e in svg.iter("path") if e.get("class") == "event"}
    assert {"accepted: night 3, 15", "versions: night 6", "machine: night 14"} <= events
    assert "1 of 20 nights lack it" in svg.find("desc").text
    # Times part where the machine changed, shares do not.
    assert len(paths(chart(page, "queries a second", "digits seed 0 Flat"), "line")) == 2
    assert len(paths(chart(page, "recall@1", "digits seed 0 Flat"), "line")) == 1
    worse = chart(page, "ann_recall@10", NAME)
    assert [e.text for e in worse.iter("text") if e.get("class") == "word worse"] == ["worse"]
    assert "worse than accepted" in worse.find("desc").text
    for part in re.findall(r'<svg class="chart".*?</svg>', page):
        svg = ET.fromstring(part)
        _, _, width, height = map(float, svg.get("viewBox").split())
        for element in svg.iter():
            for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", element.get("d") or ""):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height


def test_the_nights_say_what_changed(told):
    shown = plain(trend_page, told)
    assert "faiss 1.14.0 -> 1.15.1, onnxruntime none -> 1.31.0" in shown
    assert "machine: 2 cores of an example -> 4 cores of another" in shown
    assert "accepted: faiss <1.15>" in shown
    before = night(1)
    assert series.events(before, night(2)) == {}
    assert series.events(before, replace(before, fingerprint="f2"))["machine"].endswith("changed")
    assert series.events(before, replace(before, code="c1")) == {"code": "changed within one commit"}
    assert series.events(before, replace(before, matrix="m", commit=None)) == {
        "matrix": "another matrix file",
        "code": "commit abcdef1234 -> unknown",
    }


def test_a_line_goes_on_when_a_setting_is_changed():
    was, now, other = cell(search=(("nprobe", 4),)), cell(search=(("nprobe", 1),)), cell("mnist")
    nights = [(night(n), (measured(was if n < 3 else now), measured(other))) for n in range(1, 5)]
    found = {c.name: [r and r.cell.name for r in results] for c, results in series.lines(nights, [now, other])}
    assert found[now.name] == [was.name, was.name, now.name, now.name]
    assert found[other.name] == [other.name] * 4
    # A name wins over a place: both cells are in the matrix, and were swapped in it.
    one, two = replace(was, slot=(1, 1)), replace(now, slot=(1, 0))
    swapped = [(night(1), (measured(replace(one, slot=(1, 0))), measured(replace(two, slot=(1, 1)))))]
    found = {c.name: [r and r.cell.name for r in results] for c, results in series.lines(swapped, [one, two])}
    assert found == {one.name: [one.name], two.name: [two.name]}
    page = trend_page(replace(story(1), night=night(4), results=nights[-1][1], trend=tuple(nights)))
    assert f"until night 2: {was.name}" in page


def test_many_nights_and_cells_are_bounded():
    cells = matrix([f"recipe{number}" for number in range(10)])
    trend = tuple((night(n), tuple(measured(of) for of in cells)) for n in range(1, 81))
    last = replace(cells[-1])
    findings = (finding(last.name, "ann_recall", worse=True, cause=CAUSE),)
    verdict = Verdict("regression", findings, (), (), (), (), ())
    many = Story(night(80), night(2), trend[-1][1], verdict, trend)
    shown = series.drawn(many)
    assert [n.number for n, _ in shown] == [2, *range(22, 81)]
    page = trend_page(many)
    assert len(page) < 3_000_000
    assert "6 cells more are in the history and its export. So are 20 older nights." in page
    assert len(re.findall(r"<title[^>]*>ann_recall@10, ", page)) == 24
    (line,) = paths(chart(page, "ann_recall@10", last.name), "line")  # the worse cell is kept, though it is the last
    assert line.count("L") == 58  # the accepted night stands apart, as a dot


@pytest.mark.parametrize("output", OUTPUTS)
def test_odd_nights(output):
    odd = Result(
        cell(), "measured", figures=(
            NightFigure("recall", 1, "all", float("nan")), NightFigure("recall", 10, "all", 0.5, float("nan"), 0.6),
            NightFigure("a metric of tomorrow", None, "all", 1.0), NightFigure("qps", None, "all", 12_345_678.0),
            NightFigure("bytes", None, "all", 0.0), NightFigure("cross_boundary_error", 10, "all", 0.0, 0.0, 0.0, 3),
        )
    )  # fmt: skip
    empty = Verdict("failed", (), (), (), (), (), ())
    bare = Story(replace(night(1), commit=None, versions={}, verdict="abandoned", finished=None), None, (odd,), empty)
    nothing = replace(bare, results=())
    unmeasured = replace(bare, results=(Result(cell(), "failed"), Result(cell("b"), "dropped")))
    for each in (bare, nothing, unmeasured, replace(story(2), trend=((night(1, verdict="failed"), ()),))):
        shown = plain(output, each)
        assert words.sentence(each) in shown
        assert not re.search(r"\bnan\b|\bNone\b", shown)
        if output is junit_xml:
            assert int(ET.fromstring(output(each)).get("errors")) > 0
    if output in (terminal_table, nightly_markdown):
        assert "12.3M" in output(bare)


def test_the_trend_page_says_when_in_a_readers_words_and_leaves_out_what_is_empty(told):
    page = trend_page(told)
    about = '<p>Night 20 · <time datetime="2026-10-21T02:00:00">Wednesday 21 October 2026, 02:00</time> · 4 cores of'
    assert about in page
    assert "<title>Nightly: regression, 21 October 2026</title>" in page
    assert '<time datetime="2026-10-16T02:00:00">Fri 16 Oct 2026, 02:00</time>' in page
    shown = "".join(Reader(page.split("</style>")[1]).words)
    assert not re.search(r"\d{4}-\d\d-\d\d", shown), "no date of machines"
    assert "21 Oct</text>" in page
    over_years = replace(told, trend=((night(1, started="2025-12-31T02:00:00"), told.trend[0][1]), *told.trend))
    assert "31 Dec 2025</text>" in trend_page(over_years)
    anchors = [a["id"] for a in Reader(page).all("section")]
    assert anchors == ["verdict", "changed", "trends", "nights", "cells", "made"]
    held = replace(story(2, worse=False).verdict, findings=(), new=(), gone=())
    quiet = [a["id"] for a in Reader(trend_page(replace(story(2, worse=False), verdict=held))).all("section")]
    assert quiet == ["verdict", "trends", "nights", "cells", "made"]
