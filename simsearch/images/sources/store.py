"""A store of objects by its URL: s3://, gs://, http://, ... Owner of fsspec, and of what its libraries say of errors.

What they say may hold keys, so it is never repeated: a failure becomes words of our own and the URL.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from html import unescape
from typing import Any, TypeVar
from urllib.parse import quote, unquote_to_bytes

from simsearch.errors import ImageError, MissingError, SourceError, near_words, nearest
from simsearch.images.formats.decode import MAX_FILE_BYTES
from simsearch.images.sources.urls import KEYS, is_web, scheme_of, shown_url

EXTRA = "pip install 'simsearch[remote]'"
PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
CONNECTIONS = 16  # requests that are on their way at once: each waits for the network, not for a core
WAITS = (1.0, 4.0)  # seconds before a second and a third try
PATIENCE = 120  # seconds for one answer
DEEPEST = 64  # folders within folders; pages of a server can lead on without an end
# What tells the content of an object, the surest first, and what tells when it was written.
CHECKSUMS = ("md5hash", "content-md5", "content_md5", "md5", "content_hash", "digest", "checksum", "crc32c", "etag")
TIMES = ("mtime", "modified", "lastmodified", "last_modified", "last-modified", "updated", "created", "ino")
GO_ON = "check the network and the store, and run the same command again: finished stages are kept"

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Refusal(Exception):
    """What a store answered, in words; `of_one`: of one object, and of no other."""

    def __init__(self, words: str, *, of_one: bool) -> None:
        super().__init__(words)
        self.words, self.of_one = words, of_one


class Store:
    """What lies below a URL; safe for threads. Nothing is asked before it is needed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._web = is_web(url)
        self._lock = threading.Lock()

    def names(self) -> tuple[dict[str, dict[str, Any]], list[str], list[tuple[str, str]]]:
        """Return what is said of each object, by its path below the URL, the links, none of which is followed, and
        which objects are refused, with the reason.

        Raises SourceError where a folder cannot be listed, be it one of many: fewer images would look like all.
        """
        found: dict[str, dict[str, Any]] = {}
        links: list[str] = []
        refused, known, folders = [], {""}, [""]
        for _ in range(DEEPEST):
            below: list[str] = []
            for infos in self.each(self._listed, folders):
                for info in infos:
                    name, kind = self._name(info["name"]), info["type"]
                    if name is None or name in known:
                        continue
                    known.add(name)
                    if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
                        refused.append((name.replace("\0", "?"), "no name of a file: it has . or .. or nothing in it"))
                    elif kind == "link" or info.get("islink"):
                        links.append(name)
                    elif kind == "directory":
                        below.append(name)
                    elif kind == "file":
                        found[name] = {key: info[key] for key in info if key.lower() in ("size", *CHECKSUMS, *TIMES)}
                    else:
                        refused.append((name, "not a regular file"))
            if not (folders := below):
                return found, links, refused
        raise SourceError(f"{shown_url(self.url)} has folders more than {DEEPEST} deep", hint="give one of them")

    def stamp(self, name: str, info: dict[str, Any]) -> tuple[int, str]:
        """Return the size of an object (-1 where nobody says it) and what tells its content, as `info` has it.

        Its checksum, else when it was written; where the store says neither, the SHA-256 of its bytes, read for it.
        Raises ImageError for an object that is not there or not for us, SourceError where the store does not answer.
        """
        if not self._tells(info):
            info = self._answered(name, lambda: self._fs.info(self._path(name), **self._patience))
        told = {key.lower(): value for key, value in info.items() if value not in (None, "")}
        size = int(told["size"]) if isinstance(told.get("size"), int) else -1
        for key in CHECKSUMS:
            if key in told:
                return size, f"{key}:{str(told[key]).strip(chr(34))}"
        times = [f"{key}:{told[key]}" for key in TIMES if key in told]
        if times and size >= 0:
            return size, " ".join(times)
        data = self.read(name)
        return len(data), READ + hashlib.sha256(data).hexdigest()

    def read(self, name: str) -> bytes:
        """Return the bytes of an object; raises as `stamp` does."""
        data: bytes = self._answered(name, lambda: self._fs.cat_file(self._path(name), **self._patience))
        if len(data) > MAX_FILE_BYTES:
            raise ImageError(f"too large: {len(data):,} bytes, at most {MAX_FILE_BYTES:,}")
        return data

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield work(item) in order, several at once."""
        return self._pool.map(work, items)

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        end = "/" if self._web else ""
        try:
            listed: list[dict[str, Any]] = self._tried(
                lambda: self._fs.ls(self._path(folder) + end, detail=True, **self._patience)
            )
        except _Refusal as error:
            place = f"{self.url}/{folder}" if folder else self.url
            raise SourceError(f"cannot list {shown_url(place)}: {error.words}", hint=GO_ON) from None
        return listed

    def _answered(self, name: str, ask: Callable[[], Any]) -> Any:
        try:
            return self._tried(ask)
        except _Refusal as error:
            if error.of_one:
                raise ImageError(error.words) from None
            raise SourceError(f"cannot read {shown_url(f'{self.url}/{name}')}: {error.words}", hint=GO_ON) from None

    def _tried(self, ask: Callable[[], Any]) -> Any:
        """Return an answer, asked for three times where it is the network that fails."""
        tries = len(WAITS) + 1
        for wait in (*WAITS, None):
            try:
                return ask()
            except (SourceError, MissingError):
                raise
            except Exception as error:  # of whichever library reads the store
                words, again, of_one = said_of(error)
            if not again:
                raise _Refusal(words, of_one=of_one)
            if wait is None:
                raise _Refusal(f"{words} ({tries} tries)", of_one=False)
            time.sleep(wait)
        raise AssertionError

    @property
    def _fs(self) -> Any:
        return self._opened[0]

    @cached_property
    def _patience(self) -> dict[str, int]:
        return {"timeout": PATIENCE} if getattr(self._fs, "async_impl", False) else {}

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CONNECTIONS)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system and the path in it. Raises MissingError, and SourceError for a scheme that nobody knows."""
        with self._lock:
            scheme = scheme_of(self.url)
            try:
                import fsspec
            except ImportError:
                raise MissingError(f"{scheme}:// needs fsspec, which is not installed", hint=EXTRA) from None
            if scheme not in fsspec.available_protocols():
                near = nearest(scheme, fsspec.available_protocols())
                said, pair = near_words(scheme, near)
                raise SourceError(
                    f"no store is known by {scheme}://{said}", hint="as s3://, gs://, https:// or a folder", near=pair
                )
            try:
                fsspec.get_filesystem_class(scheme)
            except ImportError:
                package = PACKAGES.get(scheme)
                raise MissingError(
                    f"{scheme}:// needs {package or 'a package of its own'}, which is not installed",
                    hint=f"pip install {package}" if package else EXTRA,
                ) from None
            fs, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
            return fs, path.rstrip("/")

    def _path(self, name: str) -> str:
        root = self._opened[1]
        if not name:
            return root
        return f"{root}/{quote(os.fsencode(name)) if self._web else name}"

    def _name(self, path: str) -> str | None:
        """The name below the URL of what the store calls `path`; None for what lies elsewhere."""
        before = self._opened[1] + "/"
        if not path.startswith(before) or not (rest := path[len(before) :].removesuffix("/")):
            return None
        if not self._web:
            return rest
        if "?" in rest or "#" in rest:  # an order of the page's lines, not another file
            return None
        return os.fsdecode(unquote_to_bytes(unescape(rest)))

    def _tells(self, info: dict[str, Any]) -> bool:
        return any(key.lower() in (*CHECKSUMS, *TIMES) for key in info)


