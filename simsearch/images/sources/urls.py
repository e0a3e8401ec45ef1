"""What is taken for the URL of a folder of images, and what of it may be said: a password stands in no recipe."""

from __future__ import annotations

import re
from urllib.parse import unquote

from simsearch.errors import SourceError

KEYS = "stores read them from the environment or their own files: AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, ..."
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_WEB = {"http", "https"}


def is_url(text: str) -> bool:
    """Return whether a place is given as SCHEME://..., and not as a path."""
    return _URL.match(text) is not None


def checked_url(text: str) -> str:
    """Return a URL as it is kept: without a slash at its end.

    Raises SourceError for one that holds a password, a query, which may hold a key, or one URL within another.
    """
    scheme, rest = _split(text)
    who, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (":" in who or scheme in _WEB):
        raise SourceError(
            f"the URL {shown_url(text)} has a password or a name before its host, which would be kept with the build",
            hint=f"leave it out: {KEYS}",
        )
    if "?" in rest or (scheme in _WEB and "#" in rest):
        raise SourceError(
            f"the URL {shown_url(text)} has a query, and a folder of images has none",
            hint=f"leave out what follows the ?; keys that stand there are not needed: {KEYS}",
        )
    if "::" in rest or "\0" in rest or is_url(rest):
        raise SourceError(
            f"cannot use the URL {shown_url(text)}: expected one SCHEME://PLACE", hint="unpack archives beside it"
        )
    return f"{scheme}://{rest.rstrip('/') or rest[:1]}"


def shown_url(text: str) -> str:
    """Return a URL as it may be said: without what may be a password or a key in it."""
    scheme, rest = _split(text)
    place, slash, path = rest.partition("/")
    _, at, host = place.rpartition("@")
    shown, query, _ = f"{host}{slash}{path}".partition("?")
    return f"{scheme}://{'***@' if at else ''}{shown}{'?***' if query else ''}"


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, in lower case."""
    return _split(url)[0]


def is_web(url: str) -> bool:
    """Return whether the parts of a URL are percent-encoded, and folders are pages."""
    return scheme_of(url) in _WEB


def name_of(url: str) -> str:
    """Return what a folder is called: the last part of its path, else its host."""
    scheme, rest = _split(url)
    last = rest.rstrip("/").rpartition("/")[2]
    return (unquote(last) if scheme in _WEB else last) or scheme


def _split(text: str) -> tuple[str, str]:
    found = _URL.match(text)
    assert found is not None
    return found[1].lower(), found[2]
