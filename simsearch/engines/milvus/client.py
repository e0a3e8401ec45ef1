"""The client of Milvus: opened, quiet, and what it raises told in one line. The only owner of pymilvus."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from typing import Any

from simsearch.embedder.networks.hub import needing
from simsearch.engines.milvus.place import FILE, TOKEN
from simsearch.errors import EngineError, LockedError, first_line

OLDEST = (2, 3)  # of servers: the first that counts rows and upserts
OPENING = 10.0  # seconds that a server has to answer at all
_TOLD = 200  # characters of what it says
_UNREACHABLE = re.compile(r"Fail(ed)? connecting|server unavailable|UNAVAILABLE|DEADLINE|Deadline|Timeout|timed out")


class Client:
    """A connection to a server, or to a file, which this process alone then has; several threads may use it.

    Raises MissingError without pymilvus, EngineError for what cannot be reached, refuses the token or is too old,
    LockedError for a file that another process has open.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._token = os.environ.get(TOKEN, "")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        for name in ("pymilvus", "milvus_lite"):  # which print tracebacks of what is told in a line here
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        with needing(f"Milvus at {uri}", "pymilvus", "milvus"):
            import pymilvus

            if uri.endswith(FILE):
                import milvus_lite  # noqa: F401
        self.types = pymilvus.DataType
        try:
            given = {"token": self._token} if self._token else {}
            self._native: Any = pymilvus.MilvusClient(uri, timeout=OPENING, **given)
            version = self.call("get_server_version")
        except (EngineError, LockedError):
            raise
        except Exception as error:
            raise self._told(error) from None
        seen = re.match(r"v?(\d+)\.(\d+)", version)
        if not uri.endswith(FILE) and (seen is None or (int(seen[1]), int(seen[2])) < OLDEST):
            raise EngineError(
                f"Milvus at {uri} is of version {version[:40]}, expected {OLDEST[0]}.{OLDEST[1]} or later",
                hint="give the address of a newer server",
            )

    def call(self, method: str, *arguments: Any, timeout: float = OPENING, **named: Any) -> Any:
        """Return what a method of pymilvus's client does; EngineError in one line for whatever it raises."""
        try:
            return getattr(self._native, method)(*arguments, timeout=timeout, **named)
        except Exception as error:  # its own, those of gRPC, and whatever a file raises
            raise self._told(error) from None

    def schema(self, **named: Any) -> Any:
        """Return an empty schema."""
        return self._native.create_schema(**named)

    def index(self, field: str, kind: str, parameters: dict[str, int]) -> Any:
        """Return what `create_index` takes."""
        found = self._native.prepare_index_params()
        found.add_index(field, index_type=kind, metric_type="IP", params=parameters)
        return found

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._native.close()

    def _told(self, error: Exception) -> EngineError | LockedError:
        message = getattr(error, "message", None) or getattr(error, "details", lambda: None)() or first_line(error)
        words = " ".join(str(message).split())
        if self._token:
            words = words.replace(self._token, "***")
        if self.uri.endswith(FILE) and ("Open local milvus failed" in words or "lock" in words.lower()):
            return LockedError(
                f"{self.uri} is open in another process, and one alone can have a file of Milvus",
                hint="end that one (a server, a sync), or use a Milvus server: --out http://HOST:19530",
            )
        if _UNREACHABLE.search(f"{words} {type(error).__name__} {error}"):
            return EngineError(
                f"Milvus at {self.uri} cannot be reached or does not answer",
                hint="start it, or simsearch switch NAME --search local, which needs none",
            )
        return EngineError(
            f"Milvus at {self.uri} refuses: {words[:_TOLD]}",
            hint=f"a server with users needs {TOKEN}; simsearch switch NAME --search local needs no server",
        )
