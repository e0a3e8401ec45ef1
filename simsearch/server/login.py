"""Where a browser brings the token, and gets a cookie for it."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from simsearch.page.templates import draw
from simsearch.server.bodies import FIELDS
from simsearch.server.guards import LOGIN, Token
from simsearch.server.problems import Problem
from simsearch.server.service import Service

_PAUSE = 0.5  # seconds after a wrong word


def login(service: Service, token: Token | None) -> APIRouter:
    """Return the routes: without a token they lead to the page."""
    routes = APIRouter()

    def page(*, wrong: bool) -> Response:
        body = str(draw("server/login.html", wrong=wrong)).encode()
        headers = {"Cache-Control": "no-store"}
        return Response(body, 403 if wrong else 200, headers, "text/html")

    @routes.get(LOGIN, include_in_schema=False)
    async def ask() -> Response:
        return RedirectResponse("/", 303) if token is None else page(wrong=False)

    @routes.post(LOGIN, include_in_schema=False)
    async def take(request: Request) -> Response:
        if token is None:
            raise Problem(404, "this server has no token")
        body = (await service.bodies.read(request, FIELDS)).json or b""
        said = parse_qs(body[:4096].decode("utf-8", "replace")).get("token", [""])[0]
        if not token.is_word(said.strip()):
            await asyncio.sleep(_PAUSE)
            return page(wrong=True)
        answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        answer.set_cookie(token.cookie, token.value, httponly=True, samesite="strict", path="/")
        return answer

    return routes
