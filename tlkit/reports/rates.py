"""Format learning rates, and their axes in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axis import Axis


def write_rate(rate: float) -> str:
    """Format a rate with two significant digits, as the command line accepts it.

    Examples:
        >>> write_rate(0.00114)
        '1.1e-3'
    """
    digits, exponent = f"{rate:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def label_rates(axis: Axis) -> None:
    """Label the powers of ten of a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(base=10, numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda rate, _: write_rate(rate))
