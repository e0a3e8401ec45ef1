"""A server for packs: the answers of the build, thumbnails and a map without photos and features, a new pack seen."""

from __future__ import annotations

import os

import numpy as np
import pytest
from commands import run_cli
from conftest import SMALL, write_folder
from serving import served

from simsearch.errors import ArtifactError
from simsearch.evaluation.details.placed import Places
from simsearch.home import Home
from simsearch.server.shelf import Shelf


def export(home, out):
    run_cli("export", "photos", "--format", "pack", "--out", out, "--home", home, check=0)
    return out


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """(folder, home) of a build `photos` with a map, and its pack."""
    root = tmp_path_factory.mktemp("mapped")
    folder = write_folder(root / "photos")
    settings = SMALL[: SMALL.index("evaluation.map=false") - 1]
    run_cli("build", folder, *settings, "--home", root / "first", check=0)
    return folder, root / "first", export(root / "first", root / "shelf.pack")


def test_it_is_served_as_the_build_is(mapped, home):
    folder, first, pack = mapped
    query = (folder / "class 0" / "00.png").read_bytes()
    with served(home, str(pack)) as server, served(first, "photos") as own:
        found, known = (one.form("/v1/search", {"k": 5}, image=query).json for one in (server, own))
        assert [(hit["row"], hit["score"]) for hit in found["hits"]] == [
            (hit["row"], hit["score"]) for hit in known["hits"]
        ]
        assert found["verdict"] == known["verdict"]
        assert {hit["full"] for hit in found["hits"]} == {None}
        assert server.get(found["hits"][0]["thumbnail"]).body == own.get(known["hits"][0]["thumbnail"]).body
        told, first_told = (one.get("/v1/builds").json["builds"][0] for one in (server, own))
        assert told["can"] == {**first_told["can"], "suspects": False, "originals": False}
        assert first_told["can"]["suspects"]
        assert first_told["can"]["originals"]
        assert told["figures"] == first_told["figures"]
        place = f"/v1/builds/photos/{server.digest()}"
        assert server.get(f"{place}/report").body.lower().startswith(b"<!doctype html>")
        points = server.get(f"{place}/map").json["points"]
        others = own.get(f"/v1/builds/photos/{own.digest()}/map").json["points"]
        assert points == others
        assert points
        assert server.get(f"{place}/suspects").status == 404
        assert server.get(f"{place}/duplicates").json["groups"] is not None
        assert found["place"] == known["place"] is not None


def test_a_pack_put_in_its_place_is_seen(mapped, home, tmp_path):
    folder, _, pack = mapped
    shelf = tmp_path / "x.pack"
    shelf.write_bytes(pack.read_bytes())
    with served(home, str(shelf)) as server:
        before = server.digest()
        assert server.service.shelf.newer("photos") is None
        run_cli("build", folder, *SMALL, "--set", "training.seed=1", "--home", tmp_path / "other", check=0)
        os.replace(export(tmp_path / "other", tmp_path / "new.pack"), shelf)
        newer = server.service.shelf.newer("photos")
        assert newer is not None
        assert newer.pack == shelf
        opened = server.service.shelf.try_open(newer)
        assert opened is not None
        assert opened.digest != before
        opened.let_go()


def test_two_packs_of_one_name_are_refused(mapped, home, tmp_path):
    _, first, pack = mapped
    paths = [tmp_path / folder / "x.pack" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(pack.read_bytes())
    done = run_cli("serve", "--home", home, "--port", 0, "--build", paths[0], "--build", paths[1], check=2)
    error, hint = done.stderr.splitlines()
    assert error == (
        f"error: expected builds of different names, seen photos in pack {paths[0]} and in pack {paths[1]}"
    )
    assert hint.startswith("hint: serve each by a server of its own")
    with pytest.raises(ArtifactError, match=f"seen photos in home {first} and in pack {pack}"):
        Shelf(Home(first), ["photos", str(pack)])
    with served(home, str(pack), str(pack)) as server:
        assert [build["name"] for build in server.get("/v1/builds").json["builds"]] == ["photos"]


def test_places_that_are_none_are_refused():
    places = Places(np.array([1, 4]), np.zeros((2, 2), np.float32), np.array([4]))
    assert Places.from_bytes(places.to_bytes()).drawn.tolist() == [4]
    assert Places.from_bytes(places.to_bytes()).of([4]).tolist() == [[0, 0]]
    strange = Places(np.array([1, 4]), np.zeros((3, 2), np.float32), np.array([4])).to_bytes()
    for data in (b"", b"x", places.to_bytes()[:-30], strange):
        with pytest.raises(ArtifactError, match="places on the map"):
            Places.from_bytes(data)
