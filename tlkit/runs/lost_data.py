"""Find out whether the images of a run were copied from a place, or unpacked, and are no longer on this machine."""

from __future__ import annotations

from pathlib import Path

from tlkit.data.manifest import MANIFEST_FILES
from tlkit.errors import TlkitError
from tlkit.files import read_json
from tlkit.places.packed.patterns import is_packed
from tlkit.places.place import is_place
from tlkit.places.roots import find_root
from tlkit.recipes import read_recipe
from tlkit.recipes.reading import RECIPE_FILE
from tlkit.runs.evaluation_set import find_run_folder


def find_lost_data(run: Path) -> str | None:
    """Return the URL or the packed files to fetch the images of a run from; None if they are here, or always were.

    Args:
        run: A run folder, or the bundle in it.
    """
    try:
        folder = find_run_folder(run)
        if folder is None:
            return None
        root = str(read_json(folder / MANIFEST_FILES[0])["root"])
        if not (is_place(root) or is_packed(root)) or find_root(root).exists():
            return None
        return read_recipe(folder / RECIPE_FILE).inputs.data
    except (OSError, ValueError, TypeError, KeyError, TlkitError):  # whoever reads the run says what is wrong
        return None
