"""What a network starts from: files of somebody else, held to the bytes that its address names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from simsearch.console import safe
from simsearch.errors import EmbedderError, SimsearchError


@dataclass(frozen=True)
class Starting:
    """The starting weights of a network: the `digest` that enters addresses, `again` takes it of what is there now.

    `shown` is what they are called.
    """

    digest: str
    again: Callable[[], str]
    shown: str

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raise EmbedderError where the files are others than were hashed, once they were read within.

        The digest is taken before pictures are read, the files after: what is made of others must not be kept under it.
        An error within that they may have caused gives way to it.
        """
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check()

    def check(self) -> None:
        """Raise EmbedderError where the files are others than were hashed."""
        now = None
        with suppress(OSError, SimsearchError):  # what is gone, or half written, is not what it was
            now = self.again()
        if now != self.digest:
            raise EmbedderError(
                f"{safe(self.shown)} changed while it was built: nothing that was made of it is kept",
                hint="run the same command again",
            )
