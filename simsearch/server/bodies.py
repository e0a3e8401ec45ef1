"""Bodies of requests, read whole within bounds: by JSON or by a form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi import Request
from starlette.requests import ClientDisconnect

from simsearch.server.limits import Limits
from simsearch.server.multipart import Part, parse_form
from simsearch.server.problems import Problem

JSON, FORM, FIELDS = "application/json", "multipart/form-data", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Sent:
    """A body: as it is for JSON and plain fields, or the files and the texts of its form, by field."""

    json: bytes | None = None
    files: dict[str, Part] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def file(self, name: str) -> Part:
        """Return the file of a field; Problem without one."""
        if name not in self.files:
            seen = ", ".join(one[:60] for one in (*self.files, *self.texts)) or "no field"
            raise Problem(422, f"expected a picture in the field {name!r}, seen {seen}", f"curl -F {name}=@x.jpg ...")
        part = self.files[name]
        if not part.data:
            raise Problem(422, f"the picture in the field {name!r} has no bytes")
        return part

    def only(self, *names: str) -> None:
        """Raise Problem for a file in another field than those."""
        for name in self.files:
            if name not in names:
                raise Problem(422, f"the field {name[:60]!r} takes no file: expected {', '.join(names) or 'none'}")


class Bodies:
    """Reads bodies; of all requests at the same moment, no more bytes are held than the limits say."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self.held = limits, 0

    async def read(self, request: Request, *kinds: str) -> Sent:
        """Return the body of a request of one of the `kinds` of content.

        Problem for another kind (415), for more bytes than are taken (413), and where too many are held already (503).
        """
        given = request.headers.get("content-type", "")
        kind = given.partition(";")[0].strip().lower()
        if kind not in kinds:
            raise Problem(415, f"expected Content-Type {' or '.join(kinds)}, seen {given[:80] or 'none'}")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "a compressed body is not taken", "send it as it is")
        body = await self._whole(request)
        if kind != FORM:
            return Sent(json=body)
        sent = Sent()
        for part in parse_form(given, body):
            if part.name in sent.files or part.name in sent.texts:
                raise Problem(422, f"the field {part.name[:60]!r} is there twice")
            if part.file is not None:
                sent.files[part.name] = part
                continue
            try:
                sent.texts[part.name] = part.data.decode()
            except UnicodeDecodeError:
                raise Problem(422, f"the field {part.name[:60]!r} is no UTF-8 text") from None
        return sent

    async def _whole(self, request: Request) -> bytes:
        most = self._limits.body_bytes
        length = request.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > most:
            raise self._too_large(length)
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self.held += len(chunk)
                if len(body) > most:
                    raise self._too_large("more")
                if self.held > self._limits.held_bytes:
                    raise Problem(503, "too many bytes are being sent at once", "try again").after(2)
        except ClientDisconnect:
            raise Problem(400, "the body ended before it was whole") from None
        finally:
            self._until_answered(len(body))
        return bytes(body)

    def _until_answered(self, count: int) -> None:
        """Count these bytes till the request ends, which is a task of its own: what waits in the queue is held too."""

        def let_go(_: object) -> None:
            self.held -= count

        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(let_go)

    def _too_large(self, seen: str) -> Problem:
        most = self._limits.body_bytes
        return Problem(413, f"the body has {seen[:20]} bytes, at most {most:,} are taken", "send a smaller picture")
