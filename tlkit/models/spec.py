"""The description of a model in `bundle.json`: enough to build it again, without executable code.

Type and range of every value are checked before weights are opened or TensorFlow is imported. `write_bundle` runs the
same checks, so `read_bundle` accepts whatever it wrote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tlkit.backbones.catalogue import BACKBONES, POOLINGS
from tlkit.errors import SettingError
from tlkit.metadata.encoding import NO_METADATA, MetadataEncoding
from tlkit.models.descriptions import (
    metadata_document,
    parse_metadata_document,
    parse_target_document,
    target_document,
)
from tlkit.models.spec_values import (
    check_choice,
    check_fraction,
    check_grey,
    check_image_size,
    check_map_sizes,
    check_number,
)
from tlkit.outputs import (
    CLASSIFICATION,
    MAX_CLASS_NAME_LENGTH,
    TASKS,
    GreyRange,
    Target,
)
from tlkit.recipes import HeadSettings, build_settings
from tlkit.recipes.settings import FITS
from tlkit.tasks import Outputs, find_task
from tlkit.untrusted import FOREIGN_FIX, check_keys, is_clean_text, quote, refusal, shorten

FORMAT_VERSION = 6
MAX_CLASSES = 100_000
MAX_HEAD_UNITS = 8192
MAX_TEXT_LENGTH = 500
TEMPERATURES = (0.01, 100.0)
_ADDED_HEAD_SETTINGS = {"whiten": HeadSettings.whiten, "whiten_floor": HeadSettings.whiten_floor}
"""What a head has whose description says nothing of them, as before they were added."""


@dataclass(frozen=True)
class Provenance:
    """The origin of a model, for information only.

    Attributes:
        weights_source: Initial weights of the backbone: imagenet, random or a file name.
        weights_sha256: Hash of those weights.
        tlkit_version: Version of tlkit.
        keras_version: Version of Keras.
        created: Date and time in UTC, ISO 8601.
    """

    weights_source: str = "unknown"
    weights_sha256: str = "unknown"
    tlkit_version: str = "unknown"
    keras_version: str = "unknown"
    created: str = "unknown"


@dataclass(frozen=True)
class BundleSpec:
    """The description of a model.

    Attributes:
        backbone: Name in the catalogue.
        image_size: (height, width) of the input in pixels; a square.
        fit: How an image is made square: squash, crop or pad.
        loader_version: Version of the image loader that the model was trained with.
        pooling: The backbone's pooling, one of `POOLINGS`.
        head: Settings of the head.
        class_names: Classes or labels, in the order of the logits; empty for values.
        task: One of `tlkit.outputs.TASKS`.
        target: The target value, if values are predicted.
        thresholds: Threshold of each label, or of objects by class, 0..1; empty without either.
        metadata: Encoding of metadata; without columns if the model takes none.
        has_box: Whether the head also predicts a box.
        temperature: Divisor of class logits; 1 for other tasks.
        unknown_above: Distance from the training images, 0..1, above which an image is unknown; None if it is not
            measured.
        unfrozen: Lowest layer group that was trained: none, a group's name, or all.
        grey: Black and white levels of deep grey, for each kind in the training images.
        map_sizes: (height, width) of the maps that the head sees, the finest first, with pooling "maps"; else empty.
        provenance: Where the model came from.
        format_version: Version of this description.
    """

    backbone: str
    image_size: tuple[int, int]
    fit: str
    loader_version: int
    pooling: str
    head: HeadSettings
    class_names: tuple[str, ...]
    task: str = CLASSIFICATION
    target: Target | None = None
    thresholds: tuple[float, ...] = ()
    metadata: MetadataEncoding = NO_METADATA
    has_box: bool = False
    temperature: float = 1.0
    unknown_above: float | None = None
    unfrozen: str = "none"
    grey: tuple[GreyRange, ...] = ()
    map_sizes: tuple[tuple[int, int], ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    format_version: int = FORMAT_VERSION

    @property
    def fewest_classes(self) -> int:
        """Minimum number of classes or labels; one is enough for labels, and for classes with boxes."""
        return find_task(self.task).fewest_names(has_box=self.has_box)

    @property
    def row_width(self) -> int:
        """Number of values in a row of predictions: answers, four for a box, and a distance."""
        return self.outputs.num_row_values + 4 * self.has_box + self.measures_distance

    @property
    def comparison_width(self) -> int:
        """Number of values by which engines are compared on an image: see `Predictor.predict_for_comparison`."""
        return self.outputs.num_compared + 4 * self.has_box + self.measures_distance

    @property
    def has_one_class(self) -> bool:
        """Whether there is a single class, as in a model that only locates objects."""
        return find_task(self.task).is_exclusive and len(self.class_names) == 1

    @property
    def measures_distance(self) -> bool:
        """Whether the model measures the distance from the training images."""
        return self.unknown_above is not None

    @property
    def outputs(self) -> Outputs:
        """The outputs of the head."""
        num_answers = find_task(self.task).count_outputs(self.class_names)
        return Outputs(self.task, num_answers, self.has_box, self.map_sizes, self.head.nms)


def spec_document(spec: BundleSpec) -> dict[str, Any]:
    """Return the spec as a JSON object."""
    plain = {
        "image_size": list(spec.image_size),
        "class_names": list(spec.class_names),
        "thresholds": list(spec.thresholds),
        "metadata": metadata_document(spec.metadata),
        "target": target_document(spec.target),
        "grey": [dataclasses.asdict(item) for item in spec.grey],
        "map_sizes": [list(size) for size in spec.map_sizes],
    }
    return {**dataclasses.asdict(spec), **plain}


def parse_spec(document: Any, *, place: str, loader_version: int) -> BundleSpec:
    """Check every value of a description, and return it as a spec.

    Args:
        document: The parsed `bundle.json`.
        place: The file, for errors.
        loader_version: The version of this tlkit's image loader.

    Raises:
        BundleError: If a key is missing or unknown, or a value has the wrong type or is out of range.
    """
    _check_versions(document, place=place, loader_version=loader_version)
    names = tuple(item.name for item in dataclasses.fields(BundleSpec))
    values = check_keys(document, names, place=place)
    if not isinstance(values["backbone"], str) or values["backbone"] not in BACKBONES:
        raise refusal(
            f"{place}: backbone is {quote(values['backbone'])}.",
            expected="a backbone that this tlkit has; `tlkit backbones` lists them",
            fix="use the tlkit version that made the bundle, or a newer one.",
        )
    entry = BACKBONES[values["backbone"]]
    task = check_choice(values, "task", TASKS, place=place)
    least = find_task(task).fewest_names(has_box=values["has_box"] is True)
    class_names = check_class_names(values["class_names"], place=place, least=least)
    return BundleSpec(
        backbone=entry.name,
        image_size=check_image_size(values["image_size"], entry.smallest_edge_px, place=place),
        fit=check_choice(values, "fit", FITS, place=place),
        loader_version=loader_version,
        pooling=check_choice(values, "pooling", POOLINGS, place=place),
        head=_check_head(values["head"], place=place),
        class_names=class_names,
        task=task,
        target=parse_target_document(
            values["target"], place=f"{place}: target", is_needed=not find_task(task).has_names
        ),
        thresholds=_check_thresholds(
            values["thresholds"], len(class_names) if find_task(task).has_thresholds else 0, place=place
        ),
        metadata=parse_metadata_document(values["metadata"], place=f"{place}: metadata"),
        has_box=check_choice(values, "has_box", (True, False), place=place),
        temperature=check_fraction(values, "temperature", *TEMPERATURES, place=place),
        unknown_above=None
        if values["unknown_above"] is None
        else check_fraction(values, "unknown_above", 0.0, 1.0, place=place),
        unfrozen=check_choice(values, "unfrozen", ("none", "all", *entry.groups), place=place),
        grey=check_grey(values["grey"], place=f"{place}: grey"),
        map_sizes=check_map_sizes(values, place=place),
        provenance=_check_provenance(values["provenance"], place=f"{place}: provenance"),
    )


def check_class_names(value: Any, *, place: str, fix: str = FOREIGN_FIX, least: int = 2) -> tuple[str, ...]:
    """Return the class names as a tuple if they are printable and different.

    A name may look like a path or like code; it is only used as text.

    Args:
        value: A list or tuple of names.
        place: The file, for errors.
        fix: What the user can do about a bad name.
        least: Minimum number of names; 0 if there must be none.

    Raises:
        BundleError: If there are too few or too many, or one is not clean text or appears twice.
    """
    most = MAX_CLASSES if least else 0
    if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
        found = f"{len(value):,} names" if isinstance(value, (list, tuple)) else quote(value)
        raise refusal(f"{place}: class_names is {found}.", expected=f"a list of {least} to {most:,} names", fix=fix)
    seen: set[str] = set()
    for name in value:
        if not is_clean_text(name, max_length=MAX_CLASS_NAME_LENGTH):
            raise refusal(
                f"{place}: the class name {quote(name)} cannot be used.",
                expected=f"1 to {MAX_CLASS_NAME_LENGTH} characters without control characters",
                fix=fix,
            )
        if name in seen:
            raise refusal(f"{place}: the class name {quote(name)} appears twice.", expected="different names", fix=fix)
        seen.add(name)
    return tuple(value)


def _check_thresholds(value: Any, num_labels: int, *, place: str) -> tuple[float, ...]:
    """Return the thresholds, one per label, or none before they are chosen."""
    numbers: list[Any] = value if isinstance(value, list) else [None]
    if len(numbers) not in (0, num_labels) or any(
        type(number) not in (int, float) or not 0 <= number <= 1 for number in numbers
    ):
        raise refusal(f"{place}: thresholds is {quote(value)}.", expected="one fraction per label, or an empty list")
    return tuple(map(float, numbers))


def _check_versions(document: Any, *, place: str, loader_version: int) -> None:
    """Check the versions first, so that an old bundle gets a helpful error."""
    versions = document if isinstance(document, Mapping) else {}
    fix = "use the tlkit version that made the bundle, or train the model again."
    for key, version, subject in (
        ("format_version", FORMAT_VERSION, "the bundle format that this tlkit reads"),
        ("loader_version", loader_version, "this tlkit's image loader; another would feed the model other pixels"),
    ):
        found = versions.get(key)
        if type(found) is not int or found != version:
            raise refusal(f"{place}: {key} is {quote(found)}.", expected=f"{version}, {subject}", fix=fix)


def _check_head(value: Any, *, place: str) -> HeadSettings:
    if isinstance(value, dict):
        value = {**_ADDED_HEAD_SETTINGS, **value}
    values = check_keys(value, tuple(item.name for item in dataclasses.fields(HeadSettings)), place=f"{place}: head")
    try:
        head: HeadSettings = build_settings(HeadSettings, values, "head:")
    except SettingError as error:
        raise refusal(f"{place}: {shorten(error.found)}", expected=error.expected) from error
    check_number(values, "units", 1, MAX_HEAD_UNITS, place=f"{place}: head")
    return head


def _check_provenance(value: Any, *, place: str) -> Provenance:
    values = check_keys(value, tuple(item.name for item in dataclasses.fields(Provenance)), place=place)
    for key, text in values.items():
        if not is_clean_text(text, max_length=MAX_TEXT_LENGTH):
            raise refusal(
                f"{place}: {key} is {quote(text)}.",
                expected=f"text of 1 to {MAX_TEXT_LENGTH} characters without control characters",
            )
    return Provenance(**values)
