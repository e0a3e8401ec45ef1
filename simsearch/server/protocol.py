"""HTTP connections that are kept within bounds: what comes too slowly, or as too many headers, is refused and closed.

Owner of httptools, by uvicorn's protocol of that name.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simsearch.server.limits import CONNECTIONS, HEADER_BYTES, PIPELINED, Limits
from simsearch.server.problems import MEDIA_TYPE, Problem

_INCOMPLETE = "the request ended before it was whole"


def protocol_of(limits: Limits) -> type[HttpToolsProtocol]:
    """Return the class of connections that hold to these limits."""

    class Bounded(Connection):
        pass

    Bounded.limits = limits
    return Bounded


class Connection(HttpToolsProtocol):
    """One connection: 10 s for the headers of a request and 60 s for its body, where the limits say no other."""

    limits = Limits()
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _refused = _in_body = False
    _seen = 0  # bytes of the headers that are being read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; beyond so many connections none is taken."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._wait(self.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait(None)
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless this was refused."""
        if self._refused or self.parser is None:
            return
        self._seen += 0 if self._in_body else len(data)
        super().data_received(data)
        if not self._in_body and self._seen > HEADER_BYTES:
            self.refuse(431, f"the headers have more than {HEADER_BYTES:,} bytes")

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer who sends no more, but still reads, where the request is whole."""
        if self._refused or self.cycle is None or self.cycle.response_complete:
            return None
        if self.cycle.more_body:
            self.refuse(400, _INCOMPLETE)
            return True
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Start to wait for the headers of a request."""
        self._in_body = False
        super().on_message_begin()
        self._wait(self.limits.header_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body in pieces (trailers) is nobody's, and of no bounded number."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to wait for its body; where too many requests wait for their turn, all of the connection end."""
        if self._refused:
            return
        self._in_body, self._seen = True, 0
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > HEADER_BYTES:
            self.refuse(431, f"the headers have more than {HEADER_BYTES:,} bytes")
            return
        names = {name for name, _ in self.headers}
        if self.parser.should_upgrade() and not names.isdisjoint((b"content-length", b"transfer-encoding")):
            self.refuse(400, "a body is not read where another protocol is asked for: send it without Upgrade")
            return
        self._wait(self.limits.body_seconds)
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED:  # in the midst of an answer: there is no place for another
            self._refused = True
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Go on to the next request, and read no more before the last that was read has its turn."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing any more: it is whole."""
        self._in_body, self._seen = False, 0
        self._wait(None)
        if not self._refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """Close a connection that does not read its answer."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it reads."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self.refuse(400, msg)

    def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem, where nothing was answered yet, and close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._wait(None)
        cycle: Any = self.cycle
        busy = cycle is not None and not cycle.response_complete
        if not (busy and cycle.response_started):
            body = json.dumps(Problem(status, detail).document()).encode()
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            self.transport.write(head.encode() + body)
        if busy:  # whoever reads the body hears that there is no more of it
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if self._in_body or self._seen:
            self.refuse(408, "the request came too slowly")
        elif not self.transport.is_closing():
            self.transport.close()
