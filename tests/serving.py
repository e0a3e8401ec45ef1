"""A server for tests, in a thread of its own on a free port, and what asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simsearch.home import Home
from simsearch.server.app import make_app
from simsearch.server.limits import Limits
from simsearch.server.reloading import Reloading
from simsearch.server.running import listen, run
from simsearch.server.service import Service
from simsearch.server.shelf import Shelf

# Another test of the same process may have given urllib a proxy, which it keeps.
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

BOUNDARY = "a-boundary-of-the-tests"


@dataclass
class Reply:
    """Status, headers and body of a response."""

    status: int
    headers: dict
    body: bytes
    json: object = field(init=False, default=None)

    def __post_init__(self):
        if self.body and "json" in self.headers.get("content-type", ""):
            self.json = json.loads(self.body)


@dataclass
class Served:
    """A server that runs."""

    service: Service
    port: int
    loop: asyncio.AbstractEventLoop
    reloading: Reloading
    log: list

    def ask(self, method, path, body=None, headers=None, timeout=120):
        """The reply to one request, on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())

    def get(self, path, **headers):
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path, document, **headers):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json", **headers})

    def form(self, path, texts=None, headers=None, **files):
        """Send a form: files are bytes, or (name, bytes)."""
        return self.ask("POST", path, form_body(texts or {}, files), {**FORM, **(headers or {})})

    def raw(self, data, *, half_close=False, timeout=15):
        """What comes back for bytes, until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            found = b""
            while part := connection.recv(65536):
                found += part
            return found

    def digest(self, name=None):
        return self.service.shelf.now(name).digest

    def look(self):
        """Let the server look for new states of its builds now; returns what it said of them."""
        before = len(self.log)
        asyncio.run_coroutine_threadsafe(self.reloading.look(), self.loop).result(120)
        return self.log[before:]


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form_body(texts, files):
    parts = []
    for name, text in texts.items():
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode())
    for name, file in files.items():
        called, data = file if isinstance(file, tuple) else ("x.png", file)
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{called}"\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def served(home, *names, token=None, feedback=None, beside=lambda service, reloading: (), **limits):
    """Serve builds of a home as long as the block lasts; new states of them are taken in by `look`."""
    service = Service(Shelf(Home(Path(home)), names), Limits(**limits), feedback)
    listening = listen("127.0.0.1", 0)
    ready, found, log = threading.Event(), [], []
    reloading = Reloading(service, log.append)

    async def work():
        found.append(asyncio.get_running_loop())
        app, more = make_app(service, token=token), beside(service, reloading)
        await run(service, app, listening, ready.set, lambda count: None, more)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert ready.wait(60)
    try:
        yield Served(service, listening.getsockname()[1], found[0], reloading, log)
    finally:
        found[0].call_soon_threadsafe(service.stop)
        thread.join(90)
        assert not thread.is_alive()
