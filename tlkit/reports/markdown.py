"""Texts of strangers in Markdown: names and notices that can neither format the page nor leave their cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKS = re.compile(r"[\\`*_\[\]|~$#]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape_markdown(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    line = "".join(_ENTITIES.get(letter, letter) for letter in " ".join(text.split()))
    return _MARKS.sub(r"\\\g<0>", line)


def quote_code(text: str) -> str:
    """Return a text as one line of code, also within a table."""
    line = " ".join(text.split()).replace("|", r"\|")
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def format_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells that hold a number are aligned to the right, and all are Markdown already.

    Args:
        columns: The titles.
        rows: Cells, escaped where they hold the texts of others.
    """
    are_numbers = [
        bool(rows) and all(re.match(r"^(-|-?[\d.,]+%?)( |$)", row[place]) for row in rows)
        for place in range(len(columns))
    ]
    rule = ["---:" if is_number else "---" for is_number in are_numbers]
    return [f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows)]


def format_page(blocks: Sequence[Sequence[str]]) -> str:
    """Return blocks of lines, such as headings, paragraphs and tables, with an empty line after each."""
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"
