"""Forms with files, from a body that is in memory: nothing is written to a disk. Owner of python_multipart."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from simsearch.server.limits import MOST_FIELDS, MOST_TEXT
from simsearch.server.problems import Problem

_HEADER_BYTES = 8 * 2**10  # of one part
logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # it would log what clients send wrong
_HINT = "as curl -F image=@x.jpg -F k=5 sends it"


@dataclass
class Part:
    """A part of a form: the name of its field, that of its file (None for text), and its bytes."""

    name: str = ""
    file: str | None = None
    data: bytes | bytearray = field(default_factory=bytearray)


def parse_form(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of a multipart/form-data body; Problem (400) for one that is none or ends too soon."""
    boundary = parse_options_header(content_type.encode("latin-1"))[1].get(b"boundary", b"")
    if not boundary:
        raise Problem(400, "the form has no boundary", _HINT)
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, f"the form cannot be read: {error}", _HINT) from None
    if not reader.ended:
        raise Problem(400, "the form ends inside a part", _HINT)
    for part in reader.parts:
        part.data = bytes(part.data)
    return reader.parts


class _Reader:
    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header(self._name, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(self._value, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers = {}
        if len(self.parts) >= MOST_FIELDS:
            raise Problem(400, f"the form has more than {MOST_FIELDS} fields")
        self.parts.append(Part())

    @staticmethod
    def _header(into: bytearray, data: bytes) -> None:
        into += data
        if len(into) > _HEADER_BYTES:
            raise Problem(400, "a header of the form is too long")

    def _header_end(self) -> None:
        if len(self._headers) >= MOST_FIELDS:
            raise Problem(400, "a part of the form has too many headers")
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        if b"name" not in options:
            raise Problem(400, "a part of the form has no name", _HINT)
        part = self.parts[-1]
        part.name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            part.file = options[b"filename"].decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.data += data[start:end]
        if part.file is None and len(part.data) > 4 * MOST_TEXT:
            raise Problem(422, f"{part.name[:60]}: a text of more than {MOST_TEXT:,} characters")

    def _end(self) -> None:
        self.ended = True
