"""Where in Milvus a build is: a value that the build's file holds. Light, as every query reads it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from simsearch.errors import RecipeError

TOKEN = "SIMSEARCH_MILVUS_TOKEN"  # the variable of the environment that holds it
FILE = ".db"


@dataclass(frozen=True)
class Place:
    """A collection at `uri`, a server or a file, with an index of a `kind`; `rows`: how many it was loaded with.

    `fingerprint` is that of the loading, which the collection bears too; `state` the digest of the index artifact that
    it is in step with. `answers`: searches of the build go there.
    """

    uri: str
    collection: str
    kind: str
    rows: int
    fingerprint: str
    state: str
    answers: bool = False

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Place:
        """Return the place that a build's file tells; TypeError or ValueError for one that is none."""
        place = cls(**found)
        types = {"rows": int, "answers": bool}
        if not all(type(value) is types.get(key, str) for key, value in asdict(place).items()):
            raise ValueError("not a place")
        return place

    def to_json(self) -> dict[str, Any]:
        """Return what a build's file holds of it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"collection {self.collection} of Milvus at {self.uri}"


def uri_of(text: str) -> str:
    """Return the address of a Milvus server, or the absolute path of a file; RecipeError for what is neither.

    Names and passwords are refused: an address is written into the build's file.
    """
    if text.startswith(("http://", "https://")):
        seen = urlsplit(text)
        if seen.username or seen.password or "@" in seen.netloc or seen.query or seen.fragment:
            raise RecipeError(
                "--out: the address of Milvus may hold neither a name, a password nor a token, as it is kept",
                hint=f"give http://HOST:19530, and the token (or user:password) in {TOKEN}",
            )
        if seen.hostname:
            return text.rstrip("/")
    elif text.endswith(FILE) and "://" not in text:
        path = os.path.abspath(os.path.expanduser(text))
        if os.path.isdir(os.path.dirname(path)):
            return path
        raise RecipeError(f"--out: no folder {os.path.dirname(path)}", hint="make it, or give another place")
    raise RecipeError(
        f"--out: expected http://HOST:19530 or a path that ends in {FILE}, seen {text.split('@')[-1]}",
        hint="--out http://127.0.0.1:19530 is a server on this machine",
    )
