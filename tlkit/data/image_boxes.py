"""The boxes of a data set's images: read once, found by path, checked against each picture, the largest kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.answers import normalize_class_name
from tlkit.data.boxes import Annotation, BoxReport, check_boxes, choose_box
from tlkit.data.file_index import FileFacts
from tlkit.data.formats.boxes import read_boxes
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.manifest import SetAside
from tlkit.outputs import Box


@dataclass
class ImageBoxes:
    """Boxes by the path of their image.

    Attributes:
        source: Where they were read.
        annotations: By the image's absolute path.
        report: Counts what `find` was asked for, and the complaints.
    """

    source: Path
    annotations: dict[Path, Annotation]
    report: BoxReport = field(default_factory=BoxReport)

    def find(self, facts: FileFacts) -> Box | None:
        """Return the largest sound box of a sound image, in pixels of the upright picture; None if it has none."""
        annotation = self.annotations.get(facts.path)
        if annotation is None:
            self.report.add_image(())
            return None
        size = (facts.width, facts.height)
        stored_size = size[::-1] if facts.orientation >= 5 else size
        boxes, complaints = check_boxes(annotation, stored_size=stored_size, orientation=facts.orientation)
        self.report.add_image(boxes)
        self.report.add_complaints(complaints)
        chosen = choose_box(boxes)
        return chosen.corners if chosen else None

    def candidates(self, folder: Path) -> Candidates:
        """Return the annotated images below a folder, each of the class of its largest box."""
        folder = folder.absolute()
        items, set_aside = [], []
        for path, annotation in sorted(self.annotations.items()):
            if not path.is_relative_to(folder):
                continue
            largest = choose_box(annotation.boxes)
            if largest is None or not largest.class_name:
                set_aside.append(SetAside(path, "no box that names its class"))
            else:
                items.append(Candidate(path, normalize_class_name(largest.class_name), None))
        return Candidates(folder, tuple(items), tuple(set_aside), ())


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
    folder = data if data.is_dir() else data.parent
    source = Path(boxes)
    if not source.exists() and (folder / boxes).exists():
        source = folder / boxes
    found = read_boxes(source, image_folder=folder)
    by_path: dict[Path, Annotation] = {annotation.image: annotation for annotation in found.annotations}
    collection = ImageBoxes(source, by_path)
    collection.report.add_complaints(found.complaints)
    return collection
