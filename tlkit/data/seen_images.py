"""Track the images that a model has seen, in its run and in the runs that it started from.

A run that starts from another stores the earlier images in its own folder, because the earlier folder may be deleted
later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.manifest import SPLITS, hash_document, read_manifest
from tlkit.errors import DataError, describe_damage
from tlkit.files import read_json, write_json

EARLIER_IMAGES_FILE = "earlier_images.json"


@dataclass(frozen=True)
class SeenImages:
    """The images that a model and its predecessors were given.

    Attributes:
        splits: An image's split by the sha256 of its bytes. Over several runs, `train` takes precedence over
            `validation`, and `validation` over `test`.
        is_complete: False if training started from a bundle without its run, so that there may be others.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = True


UNKNOWN_IMAGES = SeenImages(is_complete=False)
"""The value for a bundle without its run."""


def read_seen_images(run: Path) -> SeenImages:
    """Return the images that the model of a run folder has seen.

    Raises:
        DataError: The manifest, or the list of earlier images, is missing or damaged.
    """
    earlier = _read_earlier_images(run / EARLIER_IMAGES_FILE)
    splits = dict(earlier.splits)
    for record in read_manifest(run).records:
        splits[record.sha256] = min(record.split, splits.get(record.sha256, record.split), key=SPLITS.index)
    return SeenImages(splits, earlier.is_complete)


def write_earlier_images(run: Path, seen: SeenImages) -> None:
    """Write what an earlier model has seen into the folder of the run that starts from it."""
    document = {"is_complete": seen.is_complete, "splits": dict(seen.splits)}
    write_json(run / EARLIER_IMAGES_FILE, {**document, "sha256": hash_document(document)})


def _read_earlier_images(path: Path) -> SeenImages:
    if not path.is_file():
        return SeenImages()
    try:
        document = read_json(path)
        splits, is_complete = document["splits"], document["is_complete"]
        if not isinstance(splits, dict) or not set(splits.values()) <= set(SPLITS) or not isinstance(is_complete, bool):
            raise ValueError("unexpected content")
        if document.pop("sha256") != hash_document(document):
            raise ValueError("the checksum does not match")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({describe_damage(error)}).",
            expected="the unchanged list of images that the earlier run has seen",
            fix="restore the file; without it, the earlier training images are unknown.",
        ) from error
    return SeenImages(splits, is_complete)