READ = "sha256:"  # how the stamp begins of what had to be read for it


def said_of(error: BaseException) -> tuple[str, bool, bool]:
    """Return what an error means, whether it may pass, and whether it is about one object alone."""
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # which the file system of HTTP hides
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    answers = (
        (error, "status"),
        (error, "status_code"),
        (getattr(error, "response", None), "status_code"),
        (error, "code"),
    )
    status = next((number for one, key in answers if isinstance(number := getattr(one, key, None), int)), None)
    if status in (404, 410) or isinstance(error, FileNotFoundError):
        return "it is not there", False, True
    if status in (401, 403) or isinstance(error, PermissionError):
        return f"access is denied; {KEYS}", False, True
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return "it is a folder, not a file" if isinstance(error, IsADirectoryError) else "it is no folder", False, True
    if status is not None:
        return f"HTTP {status}", status >= 500 or status in (408, 425, 429), status < 500
    if isinstance(error, TimeoutError):
        return f"no answer in {PATIENCE} s", True, False
    if "DNS" in kinds or "gaierror" in kinds:
        return "its host is not known", True, False
    if "SSL" in kinds or "Certificate" in kinds:
        return "its certificate cannot be trusted, or TLS fails", True, False
    if "redential" in kinds or "Token" in kinds:
        return f"no credentials were found; {KEYS}", False, False
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno), True, False
    return type(error).__name__, True, False
