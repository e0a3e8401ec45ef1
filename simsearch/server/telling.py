"""The addresses that tell of builds and their images; what has a digest in its address never changes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from simsearch.artifacts import digest_of
from simsearch.images.formats.formats import media_type
from simsearch.server.answers import dumped, original, picked_row, picture_addresses, shown
from simsearch.server.asked import Picked
from simsearch.server.bodies import JSON
from simsearch.server.opened import Opened
from simsearch.server.problems import Problem
from simsearch.server.searching import json_response
from simsearch.server.service import Service

STARTS = 12
BESIDE = 24
FOREVER = "private, max-age=31536000, immutable"

Seed = Annotated[int, Query(ge=0, lt=2**32, description="Another seed gives other images.")]


def lasting(request: Request, body: bytes, media: str) -> Response:
    """Return what an address with a digest in it gives: for caches, for good."""
    headers = {"Cache-Control": FOREVER, "ETag": f'"{digest_of(request.url.path)[:16]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media, headers=headers)


def telling(service: Service) -> APIRouter:
    """Return the routes of a service."""
    routes = APIRouter()
    using = service.shelf.using

    @routes.get("/v1/builds", summary="The builds that are served")
    async def builds() -> Response:
        """What each is, how good it was measured to be, and what it can do. `digest` is the state that is open."""
        found = [service.summary(service.shelf.now(name)) for name in service.shelf.names]
        return json_response(dumped({"default": service.shelf.names[0], "builds": found}))

    @routes.get("/v1/builds/{name}/{digest}/labels", summary="The labels, with how many images each has")
    async def labels(request: Request, name: str, digest: str) -> Response:
        """Of the images that are searched, by name."""
        with using(name, digest) as opened:
            return lasting(request, opened.labels_body, JSON)

    @routes.get("/v1/builds/{name}/{digest}/start", summary="Twelve images to start from")
    async def start(request: Request, name: str, digest: str, seed: Seed = 0) -> Response:
        """Drawn by chance; the same seed draws the same."""
        with using(name, digest) as opened:
            rows = opened.searcher.corpus.searched
            drawn = np.random.default_rng(seed).permutation(rows)[:STARTS].tolist()
            return lasting(request, dumped({"images": [shown(opened, row) for row in drawn]}), JSON)

    @routes.get("/v1/builds/{name}/{digest}/map", summary="The corpus as points in the plane")
    async def corpus_map(request: Request, name: str, digest: str) -> Response:
        """Points are [row, x, y, number of the label]; 404 for a build without a map."""
        with using(name, digest) as opened:
            if opened.map_body is None:
                raise Problem(404, f"build {opened.name} has no map", "build with evaluation.map = true")
            return lasting(request, opened.map_body, JSON)

    @routes.get("/v1/builds/{name}/{digest}/images/{row}", summary="What is known of an image")
    async def image(request: Request, name: str, digest: str, row: int) -> Response:
        """Its name, label and columns, its pictures, and others of its folder."""
        with using(name, digest) as opened:
            return json_response(dumped(_told(opened, _row(opened, row))))

    @routes.get("/v1/builds/{name}/{digest}/images/{row}/thumbnail", summary="A small picture of an image")
    async def thumbnail(request: Request, name: str, digest: str, row: int) -> Response:
        """As it was when the build was made; the longer side has 96 pixels at most."""
        with using(name, digest) as opened:
            if not opened.embeds:
                raise Problem(404, f"build {opened.name} was made from vectors: it has no pictures")
            data = opened.searcher.corpus.thumbnail(_row(opened, row))
            return lasting(request, data, media_type(data))

    @routes.get("/v1/builds/{name}/{digest}/images/{row}/full", summary="The file of an image")
    async def full(request: Request, name: str, digest: str, row: int) -> Response:
        """Byte for byte what the build saw; 404 where it is not here, or another by now."""
        opened = service.shelf.taken(name, digest)
        data = await service.run(opened, lambda: original(opened, _row(opened, row)), in_files=True)
        return lasting(request, data, media_type(data))

    @routes.get("/v1/builds/{name}/{digest}/report", summary="The report of a build")
    async def report(name: str, digest: str) -> Response:
        """A self-contained page."""
        with using(name, digest) as opened:
            path = opened.build.page_path
            if not path.is_file():
                raise Problem(404, f"build {opened.name} has no report here")
            headers = {"Cache-Control": "no-cache", "Content-Security-Policy": ""}  # its own is in the page
            return Response(path.read_bytes(), media_type="text/html", headers=headers)

    return routes


def _row(opened: Opened, row: int) -> int:
    if not 0 <= row < 2**31:
        raise Problem(404, f"build {opened.name} has no row {str(row)[:20]}")
    return picked_row(opened, Picked(row=row, image=None))


def _told(opened: Opened, row: int) -> dict[str, Any]:
    corpus = opened.searcher.corpus
    here = corpus.path(corpus.records[row].image) is not None
    beside = [other for other, _ in zip(corpus.beside(row), range(BESIDE), strict=False)]
    return {
        **shown(opened, row),
        **picture_addresses(opened, row, here=here),
        "columns": corpus.said(row),
        "here": here,
        "folder": [shown(opened, other) for other in beside],
    }
