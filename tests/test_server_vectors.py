"""A build of vectors, served: many of one request get the answers of `simsearch query`, and the page shows it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browsing import browser as browser  # a fixture
from browsing import visiting
from conftest import run_cli
from serving import served
from test_import import ASKED, ROWS, labelled_folder

from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home
from simsearch.search import Question, Searcher

RARE = ({"min_score": 0.9}, {"not_self": True}, {"collapse": True})  # what is not told of score and row alone


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with the builds `plain`, without labels, and `tagged`, whose labels give rates."""
    root = tmp_path_factory.mktemp("vectors")
    np.save(root / "x.npy", ROWS)
    np.save(root / "q.npy", ASKED)
    run_import(str(root / "x.npy"), Home(root), "plain", {"factory": "IVF4,Flat"})
    run_import(str(labelled_folder(root / "tagged")), Home(root), "tagged", {})
    return root


@pytest.fixture(scope="module", params=["plain", "tagged"])
def server(home, request):
    with served(home, request.param) as found:
        yield found


def timeless(body):
    whole = json.loads(body)
    for answer in whole["answers"]:
        del answer["milliseconds"]
    return json.dumps(whole)


def test_many_vectors_get_the_answers_of_query(server, home):
    (name,) = server.service.shelf.names
    done = run_cli("query", "--vectors", home / "q.npy", "--k", 7, "--json", "--build", name, "--home", home)
    expected = [json.loads(line)["hits"] for line in done.stdout.splitlines()]
    answers = server.post("/v1/search", {"vectors": ASKED.tolist(), "k": 7}).json["answers"]
    assert [[{key: hit[key] for key in expected[0][0]} for hit in one["hits"]] for one in answers] == expected
    assert len(answers[0]["hits"]) == 7


@pytest.mark.parametrize(
    "asked",
    [{}, {"k": 1}, {"k": 3, "offset": 4}, {"k": 5, "offset": 400}, {"k": 1000}, {"k": 3, "where": "image = '{}'"},
     {"k": 8, "where": "image != '{}'"}, *RARE],
    ids=str,
)  # fmt: skip
def test_what_is_told_of_score_and_row_alone_is_told_alike(server, asked, monkeypatch):
    whole = {"vectors": [*ASKED.tolist(), ROWS[3].tolist()], **asked}
    if "where" in asked:
        whole["where"] = asked["where"].format(server.service.shelf.now().searcher.corpus.records[3].image)
    short = server.post("/v1/search", whole)
    assert short.status == 200, short.body
    seen = []
    monkeypatch.setattr(Searcher, "nearest_rows", lambda self, vectors, question: seen.append(question))
    assert timeless(server.post("/v1/search", whole).body) == timeless(short.body)
    assert len(seen) == 1


def test_where_more_is_known_score_and_row_are_not_enough(home):
    one = np.ones((2, 8), dtype=np.float32)
    with Searcher(Home(home).build("plain")) as plain, Searcher(Home(home).build("tagged")) as tagged:
        assert plain.nearest_rows(one).rows.shape == (2, 10)
        assert tagged.nearest_rows(one) is None
        for asked in RARE:
            assert plain.nearest_rows(one, Question(**asked)) is None


@pytest.mark.slow
def test_the_page_of_vectors_searches_by_one_of_them(home, browser):
    with served(home, "tagged") as server, visiting(browser, server) as visit:
        visit.tab.wait_for_selector("#starts a")
        assert visit.text("#about").startswith("300 vectors, 5 labels")
        assert not visit.tab.locator("#query").is_visible()  # no picture can be given
        visit.start()
        rows = visit.rows()
        assert len(rows) == 10
        assert not visit.tab.locator("#replace").is_visible()
        assert not visit.tab.locator("#part").is_visible()
        name = visit.text("#called strong")
        answer = server.post("/v1/search", {"image": name, "not_self": True}).json
        assert rows == [hit["row"] for hit in answer["hits"]]
        visit.tab.locator("#hits > li a").first.click()
        visit.until("([name]) => document.querySelector('#called strong').textContent !== name", name)
        visit.answered()
        assert not visit.unexpected()
