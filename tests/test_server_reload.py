"""A build that gets something new while it is served: no request is lost, and no answer is of two states."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import threading
import time
import weakref

import pytest
from conftest import artifact_file, picture, run_cli
from sealing import seal
from serving import served
from synced import record, sync
from test_server_bad_input import is_problem
from test_server_guards import by_row, held, until

from simsearch.server import reloading
from simsearch.server.watching import Watching, name_of


def image(server, name):
    """Row of an image of the state that is open, None where it is not there."""
    return server.service.shelf.now().searcher.corpus.names.get(name)


def test_what_a_sync_brings_is_served_without_a_restart(ours):
    folder, home = ours
    with served(home, "photos") as server:
        before = server.digest()
        assert server.look() == []
        picture(1, 500).save(folder / "class 1" / "new.png")
        (folder / "class 2" / "09.png").unlink()
        sync(home, None, "photos")
        (said,) = server.look()
        assert said.startswith("switched to the new build of photos (sync: +1 images, -1, ")
        assert said.endswith(" s), no request lost")
        after = server.digest()
        assert after != before
        asked = (folder / "class 1" / "new.png").read_bytes()
        best = server.form("/v1/search", {"k": "1"}, image=asked).json["hits"][0]
        assert (best["image"], best["same_file"], after in best["full"]) == ("class 1/new.png", True, True)
        assert server.get(best["full"]).body == asked
        assert is_problem(server.get(best["full"].replace(after, before)), 410)
        assert is_problem(server.post("/v1/search", {"row": 1, "digest": before}), 410)
        assert is_problem(server.post("/v1/search", {"image": "class 2/09.png"}), 404)
        assert server.look() == []
        assert server.get("/readyz").json == {"ready": True, "builds": {"photos": after}, "faults": {}}
        assert b'simsearch_reloads_total{build="photos",outcome="exchanged"} 1.0' in server.get("/metrics").body


def test_an_old_state_answers_to_its_last_request_and_is_then_freed(ours):
    folder, home = ours
    with served(home, "photos") as server:
        old = server.service.shelf.now()
        found = []
        with held(server) as begun:
            thread = threading.Thread(target=lambda: found.append(by_row(server, 3)))
            thread.start()
            until(lambda: begun)
            picture(1, 500).save(folder / "class 1" / "new.png")
            sync(home, None, "photos")
            assert len(server.look()) == 1
            assert not old.searcher.closed
        thread.join(10)
        assert (found[0].status, found[0].json["digest"]) == (200, old.digest)
        until(lambda searcher=old.searcher: searcher.closed)
        gone = weakref.ref(old)
        del old
        until(lambda: gc.collect() >= 0 and gone() is None)


def test_memory_is_given_back_once_the_last_request_has_ended(ours, monkeypatch):
    folder, home = ours
    with served(home, "photos") as server:
        old, seen = server.service.shelf.now(), []
        monkeypatch.setattr(reloading, "_give_back", lambda: seen.append(old.users))
        assert old.use()
        picture(1, 500).save(folder / "class 1" / "new.png")
        sync(home, None, "photos")
        ending = threading.Thread(target=lambda: (until(lambda: server.digest() != old.digest), old.done()))
        ending.start()
        assert len(server.look()) == 1
        ending.join(10)
        assert seen == [0]


def test_a_new_state_that_fails_its_check_leaves_the_old_in_place(ours):
    folder, home = ours
    with served(home, "photos") as server:
        before = server.digest()
        picture(1, 500).save(folder / "class 1" / "new.png")
        sync(home, None, "photos")
        path = artifact_file(home, "index", "index.faiss")
        whole = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(whole[:-8] + b"damaged!")
        (said,) = server.look()
        assert "failed its check, the one before answers on" in said
        assert server.look() == []
        ready = server.get("/readyz")
        assert (ready.status, ready.json["builds"]) == (200, {"photos": before})
        assert "sha256" in ready.json["faults"]["photos"]["why"]
        assert by_row(server, 1).json["digest"] == before
        path.write_bytes(whole)
        server.service.shelf.faults["photos"] = type(server.service.shelf.faults["photos"])(
            ready.json["faults"]["photos"]["digest"], "mended since", time.monotonic() - 61
        )
        assert len(server.look()) == 1, server.service.shelf.faults
        assert server.digest() == ready.json["faults"]["photos"]["digest"]
        assert server.get("/readyz").json["faults"] == {}


def test_a_file_of_a_build_that_is_damaged_or_gone_changes_nothing(ours):
    home = ours[1]
    with served(home, "photos") as server:
        path = home / "builds" / "photos.json"
        whole = path.read_bytes()
        path.write_bytes(b"{")
        (said,) = server.look()
        assert said.endswith("what photos was answers on")
        assert "is damaged" in server.get("/readyz").json["faults"]["photos"]["why"]
        path.unlink()
        assert server.look() == []
        assert "no build 'photos'" in server.get("/readyz").json["faults"]["photos"]["why"]
        assert by_row(server, 1).status == 200
        path.write_bytes(whole)
        assert server.look() == []
        assert server.get("/readyz").json["faults"] == {}
        assert by_row(server, 1).status == 200


def test_a_switch_is_followed(ours):
    home = ours[1]
    again = record(home)
    again["search"] = {**again["search"]}
    seal(home / "builds" / "next.json", {**again, "pins": ["0" * 64]})
    with served(home, "photos") as server:
        before = server.digest()
        path = home / "builds" / "photos.json"
        changed = json.loads(path.read_bytes())
        shutil.copytree(ours[0], ours[0].with_name("moved"))
        seal(path, {**changed, "root": str(ours[0].with_name("moved"))})
        (said,) = server.look()
        assert said.startswith("switched to the new build of photos (build: 30 images")
        assert server.digest() != before


def client(server, folder, digests, stop, wrong, counts):
    """Search, and check that the file of a hit is what its name says; one more request at a time."""
    asked = [path.read_bytes() for path in sorted(folder.rglob("0[1-3].png"))]
    number = 0
    while not stop.is_set():
        number += 1
        reply = server.form("/v1/search", {"k": "5"}, image=asked[number % len(asked)])
        counts.append(reply.status)
        if reply.status != 200:
            wrong.append(reply.body)
            continue
        for hit in reply.json["hits"][:2]:
            if hit["full"] is None:  # gone, and not yet synced
                continue
            full = server.get(hit["full"])
            counts.append(full.status)
            if full.status == 200:
                seen = hashlib.sha256(full.body).hexdigest()
                if digests.get(hit["image"], seen) != seen:
                    wrong.append((hit["full"], [n for n, d in digests.items() if d == seen], hit["image"]))
            elif full.status not in (404, 410):  # deleted, or of a state before
                wrong.append((hit, full.body))


def exchanged_under_load(ours, times):
    """Exchange a build so many times while four clients look at pictures; returns how often rows moved."""
    folder, home = ours
    digests = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
               for path in folder.rglob("*.png")}  # fmt: skip
    for number in range(times):  # a name is of one picture for good
        name = f"class {number % 3}/more-{number}.png"
        picture(number % 3, 1000 + number).save(folder / name)
        digests[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / name).rename(folder.parent / f"{number}.png")
    stop, wrong, counts, moved = threading.Event(), [], [], 0
    with served(home, "photos") as server:
        states = {server.digest()}
        arguments = (server, folder, digests, stop, wrong, counts)
        threads = [threading.Thread(target=client, args=arguments) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(times):
            (folder.parent / f"{number}.png").rename(folder / f"class {number % 3}" / f"more-{number}.png")
            if number >= 3:  # rows move when a build is compacted
                (folder / f"class {number % 3}" / f"more-{number - 3}.png").unlink()
            before = server.service.shelf.now().searcher.corpus.names
            done = sync(home, None, "photos")
            assert len(server.look()) == 1
            states.add(server.digest())
            after = server.service.shelf.now().searcher.corpus.names
            assert done.compacted == any(after[name] != row for name, row in before.items() if name in after)
            moved += done.compacted
        stop.set()
        for thread in threads:
            thread.join(150)
        assert not wrong, wrong[:3]
        assert len(states) == times + 1
        assert counts.count(200) > times
        assert server.service.shelf.now().users == 0
    return moved


def test_builds_are_exchanged_under_load(ours):
    exchanged_under_load(ours, 4)


@pytest.mark.slow
def test_pictures_are_their_own_across_50_exchanges_and_compactions(ours):
    assert exchanged_under_load(ours, 50) >= 5


def test_a_watched_folder_is_synced_when_files_come(ours):
    folder, home = ours
    log = []

    def beside(service, reloading):
        assert name_of(service.shelf, str(folder)) == "photos"
        return (Watching(service, str(folder), "photos", home, log.append).watch,)

    def told(server):
        return server.get("/v1/builds").json["builds"][0]["watching"]

    with served(home, "photos", beside=beside) as server:
        until(lambda: told(server)["state"] == "watching", 60)
        picture(1, 500).save(folder / "class 1" / "new.png")
        until(lambda: told(server)["message"] == "1 added", 60)
        assert told(server) == {"folder": str(folder), "state": "watching", "message": "1 added"}
        server.look()
        assert image(server, "class 1/new.png") is not None
        for path in list(folder.rglob("0*.png"))[:20]:  # more than a fifth at once are not believed
            path.unlink()
        until(lambda: told(server)["state"] == "failed", 60)
        assert "deleted" in told(server)["message"] or "gone" in told(server)["message"]
        assert len(log) == 1
        assert by_row(server, 1).status == 200


def test_what_cannot_be_watched_is_refused(built, tmp_path):
    for folder, said in ((tmp_path, "none of photos was made from"), (tmp_path / "none", "there is no folder")):
        done = run_cli("serve", "--home", built[1], "--build", "photos", "--watch", folder, "--port", 0, check=2)
        assert said in done.stderr
