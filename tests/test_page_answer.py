"""What the page opens on: an answer in plain words, the figures drawn large, pictures that open; the rest is folded."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from pages import HOSTILE, SECTIONS, Reader, measure

from simsearch.page.html import Pictures, breakable, seconds
from simsearch.report.publish import links
from simsearch.report.sections.document import render_page, section
from simsearch.report.sections.further import steps
from simsearch.report.sections.good import found_first, large
from simsearch.report.sections.scores import first_hits_by_score, rare


def asked(share, ends, queries, k=1, unanswerable=0):
    systems = {"recipe/index": {"recall": {str(k): share}, "intervals": {"recall": {str(k): ends}}}}
    return {"k": [k], "queries": queries, "unanswerable": unanswerable, "systems": systems}


FIRST = "find the right label first"


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (asked(0.69, [0.664, 0.721], 987), f"Of 100 queries, 69 {FIRST} [66, 72], measured on 987."),
        (asked(0.989, [0.986, 0.991], 9000), f"Of 1,000 queries, 989 {FIRST} [986, 991], measured on 9,000."),
        (asked(0.9972, [0.985, 0.9995], 359), f"Of 100 queries, more than 99 {FIRST} [98, 100], measured on 359."),
        (asked(0.001, [0, 0.01], 900), f"Of 100 queries, fewer than 1 {FIRST} [0, 1], measured on 900."),
        (asked(1.0, [0.99, 1.0], 400), f"Of 100 queries, 100 {FIRST} [99, 100], measured on 400."),
        (
            asked(0.5, [0.4, 0.6], 200, 5),
            f"Of 100 queries, 50 {FIRST[:-6]} among the first 5 [40, 60], measured on 200.",
        ),
        (asked(0.9, [0.8, 0.95], 71, 1, 1), f"63 of 70 queries {FIRST}; of 100 that would be between 80 and 95."),
        (
            asked(0.875, [0.529, 0.978], 9, 1, 1),
            f"7 of 8 queries {FIRST}; of 100 that would be between 53 and 98. "
            "Too few to tell: 8 queries, about 18 are needed.",
        ),
        (
            asked(1.0, [0.8, 1.0], 1),
            "1 of 1 query finds the right label first; of 100 that would be between 80 and 100.",
        ),
        ({**asked(0.5, [0.4, 0.6], 200), "unanswerable": None}, None),
        (asked(None, None, 4, 1, 4), None),
    ],
)
def test_the_answer_is_a_sentence_that_anyone_understands(report, words):
    assert found_first(report) == words


def test_the_page_answers_first_and_folds_the_rest(page, arguments):
    read = Reader(page)
    assert [a["id"] for a in read.all("section")] == SECTIONS
    assert page.index("How good is my search?</h2>") < page.index('class="figures"') < page.index('class="strip"')
    assert page.index('class="strip"') < page.index('class="badge')
    for anchor in SECTIONS:
        body = page.partition(f'<section id="{anchor}"')[2].partition("</section>")[0].partition("</h2>")[2]
        folded = body.startswith('<details class="fold"><summary>')
        assert folded == (SECTIONS.index(anchor) > SECTIONS.index("compared")), anchor
        if folded:
            assert re.match(r"[^<]*\w", body.partition("<summary>")[2]), "a summary says what it holds"
    # Few strips at once: the others are asked for.
    shown = page.partition("Typical queries</h4>")[2].partition("<details>")[0]
    assert shown.count('<figure class="strip">') == 3
    assert "5 more typical queries" in page
    assert "queries/s</dt>" not in page


def test_people_read_names_instead_of_keys(page):
    words = "".join(Reader(page).words)
    assert "your search" in words
    assert "baseline, distance" in words
    keys = re.findall(r"(?:recipe|baseline)/[\w-]+(?: in report.json)?", words)
    assert keys
    assert [key for key in keys if not key.endswith(" in report.json")] == []


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [({"milliseconds": 31.2}, "0.03\u00a0s"), ({"milliseconds": None}, None), ({}, None)],
)
def test_a_picture_takes_so_long_where_that_was_measured(arguments, seen, wanted):
    report = {**arguments["report"], **seen}
    found = {name: value for name, value, *_ in large(report, {})}
    assert found.get("A picture takes") == wanted
    assert list(found)[:2] == ["Right label first: recall@1", "Errors at the boundary: error@10"]


def test_without_labels_the_page_says_what_can_be_told(arguments):
    flat = measure(labels=None)
    flat["facts"] |= {"trained": False, "bad": 2}
    flat["report"]["duplicates"] = {"copies": {"images": 2}, "looks": {"images": 3}}
    found = {name: value for name, value, *_ in large(flat["report"], flat["facts"])}
    wanted = {"Images": "320", "The index finds": "100.0\u00a0%", "Near-duplicates": "5", "Unreadable files": "2"}
    assert found == wanted
    flat["report"].pop("duplicates")
    page = render_page(**flat)
    assert page.count('<svg class="chart map"') == 1, "nothing was trained: before is after"
    assert "before" not in page.partition('<section id="map"')[2].partition("</section>")[0].lower()
    assert '<section id="map" aria-labelledby="map-h"><h2 id="map-h">Map</h2><p>' in page, "it is open"


def test_not_measured_is_not_not_shown(arguments):
    report = copy.deepcopy(arguments["report"])
    report |= {"comparisons": [], "summary": "There is no baseline."}
    words = section("compared", report=report)
    assert '<strong class="badge">not measured</strong>' in words
    assert "not shown</strong>" not in words


def test_too_few_to_tell_instead_of_figures_that_say_nothing(arguments):
    report = copy.deepcopy(arguments["report"])
    report["boundary_queries"] = 1
    for entry in report["comparisons"]:
        entry |= {"n": 1, "difference": -0.1, "interval": [-0.1, -0.1], "p_value": 1.0}
    words = section("compared", report=report)
    assert '<strong class="badge">too few to tell</strong>' in words
    assert "Too few to tell: 1 query, about 6 are needed." in words
    assert "no difference seen" not in words
    assert not re.search(r"-10\.0|p = 1|On the hardest", words)
    table = (
        section("systems", report=report).partition("Paired comparisons, query by query")[2].partition("</table>")[0]
    )
    assert "1.000" not in table
    assert "-0.1" not in table
    (_, recall, *_), (_, error, _, _, told) = large(report, {})[:2]
    assert recall != "–"
    assert error == "–"
    assert told == "too few to tell: 1 query at the boundary, 6 are needed at least"
    # Over several seeds it is the seeds that are compared.
    for entry in report["comparisons"]:
        entry |= {"seeds": 5, "p_value": 0.2}
    assert "too few to tell</strong>" not in section("compared", report=report)


def test_tenths_of_few_queries_are_too_few_to_tell(arguments):
    report = arguments["report"]
    assert first_hits_by_score({**report, "queries": 60})
    assert first_hits_by_score({**report, "queries": 59}) == []


def test_a_score_is_explained_by_how_rare_it_is():
    table = [[round(score, 3), 2.0 ** -(20 * score)] for score in np.linspace(0, 1, 400)]
    words = rare({"table": table, "pairs": 10**6})
    assert re.fullmatch(r"A score of 0\.\d{3} or more is rare between different labels: 1 in 1,000 of such .*", words)
    assert "1 in 100 of such pairs" in rare({"table": table, "pairs": 200})
    assert rare({"table": table, "pairs": 20}).startswith("Too few to tell")


def test_pictures_open_where_their_files_are(page):
    opened = [a for a in Reader(page).all("a") if a.get("class") == "open"]
    assert len(opened) > 50
    assert all(re.fullmatch(r"\.\./photos/\d+\.png", a["href"]) for a in opened)
    assert all(a["title"].endswith(a["href"].rpartition("/")[2]) for a in opened)
    assert "A picture opens its file" in page
    assert "A picture opens" not in render_page(**{**measure(), "link": lambda row: None})


def test_an_address_is_a_relative_path_whatever_the_name(tmp_path):
    names = ["a b.png", "javascript:alert(1).png", 'x"onclick=.png', "50%25.png", "ü#?.png", "sub/c.png", "\udcff.png"]
    (tmp_path / "home" / "builds" / "x").mkdir(parents=True)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in names:
        Path(tmp_path, "photos", name).touch()
    link = links(str(tmp_path / "photos"), tmp_path / "home" / "builds" / "x", [*names, "gone.png"].__getitem__)
    found = [link(row) for row in range(len(names))]
    assert found[0] == "../../../photos/a%20b.png"
    assert found[1] == "../../../photos/javascript%3Aalert%281%29.png"
    assert all(re.fullmatch(r"\.\./\.\./\.\./photos/[\w.%~/-]+", address, re.ASCII) for address in found)
    assert link(len(names)) is None, "no file, no link"
    # Nor where the pictures lie beside the page.
    beside = links(str(tmp_path / "photos"), tmp_path / "photos", names.__getitem__)
    assert ":" not in beside(1)
    assert links(None, tmp_path, names.__getitem__)(0) is None


def test_suspects_and_neighbours_carry_file_names(page, arguments):
    entry = arguments["details"]["neighbours"][0]
    strip = page.partition('<figure class="strip">')[2].partition("</figure>")[0]
    assert strip.count('class="name file"') == 1 + len(entry["hits"])
    assert f"{entry['hits'][0]['row']}.png</span>" in strip
    suspects = [{"row": 7, "label": "a", "majority": "b", "share": 0.9}]
    report = {"k": [1], "leaks": [], "label_suspects": suspects}
    pictures = Pictures(lambda row: None, lambda row: f"folder/{row}.png", [])
    drawn = section("errors", report=report, pictures=pictures, facts={})
    assert 'title="folder/7.png">folder/<wbr>7.png</span>' in drawn


def test_words():
    times = [0.4, 5.2, 31.2, 253, 1234, 12_345]
    assert [seconds(ms) for ms in times] == [f"{s}\u00a0s" for s in ("0.0004", "0.005", "0.03", "0.25", "1.2", "12")]
    assert breakable("a/b_c.d <e") == "a/<wbr>b_<wbr>c.d &lt;e"
    assert all("<script" not in breakable(name) for name in HOSTILE)


def test_a_large_figure_says_no_more_than_the_verdict(arguments):
    report = copy.deepcopy(arguments["report"])
    name = "Errors at the boundary: error@10"

    def shown(report):
        return {title: (value, words) for title, value, _, _, words in large(report, {})}[name]

    for interval in ([-0.3, -0.1], [-0.3, 0.3]):
        for entry in report["comparisons"]:
            entry |= {"n": 8, "interval": interval, "p_value": 0.01}
        report |= {"boundary_queries": 8, "boundary_error_least": 0.8}
        if interval[1] < 0:
            least = "80.0 % is the least that can be, as labels have fewer than 10 images to find"
            assert shown(report)[1].endswith(f"lower is better; {least}")
    assert shown(report) == ("–", "too few to tell: 8 queries, about 32 are needed")
    assert "too few to tell</strong>" in section("compared", report=report)


def test_what_next(page):
    labels = [
        {"label": "Kiwi", "queries": 3, "recall": {"1": 0.0}},
        {"label": "Lime", "queries": 8, "recall": {"1": 0.25}},
        {"label": "Pear", "queries": 9, "recall": {"1": 1.0}},
    ]
    report = {"build": "my-photos", "k": [1, 10], "per_class": labels}
    command = "simsearch build photos/ --set training.epochs=9 --set loss.name=triplet --name my-photos --retrain"
    found = steps(report, {"of_files": True, "head": True, "command": command})
    assert [command for _, command in found] == [
        "simsearch query IMAGE --build my-photos",
        "simsearch sync --build my-photos",
        "",
        "simsearch build photos/ --set loss.name=triplet --set embedder.train=all --name my-photos-finetuned",
    ]
    assert found[2][0] == "More pictures of Lime, the weakest label: 2 of its 8 queries find it first."
    alone = steps(report | {"per_class": None}, {"vectors": True})
    assert [command for _, command in alone] == ["simsearch query --vectors FILE.npy --build my-photos"]
    assert "What next</h3>" in page
