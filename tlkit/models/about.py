"""The README.md of a bundle: what the model does, and how to ask it, for people who find the folder by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.models.spec import BundleSpec
from tlkit.reports.markdown import format_page, format_table, quote_code
from tlkit.tasks import find_task

README_FILE = "README.md"
MAX_NAMES = 100
MEANINGS = {
    "bundle.json": "the description of the model, and the sha256 of the other files",
    "weights.safetensors": "the weights",
    "golden.safetensors": "images and the answers to them, by which the model is checked when it is opened",
    "novelty.safetensors": "what the distance from the training images is measured by",
}
"""The files of every bundle; others belong to networks."""


def describe_model(spec: BundleSpec, subject: str = "It") -> str:
    """Return in a sentence what a model answers, as Markdown; `subject` begins it."""
    names = [quote_code(name) for name in spec.class_names]
    listed = ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else "")
    if spec.target is not None:
        answer = f"{subject} estimates {quote_code(spec.target.name)} from an image"
    elif find_task(spec.task).has_masks:
        answer = f"{subject} says of every place of an image whether it is background or one of {len(names):,} classes: {listed}"
    elif find_task(spec.task).lists_objects:
        answer = f"{subject} finds objects of {len(names):,} class{'es' * (len(names) > 1)} in an image: {listed}"
    elif find_task(spec.task).has_labels:
        answer = f"{subject} says which of {len(names):,} labels an image has, any number of them: {listed}"
    elif spec.has_one_class:
        answer = f"{subject} knows one class, {listed}"
    else:
        answer = f"{subject} says which of {len(names):,} classes an image shows: {listed}"
    return answer + ("; and where the object is, as a box." if spec.has_box else ".")


def describe_metadata(spec: BundleSpec) -> str:
    """Return in a sentence which metadata a model takes, as Markdown; empty for none."""
    names = ", ".join(quote_code(column.name) for column in spec.metadata.columns)
    return f"It takes metadata beside the image: {names}." if names else ""


def describe_use(spec: BundleSpec, place: str, version: str) -> list[list[str]]:
    """Return blocks that say how to ask a model with tlkit.

    Args:
        spec: The model's description.
        place: The folder, as it is typed.
        version: The version of tlkit to install.
    """
    columns = [name for name in spec.metadata.names if name not in IMAGE_FACTS]
    table = " --table rows.csv" if columns else ""
    masks = " --masks-out masks/" if find_task(spec.task).has_masks else ""
    metadata = f", metadata=[{dict.fromkeys(columns, '')!r}]" if columns else ""
    return [
        ["```", f'pip install "tlkit=={version}"', f"tlkit predict {place} photos/{table}{masks}", "```"],
        ["```python", "import tlkit", "", f'print(tlkit.load("{place}").predict(["photo.jpg"]{metadata}))', "```"],
    ]


def describe_bundle(spec: BundleSpec, sizes: Mapping[str, int]) -> str:
    """Return the text of a bundle's README.md.

    Args:
        spec: The model's description.
        sizes: Of its files in bytes, by name.
    """
    height, width = spec.image_size
    rows = [
        (quote_code(name), MEANINGS.get(name, "a network that predicts faster"), format_size(size))
        for name, size in sizes.items()
    ]
    return format_page(
        [
            ["# A model trained with tlkit"],
            [describe_model(spec), *filter(None, [describe_metadata(spec)])],
            [f"Its backbone is {quote_code(spec.backbone)}; it reads images of any size as {width} × {height} pixels."],
            ["## Ask it"],
            ["From the folder above this one:"],
            *describe_use(spec, "bundle", spec.provenance.tlkit_version),
            ["## Files"],
            format_table(("file", "holds", "size"), [*rows, ("", "together", format_size(sum(sizes.values())))]),
            ["Nothing in this folder is code. tlkit checks every file against its sha256 before it answers."],
        ]
    )


def measure_files(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return the size of each file in bytes."""
    return {name: (folder / name).stat().st_size for name in names}


def measure_bundle(folder: Path) -> int:
    """Return the size of a bundle folder in bytes."""
    return sum(measure_files(folder, (path.name for path in folder.iterdir())).values())


def format_size(num_bytes: int) -> str:
    """Return a size with its unit: 812 kB, 9.4 MB, 1.2 GB."""
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if num_bytes < 999.5 * factor:
            return f"{num_bytes / factor:,.3g} {unit}"
    return f"{num_bytes / 1e9:,.3g} GB"
