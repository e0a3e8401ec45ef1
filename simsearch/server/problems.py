"""What goes wrong, as a client sees it: RFC 9457 problem documents, and which status an error of ours has."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import Response

from simsearch.console import safe, shorten
from simsearch.errors import ArtifactError, FilterError, ImageError, RecipeError, SimsearchError, VectorsError

MEDIA_TYPE = "application/problem+json"
SEARCH_AGAIN = "the build changed: search again"


class Problem(Exception):
    """An answer that is none: its status, what is wrong in a sentence, and what to do."""

    def __init__(self, status: int, detail: str, hint: str | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint, self.more = status, detail, hint, more
        self.headers: dict[str, str] = {}

    def after(self, seconds: int) -> Problem:
        """Return it with the word to come back after so many seconds."""
        self.headers["Retry-After"] = str(seconds)
        return self

    def document(self) -> dict[str, Any]:
        """Return the problem document."""
        title = HTTPStatus(self.status).phrase
        return {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": safe(shorten(self.detail, 1000)),
            "hint": None if self.hint is None else safe(shorten(self.hint, 1000)),
            **self.more,
        }

    def response(self) -> Response:
        """Return it as a response."""
        body = json.dumps(self.document(), allow_nan=False).encode()
        return Response(body, self.status, self.headers, MEDIA_TYPE)


def problem_of(error: SimsearchError) -> Problem:
    """Return what an error of the search is to a client: what was sent is at fault, or what stands here."""
    more: dict[str, Any] = {"place": error.place} if isinstance(error, FilterError) else {}
    if isinstance(error, ImageError | RecipeError | VectorsError):
        return Problem(422, error.message, _hint(error), **more)
    if isinstance(error, ArtifactError):
        return Problem(503, error.message, error.hint).after(5)
    return Problem(503, error.message, error.hint).after(1)


def _hint(error: SimsearchError) -> str | None:
    """Return the hint of an error, but where it speaks of Python's ways to give a picture."""
    if isinstance(error, ImageError) and ("search takes" in error.hint or error.hint == error.default_hint):
        return "send a JPEG, PNG, WebP, TIFF, BMP or GIF"
    if error.hint == error.default_hint:
        return "see /docs"
    return error.hint.replace("--where ", "") if isinstance(error, FilterError) else error.hint


def gone(name: str, digest: str) -> Problem:
    """Return what an address of a state of a build is that is no longer open."""
    return Problem(410, f"build {name} is no longer what {shorten(digest, 40)} stood for", SEARCH_AGAIN)


def unknown_build(name: str, known: list[str]) -> Problem:
    """Return what the address of a build is that is not served."""
    return Problem(404, f"no build {shorten(name, 60)!r} is served here", f"builds here: {', '.join(known)}")
