"""Text in images: fonts that have the needed characters, and text shortened to fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

# Pillow's own font has no accented letters; DejaVu, shipped with matplotlib, has Latin, Greek, Cyrillic and more.
# Other scripts use the first of these fonts that is installed.
WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
    "Unifont",
)
ELLIPSIS = "…"


def shorten_middle(text: str, max_characters: int) -> str:
    """Replace the middle of `text` by an ellipsis if it is longer than `max_characters` (>= 3).

    Names that differ only at the end, such as numbered ones, remain distinguishable.

    Examples:
        >>> shorten_middle("American_chameleon_2", 12)
        'Americ…eon_2'
    """
    if len(text) <= max_characters:
        return text
    tail = (max_characters - 1) // 2
    head = max_characters - 1 - tail
    return text[:head] + ELLIPSIS + text[-tail:]


def fit_text(text: str, font: ImageFont.FreeTypeFont, max_width_px: float) -> str:
    """Replace the middle of `text` by an ellipsis if it is wider than `max_width_px` in this font."""
    text = one_line(text)
    if font.getlength(text) <= max_width_px:
        return text
    shortest, longest = 3, len(text)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if font.getlength(shorten_middle(text, middle)) <= max_width_px:
            shortest = middle
        else:
            longest = middle - 1
    return shorten_middle(text, shortest)


def one_line(text: str) -> str:
    """Replace line breaks, tabs and undecodable bytes by one visible character each."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def load_font(text: str, size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return a font of `size_px` with every character of `text`, or the default font if there is none."""
    usual = _find_usual_font(bold)
    path = usual
    if not _has_glyphs(usual, text):
        path = next((wide for wide in _find_wide_fonts() if _has_glyphs(wide, text)), usual)
    return _open_font(path, size_px)


def font_families() -> Sequence[str]:
    """Return matplotlib's font families in order of preference."""
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]


def _find_usual_font(bold: bool) -> str:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


@lru_cache
def _find_wide_fonts() -> tuple[str, ...]:
    from matplotlib import font_manager

    paths = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    return tuple(paths[name] for name in WIDE_FONTS if name in paths)


@lru_cache
def _open_font(path: str, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px)


@lru_cache
def _read_characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())


def _has_glyphs(path: str, text: str) -> bool:
    return all(ord(character) in _read_characters(path) for character in one_line(text))
