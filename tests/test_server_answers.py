"""What a server answers is what `simsearch query` answers, and what it tells of builds and images is so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import run_cli
from serving import served

from simsearch.home import Home
from simsearch.search import Searcher


@pytest.fixture(scope="module")
def server(built):
    with served(built[1], "photos") as found:
        yield found


def timeless(document, *without):
    return {key: value for key, value in document.items() if key not in ("milliseconds", *without)}


def printed(built, *arguments):
    done = run_cli("query", *arguments, "--json", "--build", "photos", "--home", built[1])
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "options",
    [{}, {"k": 3}, {"collapse": "true"}, {"min_score": 0.9, "k": 20}, {"max_far": 0.5, "k": 20}, {"not_self": "1"},
     {"where": "label = 'class 1' and image under 'class 1'", "k": 30}],
    ids=str,
)  # fmt: skip
def test_a_picture_gets_the_answer_of_query(server, built, options):
    path = built[0] / "class 1" / "03.png"
    flags = [f"--{key.replace('_', '-')}" + (f"={value}" if value not in ("true", "1") else "")
             for key, value in options.items()]  # fmt: skip
    (expected,) = printed(built, path, *flags)
    reply = server.form("/v1/search", {key: str(value) for key, value in options.items()},
                        image=("03.png", path.read_bytes()))  # fmt: skip
    assert reply.status == 200, reply.body
    own = ("digest", "id", "k", "offset", "left_out", "passing", "more", "place")
    seen = timeless(reply.json, "query", "hits", *own)
    assert seen == timeless(expected, "query", "hits")
    assert reply.json["query"] == "03.png"
    if "not_self" not in options:  # bytes have no name: a file is known by what it holds
        assert len(reply.json["hits"]) == len(expected["hits"])
    for hit, other in zip(reply.json["hits"], expected["hits"], strict=True):
        assert {k: v for k, v in hit.items() if k not in ("thumbnail", "full")} == {
            k: v for k, v in other.items() if k != "path"
        }
        full = server.get(hit["full"])
        assert full.body == Path(other["path"]).read_bytes()
        assert full.headers["content-type"] == "image/png"
        assert "immutable" in full.headers["cache-control"]
        assert server.get(hit["thumbnail"]).headers["content-type"] == "image/webp"


def test_an_image_of_the_corpus_gets_the_answer_to_its_file(server, built):
    path = built[0] / "class 2" / "05.png"
    (expected,) = printed(built, path)
    row = next(hit["row"] for hit in expected["hits"] if hit["same_file"])
    by_row = server.post("/v1/builds/photos/search", {"row": row, "digest": server.digest()}).json
    by_name = server.post("/v1/builds/photos/search", {"image": "class 2/05.png"}).json
    assert timeless(by_row) == timeless(by_name)
    assert by_row["query"] == "class 2/05.png"
    assert [hit["row"] for hit in by_row["hits"]] == [hit["row"] for hit in expected["hits"]]
    scores = [[hit["score"] for hit in one["hits"]] for one in (by_row, expected)]
    assert np.abs(np.subtract(*scores)).max() < 1e-5
    assert by_row["hits"][0]["same_file"]
    assert by_row["verdict"] == expected["verdict"]


def test_vectors_get_their_answers_one_or_many(server, built, tmp_path):
    with Searcher(Home(built[1]).build("photos")) as searcher:
        vectors = np.random.default_rng(0).normal(size=(5, searcher.dim)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    expected = printed(built, "--vectors", tmp_path / "v.npy", "--k", 4)
    reply = server.post("/v1/search", {"vectors": vectors.tolist(), "k": 4})
    assert reply.status == 200, reply.body
    for answer, other in zip(reply.json["answers"], expected, strict=True):
        assert answer["verdict"] == other["verdict"]
        assert [{key: hit[key] for key in other["hits"][0]} for hit in answer["hits"]] == other["hits"]
    one = server.post("/v1/search", {"vector": vectors[2].tolist(), "k": 4}).json
    assert timeless(one) == timeless(reply.json["answers"][2])
    assert server.post("/v1/search", {"vectors": []}).json["answers"] == []


def test_pages_of_an_answer_are_the_whole_of_it(server, built):
    picture = (built[0] / "class 0" / "01.png").read_bytes()
    whole = server.form("/v1/search", {"k": "12"}, image=picture).json
    parts = [server.form("/v1/search", {"k": "5", "offset": str(at)}, image=picture).json for at in (0, 5, 10)]
    assert [hit["rank"] for part in parts for hit in part["hits"]] == list(range(1, 16))
    assert [hit for part in parts for hit in part["hits"]][:12] == whole["hits"]
    assert all(part["more"] for part in parts)
    last = server.form("/v1/search", {"k": "1000"}, image=picture).json
    assert not last["more"]
    assert len(last["hits"]) == 30


def test_a_part_of_a_picture_is_searched_by(server, built):
    picture = (built[0] / "class 0" / "01.png").read_bytes()
    whole, all_of_it, part = (
        server.form("/v1/search", {"crop": crop} if crop else {}, image=picture).json
        for crop in ("", "0,0,1,1", "0,0,.5,.5")
    )
    scores = [[hit["score"] for hit in one["hits"]] for one in (whole, all_of_it, part)]
    assert np.allclose(scores[0], scores[1], atol=1e-5)
    assert scores[0] != scores[2]


def test_two_pictures_are_compared_as_query_does(server, built):
    one, other = built[0] / "class 0" / "01.png", built[0] / "class 1" / "01.png"
    (expected,) = printed(built, one, "--same", other)
    reply = server.form("/v1/builds/photos/same", one=("01.png", one.read_bytes()), other=other.read_bytes())
    assert reply.status == 200
    left = ("query", "other", "digest")
    assert timeless(reply.json, *left) == timeless(expected, *left)
    picked = {"one": {"image": "class 0/01.png"}, "other": {"image": "class 1/01.png"}}
    assert timeless(server.post("/v1/builds/photos/same", picked).json, *left) == timeless(expected, *left)


def test_it_tells_of_builds_labels_and_images(server, built):
    told = server.get("/v1/builds").json
    (build,) = told["builds"]
    assert told["default"] == build["name"] == "photos"
    assert (build["images"], build["labels"], build["labelled"]) == (30, 3, True)
    assert build["can"]["search"]
    assert not build["can"]["defects"]
    start = f"/v1/builds/photos/{build['digest']}"
    labels = server.get(f"{start}/labels").json["labels"]
    assert labels == [{"label": f"class {n}", "images": 10} for n in range(3)]
    twelve = [server.get(f"{start}/start?seed={seed}").json["images"] for seed in (1, 1, 2)]
    assert twelve[0] == twelve[1] != twelve[2]
    assert len({one["row"] for one in twelve[0]}) == 12
    image = server.get(f"{start}/images/{twelve[0][0]['row']}").json
    assert image["columns"] == {"image": image["image"], "label": image["label"]}
    assert {one["label"] for one in image["folder"]} == {image["label"]}
    assert len(image["folder"]) == 9
    assert image["row"] not in {one["row"] for one in image["folder"]}
    assert server.get(f"{start}/report").body == (built[1] / "builds" / "photos" / "report.html").read_bytes()
    assert server.get(f"{start}/map").status == 404
    assert server.get("/healthz").status == server.get("/readyz").status == 200
    assert server.get("/readyz").json["builds"] == {"photos": build["digest"]}


def test_a_file_that_changed_is_not_shown_as_what_the_build_saw(ours):
    folder, home = ours
    with served(home, "photos") as server:
        start = f"/v1/builds/photos/{server.digest()}/images"
        row = server.service.shelf.now().searcher.corpus.names["class 0/00.png"]
        assert server.get(f"{start}/{row}/full").status == 200
        shutil.copy(folder / "class 1" / "00.png", folder / "class 0" / "00.png")
        reply = server.get(f"{start}/{row}/full")
        assert (reply.status, "changed since" in reply.json["detail"]) == (404, True)
        assert server.get(f"{start}/{row}/thumbnail").status == 200


def test_the_page_of_what_can_be_asked_needs_nothing_from_elsewhere(server):
    page = server.get("/docs")
    assert page.status == 200
    text = page.body.decode()
    assert "/v1/builds/{name}/search" in text
    assert "://" not in text
    assert "default-src &#39;self&#39;" not in text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert server.get("/").headers["content-type"].startswith("text/html")
    assert server.get("/page/plain.css").headers["content-type"].startswith("text/css")
