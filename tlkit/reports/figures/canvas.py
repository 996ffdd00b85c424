"""The base of all matplotlib figures.

Figures use matplotlib's object interface with the Agg canvas and its built-in defaults: no window, no global state, and
the same picture whatever the user's matplotlibrc. Names are drawn literally, never parsed as formulas.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tlkit.files import written_aside
from tlkit.reports.lettering import font_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure


RIGHT = (26, 94, 158)
WRONG = (217, 87, 13)
INK = "#1f2933"
FAINT_INK = "#7b8794"
GRID = "#dde3e9"
EDGE = "#b8c2cc"
TRAIN_LINE = "#9aa5b1"
VALIDATION_LINE = "#1a5e9e"
STAGE_SHADE = "#eef2f6"


DOTS_PER_INCH = 110


@contextmanager
def open_figure(path: Path) -> Iterator[Figure]:
    """Yield an empty figure, and write it as a PNG if the block ends without an exception."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    own_settings: dict[Any, Any] = {
        "font.family": list(font_families()),
        "text.parse_math": False,
        "axes.edgecolor": EDGE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with warnings.catch_warnings():
        # Scripts without a font on this machine are drawn as boxes, which is better than no figure.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(own_settings)
            figure = Figure(dpi=DOTS_PER_INCH, facecolor="white")
            FigureCanvasAgg(figure)
            yield figure
            with written_aside(path) as file:
                save_png(figure, file)


def save_png(figure: Figure, file: BinaryIO) -> None:
    """Write a figure as a PNG, cropped to its content. This takes most of the time of a figure."""
    figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.2, metadata={"Software": None})
