"""The addresses that are asked: search, same, defects."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import APIRouter, Request, Response

from simsearch.images.encoding import png_of
from simsearch.server.answers import (
    dumped,
    name_of_picture,
    original,
    picked_row,
    same,
    search_by_picture,
    search_by_row,
    search_by_vectors,
)
from simsearch.server.asked import Asked, Form, Nothing, Pair, PairForm, from_fields, from_json
from simsearch.server.bodies import FORM, JSON, Sent
from simsearch.server.opened import Opened
from simsearch.server.problems import Problem
from simsearch.server.schemas import body_schema
from simsearch.server.service import Service

PNG = "image/png"


def json_response(body: bytes) -> Response:
    """Return a body of JSON as a response that nobody keeps."""
    return Response(body, media_type=JSON, headers={"Cache-Control": "no-store"})


def asking(service: Service) -> APIRouter:
    """Return the routes of a service."""
    routes = APIRouter()

    async def search(request: Request, name: str | None) -> Response:
        service.work.check()
        sent = await service.bodies.read(request, FORM, JSON)
        if sent.json is not None:
            return json_response(await _search_json(name, from_json(Asked, sent.json)))
        form, part = from_fields(Form, sent.texts), sent.file("image")
        form.question(), form.box()
        sent.only("image")
        data, called = bytes(part.data), part.file or ""
        sha256 = hashlib.sha256(data).hexdigest()

        def work() -> bytes:
            with service.pictures.decoding(data):
                return search_by_picture(opened, data, sha256, called, form)

        opened = service.shelf.taken(name)
        key = ("search", opened.digest, opened.name, sha256, called, form.model_dump_json())
        found = await service.run(opened, work, key)
        if service.feedback is not None and not form.crop:  # of a part nobody knows later which it was
            service.feedback.keep(name_of_picture(sha256), data)
        return json_response(found)

    async def _search_json(name: str | None, asked: Asked) -> bytes:
        given = asked.given()
        asked.question(), asked.box()
        opened = service.shelf.taken(name, asked.digest)
        if given in ("vector", "vectors"):
            return await service.run(opened, lambda: search_by_vectors(opened, asked))
        key = ("search", opened.digest, opened.name, asked.model_dump_json())
        return await service.run(opened, lambda: search_by_row(opened, picked_row(opened, asked), asked), key)

    @routes.post("/v1/search", summary="Search the default build", openapi_extra=body_schema(Form, Asked, "image"))
    async def search_default(request: Request) -> Response:
        """As `/v1/builds/{name}/search`, of the first build that is served."""
        return await search(request, None)

    @routes.post("/v1/builds/{name}/search", summary="Search a build", openapi_extra=body_schema(Form, Asked, "image"))
    async def search_named(request: Request, name: str) -> Response:
        """The nearest images for a picture that is sent, an image of the corpus (`row` or `image`), or raw vectors.

        A hit has the keys of `simsearch query --json`, with the addresses `thumbnail` and `full` in place of its path.
        """
        return await search(request, name)

    def pair(opened: Opened, sent: Sent, asked: Pair | None) -> bytes:
        if asked is not None:
            rows = [picked_row(opened, one) for one in (asked.one, asked.other)]
            names = [opened.searcher.corpus.records[row].image for row in rows]
            one, other = (original(opened, row) for row in rows)
            return same(opened, one, other, names, asked.max_far)
        form, parts = from_fields(PairForm, sent.texts), [sent.file("one"), sent.file("other")]
        sent.only("one", "other")
        names, (one, other) = [part.file or "" for part in parts], (bytes(part.data) for part in parts)
        with service.pictures.decoding(one, other):
            return same(opened, one, other, names, form.max_far)

    @routes.post(
        "/v1/builds/{name}/same",
        summary="Compare two pictures",
        openapi_extra=body_schema(PairForm, Pair, "one", "other"),
    )
    async def compare(request: Request, name: str) -> Response:
        """Whether two pictures, or two images of the corpus, are of the same label: `simsearch query --same --json`."""
        service.work.check()
        sent = await service.bodies.read(request, FORM, JSON)
        asked = None if sent.json is None else from_json(Pair, sent.json)
        opened = service.shelf.taken(name, None if asked is None else asked.digest)
        return json_response(await service.run(opened, lambda: pair(opened, sent, asked)))

    def _defects(opened: Opened, data: bytes, called: str, heatmap: bool) -> tuple[bytes, str]:
        if opened.detector is None:
            hint = f"simsearch defects fit --build {opened.name} makes a build that has"
            raise Problem(404, f"build {opened.name} has no defect scores", hint)
        with service.pictures.decoding(data):
            if heatmap:
                return png_of(opened.detector.overlay(data)), PNG
            return dumped({**opened.detector.score(data)[0].to_json(called), "digest": opened.digest}), JSON

    @routes.post(
        "/v1/builds/{name}/defects", summary="Score a picture", openapi_extra=body_schema(Nothing, None, "image")
    )
    async def defects(request: Request, name: str, heatmap: bool = False) -> Response:
        """How far a picture is from normal ones: `simsearch defects score --json`; with `heatmap`, a PNG of where."""
        service.work.check()
        service.shelf.now(name)
        sent = await service.bodies.read(request, FORM)
        from_fields(Nothing, sent.texts)
        part = sent.file("image")
        sent.only("image")
        data, called = bytes(part.data), part.file or ""
        opened = service.shelf.taken(name)
        key = ("defects", opened.digest, opened.name, hashlib.sha256(data).digest(), called, heatmap)
        found: tuple[bytes, Any] = await service.run(opened, lambda: _defects(opened, data, called, heatmap), key)
        return Response(found[0], media_type=found[1], headers={"Cache-Control": "no-store"})

    return routes
