"""Captions below images: lines of text with a value and an optional bar."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tlkit.outputs import format_value


@dataclass(frozen=True)
class CaptionLine:
    """One line of a caption.

    Attributes:
        text: Text on the left.
        figure: Value on the right; may be empty.
        share: Length of the bar below the line, 0..1; None for no bar.
        is_bright: Whether the line is highlighted, in large bright letters.
        has_dot: Whether a dot precedes the text.
        colour: RGB, 0..255, of the dot; None for that of bars.
    """

    text: str
    figure: str = ""
    share: float | None = None
    is_bright: bool = False
    has_dot: bool = False
    colour: tuple[int, int, int] | None = None


Caption = Sequence[CaptionLine]
"""The lines from top to bottom; at least one."""


def caption_classes(ranked: Sequence[tuple[str, float]]) -> Caption:
    """Return a line for each class, the first one highlighted.

    Args:
        ranked: (class name, probability 0..1), most probable first; at least one.
    """
    return [
        CaptionLine(name, format_percent(probability), probability, is_bright=rank == 0)
        for rank, (name, probability) in enumerate(ranked)
    ]


def caption_labels(ranked: Sequence[tuple[str, float]], chosen: Collection[str]) -> Caption:
    """Return a line for each label, the predicted ones highlighted and with a dot.

    Args:
        ranked: (label name, probability 0..1), most probable first; at least one.
        chosen: Names of the predicted labels. One that is not in `ranked` gets a line without a value.
    """
    lines = [
        CaptionLine(name, format_percent(probability), probability, is_bright=name in chosen, has_dot=name in chosen)
        for name, probability in ranked
    ]
    unranked = set(chosen) - {name for name, _ in ranked}
    return lines + [CaptionLine(name, is_bright=True, has_dot=True) for name in chosen if name in unranked]


def caption_value(name: str, value: float) -> Caption:
    """Return the single line "price_usd  325,000"."""
    return [CaptionLine(name, format_value(value), is_bright=True)]


def caption_flagged(flag: str, reason: str, caption: Caption) -> Caption:
    """Return a caption that starts with a flag and highlights no prediction.

    Args:
        flag: One word, such as "unknown".
        reason: The reason, in a few words.
        caption: The caption of the prediction.
    """
    return [
        CaptionLine(flag, reason, is_bright=True, has_dot=True),
        *(replace(line, is_bright=False) for line in caption),
    ]


def format_percent(probability: float) -> str:
    """Format a probability as a percentage that is never rounded to 0% or 100%.

    Examples:
        >>> format_percent(0.9999), format_percent(0.83149), format_percent(0.0002)
        ('99.9%', '83.1%', '< 0.1%')
    """
    if probability < 0.001:
        return "< 0.1%" if probability > 0 else "0%"
    if 0.999 < probability < 1:
        return "99.9%"
    return f"{probability:.1%}" if probability < 1 else "100%"
