"""Whatever is sent to a server, it answers with a problem document of 4xx, and the next request as ever."""

from __future__ import annotations

import json
import socket
import struct
import time
import zlib

import numpy as np
import pytest
from serving import BOUNDARY, FORM, form_body, served

from simsearch.images.encoding import png_of
from simsearch.server.limits import HEADER_BYTES

LIMITS = {"body_bytes": 2**20, "pixels": 10**6, "header_seconds": 0.5, "body_seconds": 1.0}


@pytest.fixture(scope="module")
def server(built):
    with served(built[1], "photos", **LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def photo(built):
    return (built[0] / "class 0" / "01.png").read_bytes()


@pytest.fixture(autouse=True)
def the_next_request_is_served(server, photo):
    yield
    assert server.form("/v1/search", image=photo).status == 200
    assert server.service.work.held == 0


def is_problem(reply, *statuses):
    assert reply.status in statuses, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["status"] == reply.status
    assert reply.json["detail"]
    assert b"Traceback" not in reply.body
    assert reply.headers["content-security-policy"].startswith("default-src 'self'")
    return True


def bomb(side):
    """A PNG of side x side black pixels, in a few kilobytes."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(10**6), 9)),
              (b"IEND", b"")]  # fmt: skip
    parts = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
             for name, data in chunks]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_pictures_that_are_none(server, photo):
    for data in (
        b"just text",
        b"\xff\xd8\xff\xe0 no more",
        photo[: len(photo) // 2],
        photo[:10],
        b"%PDF-1.7",
        b"GIF89a",
    ):
        assert is_problem(server.form("/v1/search", image=data), 422)
        assert is_problem(server.form("/v1/builds/photos/same", one=photo, other=data), 422)
    assert is_problem(server.form("/v1/search", image=b""), 422)
    assert is_problem(server.form("/v1/search", {"k": "3"}), 422)
    assert is_problem(server.form("/v1/search", {"image": "x.png"}), 422)
    assert is_problem(server.form("/v1/search", image=photo, other=photo), 422)
    assert is_problem(server.form("/v1/builds/photos/same", one=photo), 422)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(server):
    for side in (30_000, 1001):
        started = time.perf_counter()
        reply = server.form("/v1/search", image=bomb(side))
        assert is_problem(reply, 413)
        assert f"{side:,} x {side:,}" in reply.json["detail"]
        assert time.perf_counter() - started < 1
    assert is_problem(server.form("/v1/builds/photos/same", one=bomb(30_000), other=bomb(30_000)), 413)
    assert server.form("/v1/search", image=png_of(np.zeros((1000, 1000), np.uint8))).status in (200, 422)


def test_a_body_that_is_too_large_is_refused_by_its_head(server):
    head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
    reply = server.raw(f"{head}Content-Length: 104857600\r\nConnection: close\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in reply
    assert is_problem(server.ask("POST", "/v1/search", b"x" * (2**20 + 1), FORM), 413)
    chunks = (b"%x\r\n%s\r\n" % (65536, b"x" * 65536) for _ in range(40))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for chunk in chunks:
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("key", ["k", "offset"])
@pytest.mark.parametrize("value", [-1, 10**9, 10**30, 1.5, "ten", None, [], True])
def test_counts_that_are_none(server, photo, key, value):
    assert is_problem(server.post("/v1/search", {"row": 1, key: value}), 422)
    if value is not None and value is not True:
        assert is_problem(server.form("/v1/search", {key: str(value)}, image=photo), 422)


def test_k_is_at_least_one(server, photo):
    assert is_problem(server.form("/v1/search", {"k": "0"}, image=photo), 422)
    assert is_problem(server.post("/v1/search", {"row": 1, "k": 0}), 422)


@pytest.mark.parametrize(
    "asked",
    [{"vector": [0.0] * 64}, {"vector": []}, {"vector": [1.0] * 63}, {"vector": [1e300] * 64}, {"vector": "x"},
     {"vectors": [[1.0] * 64, [1.0]]}, {"vectors": [1.0]}, {"vectors": [[0.0] * 64]}, {"vector": [None] * 64},
     {"vector": [1.0] * 64, "crop": "0,0,1,1"}, {}, {"row": 1, "image": "x"}, {"row": -1}, {"row": 2**40}, {"row": "1"},
     {"row": 1, "min_score": "high"}, {"row": 1, "min_score": 2}, {"row": 1, "max_far": 0}, {"row": 1, "unknown": 1},
     {"row": 1, "where": "label ="}, {"row": 1, "where": "label = nobody"}, {"row": 1, "where": "(" * 5000},
     {"row": 1, "where": "a" * 20_000}, {"row": 1, "crop": "0,0,2,2"}, {"row": 1, "crop": "0,0,0,0"},
     {"row": 1, "crop": "nan,0,1,1"}, {"row": 1, "collapse": "yes"}, [], "x", None, 7],
    ids=lambda asked: str(asked)[:40],
)  # fmt: skip
def test_documents_that_ask_nothing(server, asked):
    assert is_problem(server.post("/v1/search", asked), 422)


def test_the_hint_of_a_filter_names_no_option_of_the_command_line(server):
    reply = server.post("/v1/search", {"row": 1, "where": "label = 'open"})
    assert is_problem(reply, 422)
    hint = json.loads(reply.body)["hint"]
    assert hint.startswith('as "label in (apple, pear)')
    assert "--" not in hint


def test_bodies_that_cannot_be_read(server, photo):
    for body in (
        b"",
        b"{",
        b'{"row": NaN}',
        b'{"vector": [NaN]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"row": 1}{"row": 2}',
    ):
        assert is_problem(server.post("/v1/search", body), 400, 413, 422)
    whole = form_body({}, {"image": photo})
    for body in (b"", whole[:50], whole[:-10], b"no form", whole.replace(b"name=", b"game="), b"--" * 10_000):
        assert is_problem(server.ask("POST", "/v1/search", body, FORM), 400, 422)
    many = form_body({f"k{n}": "1" for n in range(1000)}, {})
    assert is_problem(server.ask("POST", "/v1/search", many, FORM), 400, 422)
    assert is_problem(server.form("/v1/search", {"where": "x" * 10**5}, image=photo), 422)
    twice = form_body({"k": "1"}, {})[: -len(BOUNDARY) - 6] + form_body({"k": "2"}, {"image": photo})
    assert is_problem(server.ask("POST", "/v1/search", twice, FORM), 422)
    for kind in ("text/plain", "image/png", "multipart/form-data", "application/x-www-form-urlencoded", ""):
        assert is_problem(server.ask("POST", "/v1/search", whole, {"Content-Type": kind}), 400, 415)
    long = {"Content-Type": f"multipart/form-data; boundary={'b' * 10_000}"}
    assert is_problem(server.ask("POST", "/v1/search", whole, long), 400)
    packed = {**FORM, "Content-Encoding": "gzip"}
    assert is_problem(server.ask("POST", "/v1/search", zlib.compress(whole), packed), 415)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%252f..%252fetc%252fpasswd",
     "..%5c..%5cetc%5cpasswd", "%00", "photos%00", "photos/../photos", "%c0%ae%c0%ae%c0%af", "photos.json", "a" * 5000],
)  # fmt: skip
def test_names_that_lead_elsewhere(server, photo, name):
    digest = server.digest()
    for path in (f"/v1/builds/{name}/{digest}/images/1/full", f"/v1/builds/photos/{name}/images/1/full",
                 f"/v1/builds/photos/{digest}/images/{name}/full", f"/page/{name}", f"/{name}",
                 f"/v1/builds/{name}/{digest}/report", f"/v1/builds/photos/{digest}/images/{name}"):  # fmt: skip
        reply = server.get(path)
        assert is_problem(reply, 404, 410, 422, 405)
        assert b"root:" not in reply.body
    assert is_problem(server.form(f"/v1/builds/{name}/search", image=photo), 404, 405)
    assert is_problem(server.post("/v1/search", {"image": name}), 404)


def test_states_and_rows_that_are_not_there(server):
    digest = server.digest()
    for path in ("labels", "start", "map", "images/1", "images/1/thumbnail", "images/1/full", "report"):
        reply = server.get(f"/v1/builds/photos/0123456789ab/{path}")
        assert is_problem(reply, 410)
        assert reply.json["hint"] == "the build changed: search again"
        assert is_problem(server.get(f"/v1/builds/none/{digest}/{path}"), 404)
    assert is_problem(server.post("/v1/search", {"row": 1, "digest": "0123456789ab"}), 410)
    for row in (30, -1, 10**30, "one", "1.5"):
        assert is_problem(server.get(f"/v1/builds/photos/{digest}/images/{row}/full"), 404)
    assert is_problem(server.get(f"/v1/builds/photos/{digest}/start?seed=-1"), 422)
    assert is_problem(server.ask("DELETE", "/v1/builds"), 405)
    assert is_problem(server.form("/v1/builds/photos/defects", image=b"x"), 404, 422)


def test_what_is_no_http(server):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400), b"GET\r\n\r\n", b"hello\r\n\r\n",
                 b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"):  # fmt: skip
        reply = server.raw(data)
        assert reply.startswith(b"HTTP/1.1 4")
        assert b"application/problem+json" in reply


def test_a_flood_of_headers_is_refused(server):
    many = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 100) for n in range(HEADER_BYTES // 100))
    long = b"X: " + b"y" * 3 * HEADER_BYTES
    for headers in (many, long, b"Cookie: " + b"y" * 2 * HEADER_BYTES + b"\r\n\r\n"):
        reply = server.raw(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers)
        assert reply.startswith(b"HTTP/1.1 431 ")


def test_slow_clients_are_closed(server):
    started = time.perf_counter()
    assert server.raw(b"GET / HTTP/1.1\r\nHost: 127").startswith(b"HTTP/1.1 408 ")
    assert time.perf_counter() - started < 3
    head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
    assert server.raw(f"{head}Content-Length: 1000\r\n\r\nabc".encode()).startswith(b"HTTP/1.1 408 ")
    assert server.raw(b"") == b""


def test_one_byte_at_a_time_is_too_slow_too(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        found = b""
        connection.settimeout(0.1)
        for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n":
            try:
                connection.sendall(bytes([byte]))
                found = connection.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
            if found:
                break
        assert not found or found.startswith(b"HTTP/1.1 408 ")


def test_half_closed_sockets_get_their_answers(server, photo):
    assert server.raw(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", half_close=True).startswith(b"HTTP/1.1 200 ")
    body = form_body({}, {"image": photo})
    head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    assert server.raw(head.encode() + body, half_close=True).startswith(b"HTTP/1.1 200 ")
    assert server.raw(head.encode() + body[:-100], half_close=True).startswith(b"HTTP/1.1 400 ")


def test_clients_that_go_away_leave_nothing_behind(server, photo):
    body = form_body({}, {"image": photo})
    head = f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM['Content-Type']}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    for sent in (head.encode() + body, head.encode() + body[:50], head.encode()[:30]):
        for _ in range(5):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    time.sleep(0.3)
    assert server.service.bodies.held == 0
