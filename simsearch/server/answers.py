"""Answers of a build as a client gets them: the documents of `query --json`, with addresses instead of paths."""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Sequence
from typing import Any

from simsearch.arrays import Floats
from simsearch.console import safe
from simsearch.search import Answer, Hit, Question
from simsearch.search.documents import answer_document, judgement_document
from simsearch.search.pictures import part_of
from simsearch.search.question import MAX_FAR
from simsearch.server.asked import Asked, Form, Picked, vectors_of
from simsearch.server.opened import Opened
from simsearch.server.problems import Problem

_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_ID = 16  # characters of the name of an answer
_NO_HITS = '"hits":[]'  # no text within JSON has it, as its quotes are escaped there


def dumped(document: Any) -> bytes:
    """Return JSON, never NaN."""
    return _ENCODER.encode(document).encode()


def search_by_picture(opened: Opened, data: bytes, sha256: str, name: str, form: Form) -> bytes:
    """Return the answer to a picture that was sent; raises ImageError, FilterError and RecipeError as a search does."""
    question, box = form.question(), form.box()
    searcher = opened.searcher
    answer = searcher.ask(data if box is None else part_of(searcher.decoded(data), box), question)
    return _text(opened, name, answer, form, question, name_of_picture(sha256)).encode()


def name_of_picture(sha256: str) -> str:
    """Return the id of the answers to a picture that was sent, by the digest of its bytes."""
    return sha256[:_ID]


def search_by_row(opened: Opened, row: int, form: Form) -> bytes:
    """Return the answer to an image of the corpus: by what the index stores of it, else by its file."""
    question, box, searcher = form.question(), form.box(), opened.searcher
    image = searcher.corpus.records[row].image
    if box is not None:
        answer = searcher.ask(part_of(searcher.decoded(original(opened, row)), box), question)
    elif searcher.stores_vectors or not opened.embeds:
        answer = searcher.ask_row(row, question)
    else:
        data = searcher.corpus.original(row)
        answer = searcher.ask_row(row, question) if data is None else searcher.ask(data, question)
    return _text(opened, image, answer, form, question, f"row-{row}").encode()


def search_by_vectors(opened: Opened, asked: Asked) -> bytes:
    """Return the answer to one raw vector, or the answers to several."""
    if asked.crop:
        raise Problem(422, "crop: a vector has no part", "send a picture, or an image of the corpus")
    question, searcher = asked.question(), opened.searcher
    if asked.vector is not None:
        (answer,) = searcher.ask_vectors(vectors_of([asked.vector], searcher.dim), question)
        return _text(opened, None, answer, asked, question, None).encode()
    vectors = vectors_of(asked.vectors or [], searcher.dim)
    whole = ",".join(_texts(opened, vectors, asked, question) if len(vectors) else ())
    return f'{{"build":{json.dumps(opened.name)},"digest":{json.dumps(opened.digest)},"answers":[{whole}]}}'.encode()


def picked_row(opened: Opened, picked: Picked | Asked) -> int:
    """Return the row of an image of the corpus; Problem (404) where it is not there."""
    corpus = opened.searcher.corpus
    if picked.row is not None:
        if picked.row >= len(corpus.live) or not corpus.live[picked.row]:
            raise Problem(404, f"build {opened.name} has no row {picked.row}")
        return picked.row
    row = corpus.names.get(picked.image or "")
    if row is None:
        raise Problem(404, f"build {opened.name} has no image {safe((picked.image or '')[:100])!r}")
    return row


def original(opened: Opened, row: int) -> bytes:
    """Return the file of an image; Problem (404) where it is not here as the build saw it."""
    data = opened.searcher.corpus.original(row)
    if data is None:
        raise Problem(404, f"the file of row {row} is not here, or changed since", "simsearch sync brings it in step")
    return data


def same(opened: Opened, one: bytes, other: bytes, names: Sequence[str], max_far: float | None) -> bytes:
    """Return whether two pictures are of the same label, as `query --same --json` does."""
    found = opened.searcher.same(one, other, MAX_FAR if max_far is None else max_far)
    document = judgement_document(opened.searcher, names[0], names[1], found)
    return dumped({**document, "digest": opened.digest})


def shown(opened: Opened, row: int) -> dict[str, Any]:
    """Return what is shown of an image of the corpus."""
    record, addresses = opened.searcher.corpus.records[row], picture_addresses(opened, row, here=False)
    return {"row": row, "label": record.label, "image": record.image, "thumbnail": addresses["thumbnail"]}


def picture_addresses(opened: Opened, row: int, *, here: bool) -> dict[str, str | None]:
    """Return the addresses of the pictures of a row: "full" is None where its file is not here."""
    return {
        "thumbnail": opened.address(row, "thumbnail") if opened.embeds else None,
        "full": opened.address(row, "full") if here else None,
    }


def _text(opened: Opened, query: str | None, answer: Answer, form: Form, question: Question, name: str | None) -> str:
    """Return an answer, with its place on the map."""
    located = answer.hits[form.offset :]
    places = opened.places
    place = places and places.between([hit.row for hit in located], [hit.score for hit in located])
    shell = _shell(opened, query, answer, form, question, len(answer.hits), name, place)
    return shell.replace(_NO_HITS, _hits(opened, located, looked=query is None), 1)


def _texts(opened: Opened, vectors: Floats, form: Form, question: Question) -> list[str]:
    """Return the answers to several vectors: what they share is written once, and no place on the map is told."""
    searcher, started = opened.searcher, time.perf_counter()
    found = None if opened.embeds else searcher.nearest_rows(vectors, question)
    if found is not None:
        took, count = (time.perf_counter() - started) * 1000 / len(vectors), found.rows.shape[1]
        texts = opened.texts.of_rows(found, form.offset, searcher.corpus.records)
        alike = [Answer((), wide, {}, took) for wide in (False, True)]
        halves = [_shell(opened, None, one, form, question, count).split(_NO_HITS, 1) for one in alike]
        widened = frozenset(found.widened.tolist())
        return [f'"hits":[{text}]'.join(halves[number in widened]) for number, text in enumerate(texts)]
    shells: dict[Hashable, str] = {}
    whole = []
    for answer in searcher.ask_vectors(vectors, question):
        key = (answer.widened, answer.verdict, *answer.left_out.items(), len(answer.hits))
        if key not in shells:
            shells[key] = _shell(opened, None, answer, form, question, len(answer.hits))
        whole.append(shells[key].replace(_NO_HITS, _hits(opened, answer.hits[form.offset :], looked=True), 1))
    return whole


def _hits(opened: Opened, hits: Sequence[Hit], *, looked: bool) -> str:
    return f'"hits":[{",".join([opened.texts.text(hit, looked=looked) for hit in hits])}]'


def _shell(
    opened: Opened,
    query: str | None,
    answer: Answer,
    form: Form,
    question: Question,
    found: int,
    name: str | None = None,
    place: Any = None,
) -> str:
    """Return an answer to which so many hits were found, as JSON without them."""
    searcher = opened.searcher
    passing = None if question.where is None else searcher.passing(question.where)
    there = len(searcher.corpus.searched) if passing is None else passing
    whole = {
        **answer_document(searcher, query, answer, [], question.where),
        "digest": opened.digest,
        "id": name,
        "k": form.k,
        "offset": form.offset,
        "left_out": {"min_score": 0, "max_far": 0, **answer.left_out},
        "passing": passing,
        "more": found == question.k and question.k < there,
        "place": place,
    }
    return dumped(whole).decode()
