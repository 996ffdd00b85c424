"""What a stream cannot show or should not obey is written as escapes."""

from __future__ import annotations

import io

from tlkit.reports.terminal import printable, write_line


def test_a_file_name_that_is_no_text_is_shown_with_escapes() -> None:
    assert printable("caf\udce9.jpg") == "caf\\udce9.jpg"


def test_a_stream_that_lacks_a_character_gets_its_escape() -> None:
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="ascii", write_through=True)
    write_line(stream, "naïve")
    assert content.getvalue() == b"na\\xefve\n"
