"""The boxes of a data set: read once, looked up by path, checked against each image; one or all are its target."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tlkit.data.box_units import settle_units
from tlkit.data.box_views import BoxReport
from tlkit.data.boxes import CROWD, Annotation, BoxLabel, Complaint, check_boxes, choose_box
from tlkit.data.class_checks import fold_spelling, name_some
from tlkit.data.file_index import FileFacts
from tlkit.data.formats.box_columns import UNUSED_COLUMN
from tlkit.data.formats.boxes import REPEATED, read_boxes
from tlkit.errors import DataError, SettingError
from tlkit.places.copies import find_path, show_path
from tlkit.places.place import is_place, without_secrets
from tlkit.tasks.objects import SceneObject

NO_NAME = "box without a class although others have one; skipped"
SEVERAL_CLASSES = "image with boxes of several classes; the class of its largest box is used"
FOREIGN_BOX = "box of another class than its image; skipped"
OTHER_CLASS = "image without a box of its own class; its boxes are skipped"
CROWD_BOX = "annotation of a crowd; skipped"
NAMELESS = "box without a class although others have one; ignored"
SAME_PLACE = "box with the same corners as one of another class; both are used"
ONLY_NAME = "object"
"""The class of all boxes, if none has one."""


@dataclass
class ImageBoxes:
    """Boxes by image path.

    Attributes:
        source: Where they were read.
        annotations: By absolute image path.
        format_name: The format they are in; see `read_boxes`.
        report: Counts of the requested boxes, and complaints.
    """

    source: Path
    annotations: dict[Path, Annotation]
    format_name: str = ""
    report: BoxReport = field(default_factory=BoxReport)
    _classes: frozenset[str] = frozenset()
    """Normalized class names that both boxes and images have."""

    @property
    def files(self) -> frozenset[Path]:
        """The annotation files, including unusable ones."""
        sources = {item.source for item in self.annotations.values() if item.source}
        return frozenset(sources | {complaint.path for complaint in self.report.complaints})

    def are_classes(self, names: Collection[str], *, may_be_others: bool) -> bool:
        """Return whether the folders above the images are classes rather than arbitrary parts of the data.

        Args:
            names: The folder names.
            may_be_others: Whether they may be something else, because all of them are in a folder called `images`.

        Raises:
            DataError: They differ from the classes of the boxes, and either could be meant.
        """
        of_boxes = self._class_names
        shared = {*map(fold_spelling, names)} & {*map(fold_spelling, of_boxes)}
        if shared or not of_boxes or not names or (len(of_boxes) == 1 and len(names) > 1):
            return True
        both = f"the boxes have {name_some(sorted(of_boxes))}, the image folders are {name_some(sorted(names))}"
        if may_be_others or all(item.split for item in self.annotations.values()):
            self.report.remarks.append(f"The boxes give the classes: {both}.")
            return False
        raise DataError(
            f"{self.source}: {both}.",
            expected="folders named after the classes of the boxes, or one folder called images",
            fix="put the images into one folder called images to use the boxes' classes, or list the images' classes in a "
            "table.",
        )

    def match_classes(self, names: Collection[str]) -> None:
        """Register the images' classes, so that each image gets a box of its own class if boxes have classes."""
        of_boxes = self._class_names
        self._classes = frozenset(map(fold_spelling, of_boxes)) & frozenset(map(fold_spelling, names))
        if of_boxes and names and not self._classes:
            self.report.remarks.append(
                f"No box has a class of the images: the boxes have {name_some(sorted(of_boxes))}; the images have "
                f"{name_some(sorted(names))}."
            )

    def choose(self, facts: FileFacts, own_classes: Sequence[str]) -> BoxLabel | None:
        """Return the target box of a valid image, in pixels of the upright image; None if it has none.

        This is the largest box of the image's own class if boxes have the images' classes, else the largest box.
        """
        boxes = self._find_sound(facts)
        own = {fold_spelling(name) for name in own_classes}
        named = [box for box in boxes if box.class_name]
        if not self._classes or not named:
            return choose_box(boxes)
        self._complain(NO_NAME, facts.path, times=len(boxes) - len(named))
        of_own = [box for box in named if fold_spelling(box.class_name) in own]
        if not of_own:
            self._complain(OTHER_CLASS, facts.path)
        else:
            self._complain(FOREIGN_BOX, facts.path, times=len(named) - len(of_own))
        return choose_box(of_own)

    def choose_class(self, facts: FileFacts) -> BoxLabel | None:
        """Return the largest valid box with a class, which becomes the image's class; None if there is none."""
        boxes = self._find_sound(facts)
        named = [box for box in boxes if box.class_name]
        self._complain(NO_NAME, facts.path, times=len(boxes) - len(named))
        if len({box.class_name for box in named}) > 1:
            self._complain(SEVERAL_CLASSES, facts.path)
        return choose_box(named)

    def list_objects(self, facts: FileFacts) -> list[SceneObject]:
        """Return all objects of a valid image; a crowd, a difficult one, or one without a class is ignored."""
        sound = self._find_sound(facts)
        boxes = list(dict.fromkeys(sound))
        self._complain(REPEATED, facts.path, times=len(sound) - len(boxes))
        places = {box.corners for box in boxes}
        self._complain(SAME_PLACE, facts.path, times=len(boxes) - len(places))
        if not self._class_names:
            boxes = [replace(box, class_name=ONLY_NAME) for box in boxes]
        self._complain(NAMELESS, facts.path, times=sum(not box.class_name for box in boxes))
        return [
            SceneObject(box.class_name, *box.corners, is_ignored=bool(box.mark) or not box.class_name) for box in boxes
        ]

    def name_only_class(self) -> None:
        """Register that no box has a class, if that is so."""
        if not self._class_names and any(item.boxes for item in self.annotations.values()):
            self.report.remarks.append(f"No box has a class, so there is one class, {ONLY_NAME!r}.")

    def sentences(self) -> tuple[str, ...]:
        """Return notices about the boxes."""
        return self.report.sentences(of_own_class=bool(self._classes))

    def leave_out_crowds(self) -> None:
        """Remove the boxes around many objects, which are no target where each image has one box."""
        for path, item in self.annotations.items():
            single = tuple(box for box in item.boxes if box.mark != CROWD)
            self._complain(CROWD_BOX, item.source or path, times=len(item.boxes) - len(single))
            if len(single) < len(item.boxes):
                self.annotations[path] = replace(item, boxes=single)

    def check_any_is_used(self) -> None:
        """Raise DataError if no requested image has a usable box."""
        if self.report.num_boxes == 0:
            raise DataError(
                f"{self.source}: no image has a usable box. {' '.join(self.report.describe_complaints())}".strip(),
                expected="boxes within the images, in pixels or in fractions of the image size",
                fix="fix the boxes, or remove --boxes to train on classes only.",
            )

    def settle_units(self, facts: Sequence[FileFacts]) -> None:
        """Detect the unit and layout of the boxes from all images.

        Raises:
            DataError: Some are fractions, or more than one other reading makes sense.
        """
        sizes = {fact.path: (fact.width, fact.height) for fact in facts if fact.reason is None}
        self.annotations, remarks = settle_units(self.annotations, sizes, source=self.source)
        self.report.remarks += remarks

    @cached_property
    def _class_names(self) -> set[str]:
        return {box.class_name for item in self.annotations.values() for box in item.boxes} - {""}

    def _find_sound(self, facts: FileFacts) -> list[BoxLabel]:
        """Return an image's valid boxes, in pixels of the upright image, and count them."""
        annotation = self.annotations.get(facts.path)
        if annotation is None:
            self.report.add_image(())
            return []
        size = (facts.width, facts.height)
        stored_size = size[::-1] if facts.orientation >= 5 else size
        boxes, complaints = check_boxes(annotation, stored_size=stored_size, orientation=facts.orientation)
        self.report.add_image(boxes)
        self.report.add_complaints(complaints)
        return boxes

    def _complain(self, kind: str, path: Path, *, times: int = 1) -> None:
        self.report.add_complaints([Complaint(kind, path)] * times)


