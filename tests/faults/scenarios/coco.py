"""A COCO file of found objects: images that were written stay, and a file with its name is complete."""

from __future__ import annotations

import json
from pathlib import Path

from tlkit.errors import RunError
from tlkit.inference.formats.coco import open_coco
from tlkit.tasks.predictions import FoundObject, Prediction

NUM_IMAGES = 4
OBJECTS = (FoundObject("cat", 0.5, (1.0, 2.0, 3.0, 4.0)),) * 2


def prepare(folder: Path) -> None:
    (folder / "boxes.json").write_text("earlier\n")


def act(folder: Path) -> None:
    written, ending = folder.with_name("written"), folder.with_name("ending")
    written.write_text("")
    ending.write_text("killed")
    try:
        with open_coco(folder / "boxes.json", ["cat"]) as writer:
            for number in range(NUM_IMAGES):
                writer.write(Prediction(f"{number}.jpg", objects=OBJECTS, upright_size=(10, 20)))
                written.write_text("x" * (number + 1))
        ending.write_text("complete")
    except RunError as error:
        ending.write_text(f"refused: {error.found}")
    except BaseException as error:  # what no user should see
        ending.write_text(repr(error))
        raise


def check(folder: Path) -> None:
    num_written = len(folder.with_name("written").read_text())
    ending = folder.with_name("ending").read_text()
    whole, partial = folder / "boxes.json", folder / "boxes.json.partial"
    assert ending in ("killed", "complete") or ending.startswith(f"refused: {folder}"), ending
    if whole.read_text() != "earlier\n":
        content = json.loads(whole.read_bytes())
        assert [len(content[name]) for name in ("images", "annotations")] == [NUM_IMAGES, 2 * NUM_IMAGES]
        return
    assert ending != "complete"
    assert count_images(partial.read_bytes() if partial.exists() else b"") >= num_written


def count_images(content: bytes) -> int:
    """Return the images of a partial file, which is COCO, or lines of which the last may be cut off."""
    lines = content.split(b"\n")
    if lines[0].startswith(b'{"info"'):
        return len(json.loads(content)["images"])
    return sum("image" in json.loads(line) for line in lines[:-1])
