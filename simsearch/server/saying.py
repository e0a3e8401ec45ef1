"""The addresses for looking through a corpus, and for saying what a hit is worth."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from simsearch.server.answers import dumped, name_of_picture, original, picked_row
from simsearch.server.asked import Picked, Row, Text, from_json
from simsearch.server.bodies import JSON
from simsearch.server.doubted import groups_of, suspects_of
from simsearch.server.feedback import RIGHT, WRONG, checked_label
from simsearch.server.opened import Opened
from simsearch.server.problems import Problem
from simsearch.server.schemas import json_schema
from simsearch.server.service import Service
from simsearch.server.telling import lasting

_ROW = "row-"  # what the id of an answer to an image of the corpus begins with


class Said(BaseModel):
    """What is said of a hit: `right`, or the label that the picture has."""

    model_config = ConfigDict(extra="forbid")

    build: Text
    digest: Text
    query: Text = Field(description="The `id` of the answer.")
    row: Row
    said: str = Field(min_length=1, max_length=200, description="right, or the label that the picture has.")


def saying(service: Service) -> APIRouter:
    """Return the routes of a service."""
    routes = APIRouter()

    @routes.get("/v1/builds/{name}/{digest}/suspects", summary="Images whose label may be a mistake")
    async def suspects(request: Request, name: str, digest: str) -> Response:
        """`says` is the label that its neighbours say, `score` that of the nearest such image, `why` a sentence."""
        opened = service.shelf.taken(name, digest)

        def found() -> bytes:
            return dumped({"suspects": suspects_of(opened)})

        return lasting(request, await service.run(opened, found, ("suspects", digest), in_files=True), JSON)

    @routes.get("/v1/builds/{name}/{digest}/duplicates", summary="Images that are the same")
    async def duplicates(request: Request, name: str, digest: str) -> Response:
        """Groups of images; `kinds` tells of each group whether bytes, looks or scores are the same."""
        opened = service.shelf.taken(name, digest)

        def found() -> bytes:
            groups = groups_of(opened)
            return dumped({"groups": [group for _, group in groups], "kinds": [kind for kind, _ in groups]})

        return lasting(request, await service.run(opened, found, ("duplicates", digest), in_files=True), JSON)

    @routes.post("/v1/feedback", status_code=204, summary="Say what a hit is worth", openapi_extra=json_schema(Said))
    async def feedback(request: Request) -> Response:
        """Writes a row into the file of `--feedback`, and keeps the picture that was searched with beside it."""
        kept = service.feedback
        if kept is None:
            raise Problem(403, "this server keeps no feedback", "simsearch serve --feedback FILE.csv does")
        said = from_json(Said, (await service.bodies.read(request, JSON)).json or b"")
        of_corpus = said.query.startswith(_ROW)
        sent = b"" if of_corpus else kept.picture(said.query)
        opened = service.shelf.taken(said.build, said.digest)

        def write() -> None:
            label, word = _label(opened, said)
            name, picture = _of_corpus(opened, said.query) if of_corpus else (said.query, sent)
            kept.say(name, picture, label, word)

        async with service.writing:  # one row after the other
            await service.run(opened, write, in_files=True)
        return Response(status_code=204)

    return routes


def _label(opened: Opened, said: Said) -> tuple[str, str]:
    """Return the label that the picture has, and the word for what was said of the hit."""
    hit = opened.searcher.corpus.records[picked_row(opened, Picked(row=said.row, image=None))]
    if said.said != RIGHT:
        return (said.said if said.said in opened.labels else checked_label(said.said)), WRONG
    if not hit.label:
        raise Problem(422, f"row {said.row} has no label that could be right", "say the label")
    return hit.label, RIGHT


def _of_corpus(opened: Opened, query: str) -> tuple[str, bytes]:
    """Return the name and the bytes of an image of the corpus that was searched with."""
    number = query.removeprefix(_ROW)
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise Problem(404, f"there is no answer {query[:40]!r}", "search again")
    row = picked_row(opened, Picked(row=int(number), image=None))
    return name_of_picture(opened.searcher.corpus.records[row].sha256), original(opened, row)
