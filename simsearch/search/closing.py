"""What a searcher says once it is closed: one error from every method, before anything else is looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from simsearch.errors import SimsearchError
from simsearch.home import Build


class Closable(Protocol):
    """An opened build, and whether it was closed."""

    build: Build
    closed: bool


Opened = TypeVar("Opened", bound=Closable)
Given = ParamSpec("Given")
Found = TypeVar("Found")


def while_open(method: Callable[Concatenate[Opened, Given], Found]) -> Callable[Concatenate[Opened, Given], Found]:
    """Return a method that raises SimsearchError once its object is closed, also where it would give an iterator."""

    @wraps(method)
    def checked(self: Opened, /, *args: Given.args, **kwargs: Given.kwargs) -> Found:
        if self.closed:
            raise SimsearchError(
                "this searcher is closed: open the build again", hint=f"simsearch.open({self.build.name!r}) opens it"
            )
        return method(self, *args, **kwargs)

    return checked
