"""What is made to cost a server memory or time is refused before it does, and holds nobody else up."""

from __future__ import annotations

import io
import logging
import socket
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from serving import FORM, form_body, served

from simsearch.server import pictures
from simsearch.server.limits import ALONE_PIXELS, MOST_NUMBERS, MOST_VECTORS, PIPELINED

JSON = b"Content-Type: application/json\r\nHost: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def server(built):
    with served(built[1], "photos") as found:
        yield found


@pytest.fixture(autouse=True)
def the_next_request_is_served(server):
    yield
    assert server.post("/v1/search", {"row": 1}).status == 200
    for _ in range(100):
        if not (server.service.work.held or server.service.bodies.held):
            break
        time.sleep(0.01)
    assert server.service.work.held == server.service.bodies.held == 0


def refused(reply, status, words):
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert words in reply.json["detail"]
    return True


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"vector":[' + b"null," * 6_000_000 + b"1]}", "numbers"),
        (b'{"vector":[' + b"0," * MOST_NUMBERS + b"0]}", "numbers"),
        (b'{"vector":[' + b'"",' * 4_000_000 + b"1]}", "lists"),
        (b'{"vectors":[' + b"{}," * 4_000_000 + b"[]]}", "lists"),
        (b'{"vectors":[' + b"[]," * 4_000_000 + b"[]]}", "lists"),
        (b'{"vectors":' + b"[" * 20_000_000, "lists"),
        (b"{" + b",".join(b'"%x":1' % n for n in range(100_000)) + b"}", "lists"),
    ],
    ids=["nulls", "numbers", "texts", "objects", "lists", "depth", "keys"],
)
def test_json_of_millions_of_parts_is_refused_unread(server, body, words):
    started = time.perf_counter()
    assert refused(server.ask("POST", "/v1/search", body, {"Content-Type": "application/json"}), 413, words)
    assert time.perf_counter() - started < 5  # half a minute, and 10 GB, when it was read


def test_one_fault_of_a_vector_is_enough(server):
    body = b'{"vector":[' + b"null," * (MOST_NUMBERS - 1) + b"1]}"
    started = time.perf_counter()
    reply = server.ask("POST", "/v1/search", body, {"Content-Type": "application/json"})
    assert refused(reply, 422, "vector.0: ")
    assert time.perf_counter() - started < 5  # 18 s when each was told


