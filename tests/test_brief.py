"""The lines at the end of a build, and "too few to tell" in place of figures that say nothing."""

import pytest
from test_evaluation_summary import entry
from test_evaluation_summary import report as plain

from simsearch.report.brief import brief
from simsearch.report.summary import render_table, summarize
from simsearch.report.verdict import too_few


def report(*entries, queries=60, interval=(0.85, 0.95), **more):
    found = plain(0.05, 0.1, *entries) | {"queries": queries, "index": {"ann_recall": {"10": 1.0}}, **more}
    found["systems"]["recipe/index"]["intervals"] = {"recall": {"1": list(interval)}}
    return found


def test_how_good_and_what_is_confused_in_words():
    leaks = [
        {"label": "Kiwi", "other": "Lime", "count": 90, "queries": 12},
        {"label": "Granny-Smith", "other": "Golden-Delicious", "count": 80, "queries": 41},
    ]
    labels = [{"label": "Granny-Smith", "queries": 60}, {"label": "Kiwi", "queries": 20}]
    recall, confused, boundary = brief(report(entry(), leaks=leaks, per_class=labels))
    assert recall == ("Of 100 queries about 90 find their label first (recall@1 0.900 [0.850, 0.950], 60 queries)")
    assert confused == ("Most confused: Granny-Smith with Golden-Delicious (among the first 10 of 41 of 60 queries)")
    assert boundary == (
        "Hardest tenth of the queries, other labels among the first 10: 5.0 % against 10.0 % of 'baseline, distance', "
        "fewer (p = 0.001)"
    )


def test_only_what_a_label_cannot_help_is_no_confusion():
    """With 5 images of a label, 5 of the first 10 have another, and that much of the error is none."""
    rare = {"label": "c0", "other": "c1", "count": 1, "queries": 1, "of": 9, "k": 5}
    one = rare | {"of": 1}
    pair = rare | {"queries": 4}
    lines = [brief(report(leaks=[leak]))[1] for leak in (rare, one, pair)]
    assert lines == [
        "No label is often confused with another (none in 20 % of its queries)",
        "Most confused labels: too few to tell, no pair of them in 2 queries",
        "Most confused: c0 with c1 (among the first 5 of 4 of 9 queries)",
    ]
    assert "fewer (p = 0.001); 4" not in brief(report(entry(), boundary_error_least=0.04))[-1]
    assert brief(report(entry(), boundary_error_least=0.4))[-1].endswith(
        "fewer (p = 0.001); 40.0 % is the least that can be, as labels have fewer than 10 images to find"
    )


def test_nothing_is_confused_and_nothing_compared():
    assert brief(report())[1:] == ["No label is confused with another among the first 10"]


def test_without_labels_there_is_one_line():
    (line,) = brief(report() | {"unanswerable": None})
    assert line == "No labels, so quality is not measured; the index returns 1.0000 of the exact first 10."


@pytest.mark.parametrize(
    ("queries", "interval", "seen", "words"),
    [
        (5, (0.0, 0.0), False, "too few to tell: 5 queries, about 6 are needed"),
        (1, (-0.2, -0.2), True, "too few to tell: 1 query, about 6 are needed"),
        (6, (0.0, 0.0), False, None),
        (20, (-0.4, 0.2), False, "too few to tell: 20 queries, about 80 are needed"),
        (20, (-0.8, -0.2), True, None),
        (20, (-0.1, 0.2), False, None),
        (4, (0.4, 1.0), None, "too few to tell: 4 queries, about 16 are needed"),
        (4, None, None, None),
    ],
)
def test_too_few(queries, interval, seen, words):
    assert too_few(queries, interval, seen=seen) == words


def test_few_queries_give_words_instead_of_figures():
    few = report(entry(1.0, (0.0, 0.0), n=4), queries=8, interval=(0.5, 1.0))
    assert "8 queries, about 23 are needed" in brief(few)[0]
    assert brief(few)[-1].endswith("too few to tell: 4 queries, about 6 are needed")
    assert "p = 1" not in " ".join(brief(few))
    told = summarize(few)
    assert "too few to tell: 8 queries" in told
    assert "too few to tell: 4 queries" in told
    assert "p = " not in told
    table = few | {
        "build": "x", "gallery": 9, "classes": 3, "placebo": None, "verification": None, "few_shot": None,
        "summary": told,
        "index": {"factory": "Flat", "ann_recall": {"10": 1.0}, "qps": 1.0, "ntotal": 9, "bytes": 1},
    }  # fmt: skip
    row = next(line for line in render_table(table).splitlines() if line.startswith("baseline, distance error@10"))
    assert row.split()[2:] == ["error@10", "boundary", "4", "too", "few", "to", "tell"]


def test_one_query_is_one():
    assert "[0.850, 0.950], 1 query)" in brief(report(queries=1))[0]
