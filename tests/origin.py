"""The head of a page, read back."""

from __future__ import annotations

import html
import re
from pathlib import Path


def read_origin(page: Path) -> dict[str, str]:
    """Return where the figures of a page come from, by name."""
    found = re.search(r'<dl class="origin">(.*?)</dl>', page.read_text("utf-8"), re.DOTALL)
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", found.group(1) if found else "")
    return {html.unescape(name): html.unescape(value) for name, value in pairs}


def name_origin(page: Path) -> str:
    """Return the names alone."""
    return ", ".join(read_origin(page))
