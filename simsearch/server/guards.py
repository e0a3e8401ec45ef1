"""Who may ask: names of this server alone (DNS rebinding), pages of its own (CSRF), and whoever has the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie

from fastapi import Request, Response
from starlette.datastructures import Headers as Given
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from simsearch.server.problems import Problem

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
LOGIN = "/login"
OPEN = frozenset((LOGIN, "/healthz", "/readyz", "/page/plain.css"))  # what needs no token
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
LEAST_TOKEN = 16  # characters
_HOST = re.compile(r"(?:\[([^][]+)\]|([^][:]+))(?::[0-9]{0,5})?")  # [::1]:8000 or localhost:8000


class Token:
    """The word that opens a server, and the cookie that a browser gets for it, which does not hold it."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()
        self.cookie = f"simsearch-{self._keyed('name')[:8]}"
        self.value = self._keyed("value")

    def _keyed(self, what: str) -> str:
        return hmac.new(self._word, what.encode(), hashlib.sha256).hexdigest()

    def is_word(self, said: str) -> bool:
        """Return whether a word is it; how long that takes tells nothing."""
        return hmac.compare_digest(said.encode("utf-8", "replace"), self._word)

    def opens(self, headers: Given) -> bool:
        """Return whether a request brings the word, or the cookie for it."""
        scheme, _, said = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_word(said.strip()):
            return True
        cookies = SimpleCookie()
        with suppress(CookieError):
            cookies.load(headers.get("cookie", ""))
        found = cookies.get(self.cookie)
        return found is not None and hmac.compare_digest(found.value.encode(), self.value.encode())


class Hosts:
    """The names that a request may give for the server that it is sent to.

    Where only this computer can reach it, those of this computer; else any address of digits too, which no stranger's
    name server can point elsewhere, and the name of the machine.
    """

    def __init__(self, listening: str, more: Iterable[str] = ()) -> None:
        self._open = listening not in LOOPBACK
        own = {socket.gethostname(), socket.getfqdn(), listening} if self._open else set()
        self._names = {name.lower().strip("[]") for name in (*LOOPBACK, *own, *more)}

    def knows(self, host: str) -> bool:
        """Return whether the text of a Host header, as "localhost:8000", is a name of this server."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found[1] or found[2]
        if name.rstrip(".") in self._names:
            return True
        if not self._open:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class Guards:
    """Lets through what is asked by a name of this server, by no page of another site, and with the token, if any."""

    def __init__(self, app: ASGIApp, hosts: Hosts, token: Token | None) -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and (refused := self._refused(Request(scope))) is not None:
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refused(self, request: Request) -> Response | None:
        headers = request.headers
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            return Problem(400, f"expected one Host header, seen {len(hosts)}").response()
        if not self._hosts.knows(hosts[0]):
            hint = "simsearch serve --allow-host NAME lets another name through, as that of a proxy"
            return Problem(421, f"this server is not called {hosts[0][:80]!r}", hint).response()
        if request.method not in SAFE and not _own_page(headers, hosts[0]):
            seen = headers.get("origin", "another site")[:80]
            return Problem(403, f"a page of {seen!r} may not ask this server", "ask from its own page").response()
        if self._token is None or request.scope["path"] in OPEN or self._token.opens(headers):
            return None
        if request.method in SAFE and "text/html" in headers.get("accept", ""):
            return RedirectResponse(LOGIN, 303, {"Cache-Control": "no-store"})
        refused = Problem(401, "this server wants its token", "Authorization: Bearer TOKEN, or log in at /login")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused.response()


def _own_page(headers: Given, host: str) -> bool:
    """Return whether a request comes from a page of this server, or from no page at all, as a program's does."""
    origin = headers.get("origin")
    if origin is not None:
        return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
