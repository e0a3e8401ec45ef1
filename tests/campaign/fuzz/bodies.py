"""Requests: bodies of JSON and of forms, filters and pictures in them, through the application as a server runs it."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from campaign.fuzz.files import held_folder
from campaign.fuzz.mutating import TEXTS, changed, value
from campaign.fuzz.parser import Input, Parser, Wrong

JSON, FORM = "application/json", "multipart/form-data; boundary=a-boundary"
MARKS = (b"\r\n", b"--a-boundary", b'"; filename="', b"Content-Disposition: ")
FILTERS = ("label = 'a'", "label in ('a', 'b') and not image like '%1%'", "row < 3 or label != 'b'", "(label = 'a')")
SMALL = ("embedder.backbone=mnist_cnn", "embedder.weights=none", "training.epochs=1", "evaluation.map=false")


def make(folder: Path) -> None:
    """Build an index of two labels."""
    import simsearch.cli

    draw = np.random.default_rng(5)
    for label in "ab":
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(6):
            pixels = draw.integers(0, 99, (16, 16)) + 140 * (np.arange(16) < 8) * (label == "a")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / label / f"{number}.png")
    words = [word for said in SMALL for word in ("--set", said)]
    try:
        simsearch.cli.main(["build", str(folder / "photos"), "--home", str(folder / "home"), *words])
    except SystemExit as end:
        if end.code:
            raise


class Bodies:
    """Sends requests to an application in this process: an answer comes back, or a problem document below 500."""

    def __init__(self, folder: Path) -> None:
        from simsearch.home import Home
        from simsearch.server.app import make_app
        from simsearch.server.feedback import Feedback
        from simsearch.server.limits import Limits
        from simsearch.server.service import Service
        from simsearch.server.shelf import Shelf

        place = held_folder(self)
        shutil.copytree(folder / "home", place / "home")
        self._loop = asyncio.new_event_loop()
        feedback = Feedback(place / "said.csv")
        self._service = Service(Shelf(Home(place / "home"), ()), Limits(pixels=1 << 20), feedback)
        self._app = make_app(self._service)
        self._digest = self._service.shelf.now(None).digest
        self._picture = next((folder / "photos").rglob("*.png")).read_bytes()
        self._good: dict[str, Any] = {
            "/v1/search": {"row": 3, "k": 5, "where": FILTERS[1], "min_score": -0.5, "collapse": True, "offset": 1},
            "/v1/builds/photos/search": {"image": "a/1.png", "k": 2, "not_self": True, "digest": self._digest},
            "/v1/search?": {"vectors": [[0.5] * self._service.shelf.now(None).searcher.dim] * 2, "k": 3},
            "/v1/builds/photos/same": {"one": {"row": 1}, "other": {"image": "b/2.png"}, "max_far": 0.5},
            "/v1/feedback": {"build": "photos", "digest": self._digest, "query": "row-2", "row": 4, "said": "right"},
        }
        other = io.BytesIO()
        Image.fromarray(np.zeros((9, 7, 3), dtype=np.uint8)).save(other, "JPEG")
        search = [("image", "x.png", self._picture), ("k", None, b"3"), ("where", None, FILTERS[0].encode())]
        self._forms = {
            "/v1/search": [*search, ("crop", None, b"0.1,0.1,0.5,0.5")],
            "/v1/builds/photos/same": [("one", "1.png", self._picture), ("other", "2.jpg", other.getvalue())],
            "/v1/builds/photos/defects": [("image", "x.png", self._picture)],
        }

    def good(self) -> list[Any]:
        asked = [self._sent(path, JSON, json.dumps(body).encode()) for path, body in self._good.items()]
        asked += [self._sent(path, FORM, _form(parts)) for path, parts in self._forms.items()]
        return [(status, _without_times(body)) for status, _, body in asked]

    def changed(self, chosen: Random) -> Input:
        if chosen.random() < 0.5:
            path = chosen.choice(list(self._good))
            body = self._good[path]
            if chosen.random() < 0.3 and "where" in body:
                text = changed(chosen, chosen.choice(FILTERS).encode(), [one.encode() for one in FILTERS])
                body = {**body, "where": text.decode("utf-8", "replace")}
            elif chosen.random() < 0.7:
                body = value(chosen, body)
            else:
                return Input(f"{path} {JSON}", changed(chosen, json.dumps(body).encode()))
            return Input(f"{path} {JSON}", json.dumps(body).encode())
        path = chosen.choice(list(self._forms))
        parts = list(self._forms[path])
        kind = FORM
        if chosen.random() < 0.1:
            kind = f"multipart/form-data; boundary={chosen.choice(TEXTS)[:90]}"
        how = chosen.random()
        if how < 0.5:
            return Input(f"{path} {kind}", changed(chosen, _form(parts), (), MARKS))
        at = chosen.randrange(len(parts))
        name, file, data = parts[at]
        if how < 0.75:
            parts[at] = (name, file, changed(chosen, data))
        else:
            parts[at] = (chosen.choice((name, *TEXTS)), chosen.choice((file, *TEXTS)), data)
        return Input(f"{path} {kind}", _form(parts))

    def read(self, given: Input) -> bool:
        path, _, kind = given.kind.partition(" ")
        status, headers, body = self._sent(path, kind, given.data)
        if status >= 500:
            raise Wrong(f"{status} {body[:300]!r}")
        if b"Traceback" in body:
            raise Wrong(f"a traceback in {body[:300]!r}")
        problem = headers.get("content-type") == "application/problem+json" and json.loads(body)["status"] == status
        if status >= 400 and not problem:
            raise Wrong(f"{status} that is no problem document: {headers} {body[:300]!r}")
        held = self._service.work.held, self._service.bodies.held, self._service.shelf.now(None).users
        if held != (0, 0, 0):
            raise Wrong(f"held after the answer: {held}")
        if status < 300 and body:
            json.loads(body, parse_constant=_no_number)
        if status >= 400:
            from simsearch.errors import SimsearchError

            raise SimsearchError("refused")
        return False

    def _sent(self, path: str, kind: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return self._loop.run_until_complete(self._ask(path.rstrip("?"), kind, body))

    async def _ask(self, path: str, kind: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = [(b"host", b"127.0.0.1"), (b"content-type", kind.encode("latin-1", "replace"))]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        waiting: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await asyncio.create_task(self._app(scope, receive, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        found = {name.decode(): one.decode("latin-1") for name, one in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def _form(parts: Sequence[tuple[str, str | None, bytes]]) -> bytes:
    found = []
    for name, file, data in parts:
        called = "" if file is None else f'; filename="{file}"'
        head = f'--a-boundary\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n'
        found.append(head.encode("utf-8", "surrogatepass") + data + b"\r\n")
    return b"".join([*found, b"--a-boundary--\r\n"])


def _without_times(body: bytes) -> Any:
    found = json.loads(body) if body else {}
    for one in found.get("answers", [found]) if isinstance(found, dict) else []:
        one.pop("milliseconds", None)
    return found


def _no_number(word: str) -> None:
    raise Wrong(f"{word} in an answer")


PARSERS = (Parser("HTTP-bodies", make, Bodies, "fastapi"),)
