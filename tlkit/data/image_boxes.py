"""The boxes of a data set's images: read once, found by path, checked against each picture, one of them chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.box_report import BoxReport
from tlkit.data.box_units import settle_units
from tlkit.data.boxes import Annotation, BoxLabel, Complaint, check_boxes, choose_box
from tlkit.data.class_checks import name_some
from tlkit.data.contradictions import fold_spelling
from tlkit.data.file_index import FileFacts
from tlkit.data.formats.box_columns import UNUSED_COLUMN
from tlkit.data.formats.boxes import read_boxes
from tlkit.errors import DataError

NO_NAME = "box that names no class, where others do; skipped"
SEVERAL_CLASSES = "image with boxes of several classes; it gets the class of its largest box"
FOREIGN_BOX = "box of another class than its image's own; skipped"
OTHER_CLASS = "image none of whose boxes is of its own class; its boxes are skipped"


@dataclass
class ImageBoxes:
    """Boxes by the path of their image.

    Attributes:
        source: Where they were read.
        annotations: By the image's absolute path.
        report: Counts what was asked for, and the complaints.
    """

    source: Path
    annotations: dict[Path, Annotation]
    report: BoxReport = field(default_factory=BoxReport)
    _classes: frozenset[str] = frozenset()
    """Classes, folded, that both boxes and images are named for."""

    @property
    def files(self) -> frozenset[Path]:
        """The files that the boxes come from, and those that could not be used."""
        sources = {item.source for item in self.annotations.values() if item.source}
        return frozenset(sources | {complaint.path for complaint in self.report.complaints})

    def are_classes(self, names: Collection[str], *, may_be_others: bool) -> bool:
        """Return whether the names of folders above the images are classes, and not mere parts of the data.

        Args:
            names: Of the folders.
            may_be_others: They may well be something else, as all of them lie in one called `images`.

        Raises:
            DataError: They are other names than those of the boxes, and either could be meant.
        """
        of_boxes = self._names()
        shared = {*map(fold_spelling, names)} & {*map(fold_spelling, of_boxes)}
        if shared or not of_boxes or not names or (len(of_boxes) == 1 and len(names) > 1):
            return True
        both = f"the boxes are named {name_some(sorted(of_boxes))}, the images' folders {name_some(sorted(names))}"
        if may_be_others or all(item.split for item in self.annotations.values()):
            self.report.remarks.append(f"The boxes name the classes: {both}.")
            return False
        raise DataError(
            f"{self.source}: {both}.",
            expected="folders that are named for the classes of the boxes, or a folder called images for all of them",
            fix="put the images into one folder called images to learn the boxes' classes, or name the images' classes in a "
            "table.",
        )

    def match_classes(self, names: Collection[str]) -> None:
        """Take note of the images' own classes, so that an image gets a box of its own class, if boxes name classes."""
        of_boxes = self._names()
        self._classes = frozenset(map(fold_spelling, of_boxes)) & frozenset(map(fold_spelling, names))
        if of_boxes and names and not self._classes:
            self.report.remarks.append(
                f"No box is named for a class of the images: boxes of {name_some(sorted(of_boxes))}; "
                f"classes {name_some(sorted(names))}."
            )

    def choose(self, facts: FileFacts, own_classes: Sequence[str]) -> BoxLabel | None:
        """Return the box that a sound image teaches, in pixels of the upright picture; None if it has none.

        Where boxes are named for the images' classes, it is the largest of the image's own, otherwise the largest.
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
        """Return the largest sound box that names a class, which is then the image's; None if there is none."""
        boxes = self._find_sound(facts)
        named = [box for box in boxes if box.class_name]
        self._complain(NO_NAME, facts.path, times=len(boxes) - len(named))
        if len({box.class_name for box in named}) > 1:
            self._complain(SEVERAL_CLASSES, facts.path)
        return choose_box(named)

    def sentences(self) -> tuple[str, ...]:
        """Return what the user ought to know of the boxes."""
        return self.report.sentences(of_own_class=bool(self._classes))

    def check_any_is_used(self) -> None:
        """Raise DataError if none of the boxes is of use for the images that were asked for."""
        if self.report.num_boxes == 0:
            raise DataError(
                f"{self.source}: none of the images has a usable box. {' '.join(self.report.describe_complaints())}".strip(),
                expected="boxes in pixels, or in fractions of the picture's width and height, that lie within the pictures",
                fix="fix the boxes, or leave out --boxes to learn the classes alone.",
            )

    def settle_units(self, facts: Sequence[FileFacts]) -> None:
        """Find out by all pictures what the numbers of the boxes are.

        Raises:
            DataError: They are fractions in part, or two other readings make sense.
        """
        sizes = {fact.path: (fact.width, fact.height) for fact in facts if fact.reason is None}
        self.annotations, remarks = settle_units(self.annotations, sizes, source=self.source)
        self.report.remarks += remarks

    def _names(self) -> set[str]:
        return {box.class_name for item in self.annotations.values() for box in item.boxes} - {""}

    def _find_sound(self, facts: FileFacts) -> list[BoxLabel]:
        """Return the sound boxes of an image, in pixels of the upright picture, and count them."""
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


def locate_boxes(data: Path, boxes: str) -> Path:
    """Return where the boxes are: from here or, if nothing is there, from the data's folder."""
    near_data = _folder_of(data) / boxes
    return near_data if near_data.exists() and not Path(boxes).exists() else Path(boxes)


def _folder_of(data: Path) -> Path:
    return data if data.is_dir() else data.parent


def read_image_boxes(data: Path, boxes: str | None) -> ImageBoxes | None:
    """Read the boxes that the settings name.

    Args:
        data: The data set: a folder, or a table, whose folder then holds the images.
        boxes: Where the boxes are, from here or from the data's folder; None: none are learnt.

    Raises:
        DataError: They cannot be read, or tell of none of the images.
    """
    if not boxes:
        return None
    source = locate_boxes(data, boxes).absolute()
    found = read_boxes(source, image_folder=_folder_of(data))
    collection = ImageBoxes(source, {annotation.image: annotation for annotation in found.annotations})
    is_of_images = source == data.absolute()  # its other columns have parts of their own
    collection.report.add_complaints(
        item for item in found.complaints if not (is_of_images and item.kind.startswith(UNUSED_COLUMN))
    )
    collection.report.remarks += found.remarks
    return collection
