"""The page, its files, and what monitors ask."""

from __future__ import annotations

import mimetypes
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from simsearch.artifacts import digest_of
from simsearch.server.answers import dumped
from simsearch.server.documented import docs_page
from simsearch.server.metrics import MEDIA_TYPE
from simsearch.server.problems import Problem
from simsearch.server.searching import json_response
from simsearch.server.service import Service

INDEX = "index.html"


def static_files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page by name, each with its media type: nothing else is ever read for a request.

    The colours are those of the report.
    """
    found = {}
    for one in (*files("simsearch.server").joinpath("page").iterdir(), files("simsearch.page") / "colours.css"):
        if one.is_file():
            media = mimetypes.guess_type(one.name)[0] or "application/octet-stream"
            found[one.name] = one.read_bytes(), media
    return found


def pages(service: Service) -> APIRouter:
    """Return the routes of a service."""
    routes = APIRouter()
    known = {name: (*file, f'"{digest_of(file[0].hex())[:16]}"') for name, file in static_files().items()}

    def static(request: Request, name: str) -> Response:
        if name not in known:
            raise Problem(404, f"there is no page {name[:60]!r}", "/ is the page, /docs what can be asked")
        data, media, tag = known[name]
        headers = {"Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=media, headers=headers)

    @routes.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return static(request, INDEX)

    @routes.get("/page/{name}", include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        return static(request, name)

    @routes.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return Response(docs_page(request.app.openapi()), media_type="text/html")

    @routes.get("/healthz", summary="Whether the server is alive")
    async def healthz() -> Response:
        """200 as long as it is."""
        return json_response(b'{"alive":true}')

    @routes.get("/readyz", summary="Whether the server answers")
    async def readyz() -> Response:
        """503 once it stops. `faults`: new states of builds that failed their check; the ones before answer on."""
        shelf = service.shelf
        faults = {name: {"digest": fault.digest, "why": fault.why} for name, fault in shelf.faults.items()}
        document = {"ready": not service.stopping, "builds": shelf.digests, "faults": faults}
        response = json_response(dumped(document))
        response.status_code = 503 if service.stopping else 200
        return response

    @routes.get("/metrics", summary="What the server counts, for Prometheus")
    async def metrics() -> Response:
        """Requests by route and status, their seconds, the queue, images of each build, reloads."""
        return Response(service.counted(), headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"})

    return routes
