"""Split a multipart body into its parts, in memory: nothing of it is written to a disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from tlkit.serving.refusals import RequestError

MAX_PARTS = 256
MAX_HEADER_BYTES = 4096
MAX_BOUNDARY_BYTES = 200


@dataclass
class Part:
    """A part of a form.

    Attributes:
        name: Its name.
        content: Its bytes.
        file_name: Its file name; None for a field, empty if the client has no name for the file.
    """

    name: str = ""
    content: bytes = b""
    file_name: str | None = None


@dataclass
class _Collector:
    """Collects the parts that the parser reports piece by piece, and refuses endless ones."""

    parts: list[Part] = field(default_factory=list)
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _num_header_bytes: int = 0
    _content: bytearray = field(default_factory=bytearray)
    is_complete: bool = False

    def begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise _refuse(
                f"The form has more than {MAX_PARTS} parts.", expected=f"at most {MAX_PARTS}", fix="send fewer fields."
            )
        self._headers, self._num_header_bytes, self._content = {}, 0, bytearray()

    def add_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def add_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def add_content(self, data: bytes, start: int, end: int) -> None:
        self._content += memoryview(data)[start:end]

    def end_part(self) -> None:
        from python_multipart.multipart import parse_options_header

        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            raise _refuse(
                f"Part {len(self.parts) + 1} of the form has no name.",
                expected="Content-Disposition: form-data with a name in every part",
                fix="check the program that writes the form.",
            )
        file_name = options.get(b"filename")
        self.parts.append(
            Part(
                options[b"name"].decode("utf-8", "replace"),
                bytes(self._content),
                None if file_name is None else file_name.decode("utf-8", "replace"),
            )
        )

    def end(self) -> None:
        self.is_complete = True

    def _count_header(self, num_bytes: int) -> None:
        self._num_header_bytes += num_bytes
        if self._num_header_bytes > MAX_HEADER_BYTES:
            raise _refuse(
                f"The head of part {len(self.parts) + 1} of the form is longer than {MAX_HEADER_BYTES:,} bytes.",
                expected="a name and a file name",
                fix="check the program that writes the form.",
            )


def read_parts(body: bytes, content_type: str) -> list[Part]:
    """Split a body of the type multipart/form-data.

    Raises:
        RequestError: It is damaged, or has too many parts or too long heads.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise _refuse(
            "The header Content-Type of the form has no valid boundary.",
            expected="multipart/form-data; boundary=…",
            fix="leave the header to the library that writes the form.",
        )
    collector = _Collector()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.begin,
                "on_header_field": collector.add_name,
                "on_header_value": collector.add_value,
                "on_header_end": collector.end_header,
                "on_part_data": collector.add_content,
                "on_part_end": collector.end_part,
                "on_end": collector.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise _damaged(str(error)) from error
    if not collector.is_complete:
        raise _damaged("it ends within a part")
    return collector.parts


def _damaged(reason: str) -> RequestError:
    return _refuse(
        f"The form is damaged: {reason}.",
        expected="multipart/form-data as RFC 7578 describes it",
        fix="check the program that writes the form.",
    )


def _refuse(found: str, *, expected: str, fix: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, found, expected=expected, fix=fix)
