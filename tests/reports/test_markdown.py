"""Texts of strangers in Markdown stay text."""

from __future__ import annotations

import markdown  # type: ignore[import-untyped]
import pytest

from tlkit.reports.markdown import escape_markdown, format_page, format_table, quote_code


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "[here](http://a.b)", "**a** _b_ `c` # d", "a\n\n# b", "c|d"]
)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    shown = markdown.markdown(escape_markdown(text), extensions=["tables"])
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert shown.replace("\\|", "|").replace("\\~", "~") == f"<p>{plain}</p>"


def test_code_holds_backticks_and_stays_in_its_cell() -> None:
    assert quote_code("cat") == "`cat`"
    assert quote_code("`a``b`") == "``` `a``b` ```"
    assert quote_code("a|b\n# c") == r"`a\|b # c`"


def test_a_column_of_numbers_is_aligned_to_the_right() -> None:
    assert format_table(("class", "images"), [("cat", "1,200"), ("dog", "-")]) == [
        "| class | images |",
        "| --- | ---: |",
        "| cat | 1,200 |",
        "| dog | - |",
    ]
    assert format_page([["# a"], [], ["b", "c"]]) == "# a\n\nb\nc\n"
