"""Who may ask a server: by its own names, from its own page, with its token; and what is said when it is busy."""

from __future__ import annotations

import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from conftest import run_cli
from serving import served
from test_server_bad_input import is_problem

from simsearch.server.guards import Hosts, Token

WORD = "a-word-of-more-than-sixteen"


@pytest.fixture(scope="module")
def server(built):
    with served(built[1], "photos") as found:
        yield found


@pytest.fixture(scope="module")
def locked(built):
    with served(built[1], "photos", token=Token(WORD)) as found:
        yield found


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_names_of_this_computer_are_known(server, host):
    assert server.get("/v1/builds", Host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.com", "192.168.1.7", ""])
def test_other_names_are_refused(server, host):
    assert is_problem(server.get("/v1/builds", Host=host), 421)


def test_a_server_for_others_knows_addresses_and_the_names_that_it_is_given():
    hosts = Hosts("0.0.0.0", ["search.example"])
    assert all(map(hosts.knows, ["192.168.1.7:8000", "[fe80::1]:8000", "search.example", "Search.Example:80"]))
    assert not any(map(hosts.knows, ["evil.example", "search.example.evil", "1.2.3.4.evil.example", ":80", ""]))
    for odd in (
        "[::1",
        "[::1].evil.example",
        "localhost:evil.example",
        "localhost:80:80",
        "me@localhost",
        "::1:80",
        "[]",
    ):
        assert not Hosts("127.0.0.1").knows(odd)
    assert all(map(Hosts("127.0.0.1").knows, ["localhost", "LocalHost.:8000", "[::1]:8000", "127.0.0.1:"]))


def test_no_page_of_another_site_can_ask(server):
    own = f"http://127.0.0.1:{server.port}"
    asked = {"row": 1}
    assert server.post("/v1/search", asked, Origin=own).status == 200
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}", "", f"{own}.evil.example"):
        assert is_problem(server.post("/v1/search", asked, Origin=origin), 403)
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert server.post("/v1/search", asked, **{"Sec-Fetch-Site": site}).status == status
    text = server.ask("POST", "/v1/search", b'{"row": 1}', {"Content-Type": "text/plain"})
    assert is_problem(text, 415)


def test_nothing_is_told_without_the_token(locked):
    digest = locked.digest()
    for path in ("/", "/v1/builds", "/metrics", "/openapi.json", "/docs", f"/v1/builds/photos/{digest}/images/1/full"):
        reply = locked.get(path)
        assert is_problem(reply, 401)
        assert reply.headers["www-authenticate"] == "Bearer"
        assert locked.get(path, Authorization=f"Bearer {WORD}").status == 200
        assert is_problem(locked.get(path, Authorization="Bearer another-word-of-that-length"), 401)
    assert is_problem(locked.post("/v1/search", {"row": 1}), 401)
    assert locked.get("/healthz").status == locked.get("/readyz").status == 200
    led = locked.get("/", Accept="text/html,*/*")
    assert (led.status, led.headers["location"]) == (303, "/login")


def test_a_browser_gets_a_cookie_that_no_script_and_no_other_site_can_use(locked):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert b'type="password"' in locked.get("/login").body
    started = time.perf_counter()
    assert locked.ask("POST", "/login", b"token=wrong", kind).status == 403
    assert time.perf_counter() - started > 0.4
    for wrong in (b"a=1&" * 2000, b"token=" + b"x" * 10**6, b"\xff=%ff;&&==", b""):
        assert locked.ask("POST", "/login", wrong, kind).status == 403
    assert is_problem(locked.ask("POST", "/login", b"token=x", {**kind, "Origin": "http://evil.example"}), 403)
    reply = locked.ask("POST", "/login", f"token={WORD}".encode(), kind)
    cookie = reply.headers["set-cookie"]
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert WORD not in cookie
    pair = cookie.partition(";")[0]
    assert locked.get("/v1/builds", Cookie=pair).status == 200
    assert locked.get("/v1/builds", Cookie=f"other=1; {pair}").status == 200
    for wrong in (pair + "0", pair.partition("=")[0] + "=", '"', "a b;;=", "\xff=\xff"):
        assert is_problem(locked.get("/v1/builds", Cookie=wrong), 401)