def locate_boxes(data: Path, boxes: str, *, option: str = "--boxes") -> Path:
    """Return the path of the boxes or masks, relative to the working directory or, if missing there, to the data's folder.

    Raises:
        SettingError: They are at a place of which there is no copy.
    """
    if is_place(boxes):
        copy = find_path(boxes)
        if copy is None:
            raise SettingError(
                f"{option} {without_secrets(boxes)} is not in what was copied.",
                expected=f"{option[2:]} inside the place of the images, or at a local path",
                fix=f"name them relative to {show_path(data)}.",
            )
        return copy
    near_data = _folder_of(data) / boxes
    return near_data if near_data.exists() and not Path(boxes).exists() else Path(boxes)


def _folder_of(data: Path) -> Path:
    return data if data.is_dir() else data.parent


def read_image_boxes(data: Path, boxes: str | None, *, with_crowds: bool = False) -> ImageBoxes | None:
    """Read the boxes that the settings give.

    Args:
        data: The data set: a folder, or a table in the folder of the images.
        boxes: Path of the boxes, see `locate_boxes`; None without boxes.
        with_crowds: Whether boxes around many objects are kept.

    Raises:
        DataError: They cannot be read, or annotate none of the images.
    """
    if not boxes:
        return None
    source = locate_boxes(data, boxes).absolute()
    found = read_boxes(source, image_folder=_folder_of(data))
    collection = ImageBoxes(source, {item.image: item for item in found.annotations}, found.format_name)
    if not with_crowds:
        collection.leave_out_crowds()
    is_of_images = source == data.absolute()  # its other columns have their own uses
    collection.report.add_complaints(
        item for item in found.complaints if not (is_of_images and item.kind.startswith(UNUSED_COLUMN))
    )
    collection.report.remarks += found.remarks
    return collection
