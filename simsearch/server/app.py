"""The application: routes, what every response carries, and problems in place of errors."""

from __future__ import annotations

import traceback

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from simsearch.console import safe, say
from simsearch.errors import SimsearchError
from simsearch.server.guards import Guards, Hosts, Token
from simsearch.server.headers import Headers, Heads
from simsearch.server.login import login
from simsearch.server.metrics import Counting
from simsearch.server.pages import pages
from simsearch.server.problems import Problem, problem_of
from simsearch.server.saying import saying
from simsearch.server.schemas import RESPONSES
from simsearch.server.searching import asking
from simsearch.server.service import Service
from simsearch.server.telling import telling
from simsearch.versions import __version__


def make_app(service: Service, hosts: Hosts | None = None, token: Token | None = None) -> FastAPI:
    """Return the application of a service; without `hosts`, only names of this computer are known to it."""
    app = FastAPI(
        title="simsearch",
        version=__version__,
        description="Similarity search over labelled images: the answers of `simsearch query`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=RESPONSES,
    )
    for routes in (asking(service), telling(service), saying(service), pages(service), login(service, token)):
        app.include_router(routes)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(SimsearchError, _error)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(Guards, hosts=hosts or Hosts("127.0.0.1"), token=token)
    app.add_middleware(Headers)
    app.add_middleware(Counting, metrics=service.metrics)
    app.add_middleware(Heads)
    return app


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SimsearchError)
    return problem_of(error).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(error.status_code, f"{request.method} {request.url.path[:100]}: {error.detail}", "see /docs")
    problem.headers |= dict(error.headers or {})
    return problem.response()


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"][1:]))
    return Problem(404 if first["loc"][0] == "path" else 422, f"{place}: {first['msg']}", "see /docs").response()


async def _bug(request: Request, error: Exception) -> Response:
    place = traceback.extract_tb(error.__traceback__)[-1]
    say(
        f"error: a mistake of the server: {type(error).__name__} at {place.filename}:{place.lineno}: {safe(str(error))}"
    )
    return Problem(500, "a mistake of the server, which is in its log", "tell whoever runs it").response()