def test_as_many_vectors_as_are_taken_are(server):
    vectors = np.random.default_rng(0).normal(size=(MOST_VECTORS, server.service.shelf.now().searcher.dim)).round(3)
    reply = server.post("/v1/search", {"vectors": vectors.tolist(), "k": 1, "where": "label != '\"[{'"})
    assert reply.status == 422  # of the filter, which comes after the bounds
    assert "label" in reply.json["detail"]
    reply = server.post("/v1/search", {"vectors": vectors.tolist(), "k": 1})
    assert len(reply.json["answers"]) == MOST_VECTORS


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def many_parts(kind):
    """A sound picture of 8 x 8 pixels, with a million empty parts in its header."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    data = file.getvalue()
    if kind == "PNG":
        return data[:33] + chunk(b"tEXt", b"x\0y") * 1_000_000 + data[33:]
    if kind == "JPEG":
        return data[:2] + b"\xff\xfe\0\2" * 1_000_000 + data[2:]
    at = data.index(b",")
    return data[:at] + b"!\xfe\1a\0" * 1_000_000 + data[at:]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_header_of_a_million_parts_is_not_read_through(server, kind):
    assert refused(server.form("/v1/search", image=many_parts(kind)), 422, "too many parts")
    assert refused(server.form("/v1/builds/photos/same", one=many_parts(kind), other=many_parts(kind)), 422, "parts")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_a_million_strips_is_not_read_through(server, order):
    count = 1_000_000
    tags = [(256, 4, 1, 20), (257, 4, 1, count), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1),
            (273, 4, count, 122), (277, 4, 1, 1), (278, 4, 1, 1), (279, 4, count, 122)]  # fmt: skip
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    data += (
        b"".join(struct.pack(order + "HHII", *tag) for tag in tags) + bytes(4) + struct.pack(order + "I", 20) * count
    )
    started = time.perf_counter()
    assert refused(server.form("/v1/search", image=data), 422, "1,000,000 strips")
    assert time.perf_counter() - started < 1


def test_a_decoder_that_lets_nothing_else_run_gets_fewer_pixels(server):
    side = int(ALONE_PIXELS**0.5)
    for more, status in ((0, 200), (1, 413)):
        file = io.BytesIO()
        Image.new("L", (side, side + more)).save(file, "JPEG2000")
        assert server.form("/v1/search", image=file.getvalue()).status == status


def photo(kind, **options):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(file, kind, **options)
    return file.getvalue()


def test_one_large_picture_is_decoded_at_a_time(server, monkeypatch):
    monkeypatch.setattr(pictures, "LARGE_PIXELS", 64 * 64 - 1)
    large, other = photo("PNG"), photo("JPEG", progressive=True)
    with server.service.pictures.decoding(large):
        for data in (large, other):
            reply = server.form("/v1/search", image=data)
            assert refused(reply, 503, "another large picture")
            assert reply.headers["retry-after"] == "2"
        assert server.form("/v1/search", image=photo("JPEG")).status == 200  # decoded row by row, reduced
    assert server.form("/v1/search", image=large).status == 200
    assert server.form("/v1/search", image=b"\x89PNG\r\n\x1a\nno").status == 422
    assert server.form("/v1/search", image=other).status == 200


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(server, monkeypatch):
    scans = photo("JPEG", progressive=True).count(pictures.SCAN)
    assert scans > 3
    monkeypatch.setattr(pictures, "SCANNED_PIXELS", 64 * 64 * (scans - 1))
    assert refused(server.form("/v1/search", image=photo("JPEG", progressive=True)), 413, f"{scans} scans of 64 x 64")
    assert server.form("/v1/search", image=photo("JPEG")).status == 200


def test_trailers_are_nobodys(server):
    body = b'{"row": 1, "k": 1}'
    head = b"POST /v1/search HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    pieces = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
    for trailers in (b"Host: elsewhere\r\nOrigin: null\r\n", b"X: yyyyyyyyyyyyyyyy\r\n" * 100_000):
        assert server.raw(head + pieces + trailers + b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_what_a_form_lacks_is_not_logged(server, capfd):
    assert logging.getLogger("python_multipart").handlers
    body = form_body({"k": "1"}, {}).replace(b"\r\n", b"\r", 1)
    assert refused(server.ask("POST", "/v1/search", body, FORM), 400, "the form cannot be read")
    assert capfd.readouterr().err == ""


def test_bytes_are_counted_till_their_request_is_answered(server):
    service, photo = server.service, many_parts("JPEG")
    seen = []
    found, service.pictures.decoding = (
        service.pictures.decoding,
        lambda data: seen.append(service.bodies.held) or found(data),
    )
    try:
        server.form("/v1/search", image=photo)
    finally:
        service.pictures.decoding = found
    assert seen[0] > len(photo)


def test_head_is_answered_as_get_is(server):
    digest = server.digest()
    for path in ("/", "/docs", "/healthz", "/v1/builds", f"/v1/builds/photos/{digest}/images/1/thumbnail"):
        got, head = server.get(path), server.ask("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert got.headers["content-length"] == head.headers["content-length"] == str(len(got.body))
    assert server.ask("HEAD", "/nothing").status == 404
    assert server.ask("HEAD", "/v1/search").status == 405


def test_requests_that_wait_for_their_turn_on_one_connection_are_bounded(server):
    asked = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert server.raw(asked * PIPELINED + last).count(b'{"alive":true}') == PIPELINED + 1
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        ended = False
        for _ in range(100):
            try:
                connection.sendall(asked * 1000)
            except OSError:
                ended = True
            time.sleep(0.01)
        assert ended
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for _ in range(20):  # bursts of a few, each before the answers to the last
            connection.sendall(asked * (PIPELINED // 2))
            found = b""
            while found.count(b'{"alive":true}') < PIPELINED // 2:
                found += connection.recv(65536)


def test_a_body_behind_an_upgrade_is_refused_in_words(server):
    head = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nUpgrade: h2c\r\n"
    reply = server.raw(head + b'Connection: Upgrade\r\nContent-Length: 9\r\n\r\n{"row":1}')
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"send it without Upgrade" in reply
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    assert server.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + upgrade).startswith(b"HTTP/1.1 200 ")
