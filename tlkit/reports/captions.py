"""What is written beneath a picture: lines of text with a figure each, and a bar where the figure is a share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tlkit.outputs import format_value


@dataclass(frozen=True)
class CaptionLine:
    """One line beneath a picture.

    Attributes:
        text: What stands at the left.
        figure: What stands at the right; may be empty.
        share: Length of the bar beneath the line, 0..1; None draws no bar.
        is_bright: Whether it is an answer, in large bright letters, and not what comes after it.
        has_dot: Whether a dot stands before the text.
    """

    text: str
    figure: str = ""
    share: float | None = None
    is_bright: bool = False
    has_dot: bool = False


Caption = Sequence[CaptionLine]
"""The lines from top to bottom; at least one."""


def caption_classes(ranked: Sequence[tuple[str, float]]) -> Caption:
    """Return a line for each class, the first one bright.

    Args:
        ranked: (class name, probability 0..1), the most probable first; at least one.
    """
    return [
        CaptionLine(name, format_percent(probability), probability, is_bright=rank == 0)
        for rank, (name, probability) in enumerate(ranked)
    ]


def caption_labels(ranked: Sequence[tuple[str, float]], chosen: Collection[str]) -> Caption:
    """Return a line for each label: those that are said to be there bright and with a dot, the others faint.

    Args:
        ranked: (label name, probability 0..1), the most probable first; at least one.
        chosen: Names of the labels that are said to be there. One that is not among `ranked` has a line without a
            figure.
    """
    lines = [
        CaptionLine(name, format_percent(probability), probability, is_bright=name in chosen, has_dot=name in chosen)
        for name, probability in ranked
    ]
    unranked = set(chosen) - {name for name, _ in ranked}
    return lines + [CaptionLine(name, is_bright=True, has_dot=True) for name in chosen if name in unranked]


def caption_value(name: str, value: float) -> Caption:
    """Return the one line "price_usd  325,000"."""
    return [CaptionLine(name, format_value(value), is_bright=True)]


def caption_flagged(flag: str, reason: str, caption: Caption) -> Caption:
    """Return a caption whose answer is not to be taken as it is: the flag comes first, and no answer is bright.

    Args:
        flag: One word, such as "unknown".
        reason: Why, in a few words.
        caption: What the model answered.
    """
    return [
        CaptionLine(flag, reason, is_bright=True, has_dot=True),
        *(replace(line, is_bright=False) for line in caption),
    ]


def format_percent(probability: float) -> str:
    """Return a probability in per cent, never rounded up to a certainty that the model does not claim.

    Examples:
        >>> format_percent(0.9999), format_percent(0.83149), format_percent(0.0002)
        ('99.9%', '83.1%', '< 0.1%')
    """
    if probability < 0.001:
        return "< 0.1%" if probability > 0 else "0%"
    if 0.999 < probability < 1:
        return "99.9%"
    return f"{probability:.1%}" if probability < 1 else "100%"
