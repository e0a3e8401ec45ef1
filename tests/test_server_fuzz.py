"""Requests drawn at random from what the server itself says it takes: never a 5xx, and always JSON problems."""

from __future__ import annotations

import json
import random
import time
from urllib.parse import quote

import pytest
from serving import FORM, form_body, served

STRANGE = ["", " ", "0", "-1", "1e309", "NaN", "null", "true", "\x00", "\u202e", "é" * 300, "../" * 20, "' or 1=1 --",
           "label = 'class 1'", "label in (", "0,0,1,1", "1,1,1,1", "%s%n", "{}", "[]", "\ud800"]  # fmt: skip
VALUES = [None, True, False, 0, -1, 1, 7, 2**31, 2**63, 10**40, 0.5, -0.5, 1e308, [], {}, [1], ["x"], {"row": 1}]


@pytest.fixture(scope="module")
def server(built):
    with served(built[1], "photos") as found:
        yield found


def value_of(draw, schema, files):
    """A value that a schema takes, or, one time in three, anything."""
    if draw.random() < 0.33:
        return draw.choice([*VALUES, *STRANGE[:-1]])
    if "anyOf" in schema:
        return value_of(draw, draw.choice(schema["anyOf"]), files)
    kind = schema.get("type")
    if kind == "integer":
        return draw.randint(int(schema.get("minimum", 0)), int(schema.get("maximum", 40)))
    if kind == "number":
        return draw.uniform(schema.get("minimum", 0), schema.get("maximum", 1))
    if kind == "array":
        return [value_of(draw, schema["items"], files) for _ in range(draw.choice([0, 1, 3, 64]))]
    if kind == "object":
        properties = schema.get("properties", {})
        names = [name for name in properties if name in schema.get("required", ()) or draw.random() < 0.4]
        return {name: value_of(draw, properties[name], files) for name in names}
    return {"boolean": draw.random() < 0.5, "null": None}.get(kind, draw.choice(STRANGE[:-1]))


def request(draw, server, path, method, said, files):
    names = {"name": "photos", "digest": server.digest(), "row": str(draw.randint(0, 40))}
    for name, right in names.items():
        given = right if draw.random() < 0.8 else draw.choice(STRANGE[:-1])
        path = path.replace(f"{{{name}}}", quote(given, safe=""))
    asked = [f"{one['name']}={quote(str(value_of(draw, one['schema'], files)))}"
             for one in said.get("parameters", ()) if one["in"] == "query" and draw.random() < 0.7]  # fmt: skip
    path += f"?{'&'.join(asked)}" if asked else ""
    body, headers = None, {}
    if content := said.get("requestBody", {}).get("content"):
        kind = draw.choice(list(content))
        found = value_of(draw, content[kind]["schema"], files)
        if kind == "application/json":
            body, headers = json.dumps(found).encode(), {"Content-Type": kind}
        else:
            found = found if isinstance(found, dict) else {}
            sent = {name: draw.choice(files) for name in content[kind]["schema"]["required"] if draw.random() < 0.9}
            texts = {name: str(value) for name, value in found.items() if name not in sent}
            body, headers = form_body(texts, sent), FORM
        if draw.random() < 0.1:
            body = bytes(body[: draw.randrange(len(body) + 1)])
    return server.ask(method.upper(), path, body, headers)


def asked_at_random(server, built, seed, count):
    draw = random.Random(seed)
    files = [path.read_bytes() for path in sorted(built[0].rglob("*.png"))[::9]] + [b"", b"text", b"\x89PNG\r\n\x1a\n"]
    schema = server.get("/openapi.json").json
    routes = [(path, method, said) for path, methods in schema["paths"].items() for method, said in methods.items()]
    seen = set()
    for _ in range(count):
        path, method, said = draw.choice(routes)
        reply = request(draw, server, path, method, said, files)
        seen.add((path, reply.status))
        assert reply.status < 500, (path, reply.body)
        assert b"Traceback" not in reply.body
        if reply.status >= 400:
            assert reply.headers["content-type"] == "application/problem+json", (path, reply)
            assert reply.json["status"] == reply.status
    assert {path for path, _ in seen} == {path for path, _, _ in routes}
    good = {path for path, status in seen if status in (200, 304)}
    assert len(good) > len({path for path, _, _ in routes}) / 2
    service, until = server.service, time.monotonic() + 10  # a request ends a moment after its answer was read
    while time.monotonic() < until and (service.work.held, service.bodies.held, service.shelf.now().users) != (0, 0, 0):
        time.sleep(0.01)
    assert (service.work.held, service.bodies.held, service.shelf.now().users) == (0, 0, 0)


def test_requests_drawn_from_the_document_of_the_server(server, built):
    asked_at_random(server, built, 0, 400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 3))
def test_many_more(server, built, seed):
    asked_at_random(server, built, seed, 2000)


@pytest.mark.slow
def test_schemathesis_finds_no_5xx(server):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    schema = schemathesis.openapi.from_dict(server.get("/openapi.json").json)
    schema.config.update(base_url=f"http://127.0.0.1:{server.port}")
    from hypothesis import HealthCheck, given, settings

    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case):
            assert case.call().status_code < 500

        check()
