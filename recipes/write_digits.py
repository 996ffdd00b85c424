"""Write scikit-learn's 1,797 handwritten digits as a folder of pictures: `python recipes/write_digits.py FOLDER`.

FOLDER/train/0 … 9 and FOLDER/test/0 … 9, grey PNG of 8 x 8 pixels; every fifth picture of a class is held out for the
test. scikit-learn is not among tlkit's dependencies.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

BRIGHTEST = 16
"""The digits' grey levels are 0..16."""


def write_digits(folder: Path) -> None:
    """Write the pictures; `folder` must not exist yet."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit(
            "Error: scikit-learn is not installed.\n  Expected: the package that holds the digits\n  Fix: pip install scikit-learn"
        )
    if folder.exists():
        sys.exit(f"Error: {folder} exists already.\n  Expected: a new folder\n  Fix: give another one, or remove it.")
    digits = load_digits()
    seen: Counter[int] = Counter()
    for picture, label in zip(digits.images, digits.target, strict=True):
        split = "test" if seen[label] % 5 == 4 else "train"
        path = folder / split / str(label) / f"{seen[label]:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(np.round(picture * 255 / BRIGHTEST))).save(path)
        seen[label] += 1
    print(f"{sum(seen.values()):,} pictures in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write_digits(Path(sys.argv[1]))