def test_a_token_is_read_from_its_file_and_is_long(built, tmp_path):
    for text in ("short", "", "x" * 15 + " y" + "\n" * 3 + "z"):
        (tmp_path / "token").write_text(text)
        done = run_cli("serve", "--home", built[1], "--token-file", tmp_path / "token", check=2)
        assert "is not at least 16" in done.stderr
    done = run_cli("serve", "--home", built[1], "--token-file", tmp_path / "none", check=2)
    assert "cannot read the token" in done.stderr
    assert stat.S_ISREG((tmp_path / "token").stat().st_mode)


@contextmanager
def held(server):
    """Let no search by a row end within the block; yields the rows that were begun, once each."""
    searcher, gate, begun = server.service.shelf.now().searcher, threading.Event(), []
    own = searcher.ask_row

    def waits(row, question):
        begun.append(row)
        assert gate.wait(120)
        return own(row, question)

    searcher.ask_row = waits
    try:
        yield begun
    finally:
        gate.set()
        searcher.ask_row = own


def until(condition, seconds=60):
    end = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < end
        time.sleep(0.005)


def by_row(server, row):
    return server.post("/v1/search", {"row": row})


def test_a_full_queue_says_so_at_once(built):
    with served(built[1], "photos", threads=1, queue=4) as server, ThreadPoolExecutor(4) as pool:
        with held(server):
            waiting = [pool.submit(by_row, server, row) for row in range(4)]
            until(lambda: server.service.work.held == 4)
            took = []
            for row in range(4, 12):
                started = time.perf_counter()
                reply = by_row(server, row)
                took.append(time.perf_counter() - started)
                assert is_problem(reply, 503)
                assert reply.headers["retry-after"] == "1"
            assert sorted(took)[len(took) // 2] < 0.1
        assert [one.result().status for one in waiting] == [200] * 4
        assert by_row(server, 1).status == 200
        assert b"simsearch_refused 8.0" in server.get("/metrics").body


def test_what_is_asked_twice_at_once_is_done_once(built):
    with served(built[1], "photos", threads=2) as server, ThreadPoolExecutor(8) as pool:
        with held(server) as begun:
            waiting = [pool.submit(by_row, server, row) for row in [3] * 6 + [4] * 2]
            until(lambda: server.service.work.shared == 6)
        replies = [one.result() for one in waiting]
        assert {reply.status for reply in replies} == {200}
        assert sorted(begun) == [3, 4]
        assert len({reply.body for reply in replies}) == 2
        assert server.service.shelf.now().users == 0


def test_a_request_that_takes_too_long_is_given_up(built):
    with served(built[1], "photos", seconds=0.2) as server:
        with held(server):
            reply = by_row(server, 1)
            assert is_problem(reply, 503)
            assert "0.2 s" in reply.json["detail"]
            assert "retry-after" in reply.headers
            assert server.service.work.held == server.service.shelf.now().users == 1
        until(lambda: server.service.work.held == 0)
        assert server.service.shelf.now().users == 0
        assert by_row(server, 2).status == 200


def test_bodies_that_are_held_at_once_are_bounded(built):
    photo = b"x" * 2**19
    with served(built[1], "photos", held_bytes=2**20, body_seconds=5.0) as server:
        head = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += b"Content-Length: 900000\r\n"
        found, threads = [], []
        for _ in range(4):
            thread = threading.Thread(target=lambda: found.append(server.raw(head + b"\r\n" + photo)))
            thread.start()
            threads.append(thread)
        time.sleep(0.5)
        assert server.service.bodies.held <= 2**20 + 2**18
        for thread in threads:
            thread.join(15)
        assert sum(b"HTTP/1.1 503" in one[:20] for one in found) >= 1
        assert server.get("/healthz").status == 200


def test_what_is_counted(server):
    server.post("/v1/search", {"row": 1})
    server.get("/v1/builds/none/none/labels")
    reply = server.get("/metrics")
    text = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/plain")
    assert 'simsearch_requests_total{method="POST",route="/v1/search",status="200"}' in text
    assert 'route="/v1/builds/{name}/{digest}/labels",status="404"' in text
    assert f'simsearch_images{{build="photos",digest="{server.digest()}"}} 30.0' in text
