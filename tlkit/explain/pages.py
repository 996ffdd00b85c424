"""The folder of explanations: a picture of each map, and a page with the photos, their maps and their nearest neighbours."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.explain.channels import Patch
from tlkit.explain.neighbours import Neighbour
from tlkit.explain.objects import MAX_OBJECTS
from tlkit.explain.overlay import draw_legend
from tlkit.explain.photos import Explanation, SceneMap
from tlkit.explain.pictures import open_painter, reduce_picture, write_side_by_side
from tlkit.explain.regions import MAX_REGIONS
from tlkit.files import written_aside
from tlkit.inference.predictions import write_caption
from tlkit.models.spec import BundleSpec
from tlkit.outputs import format_value
from tlkit.places.copies import show_path
from tlkit.reports.markup import Html, escape_text, join_html, make_data_url, render_picture
from tlkit.reports.page import Page, Section, write_page
from tlkit.reports.sheet import Group, Sheet, Tile, render_sheet
from tlkit.reports.sorting import fold_name, number_name
from tlkit.reports.thumbnails import PictureBudget, make_thumbnail
from tlkit.tasks import find_task
from tlkit.tasks.found_objects import BACKGROUND
from tlkit.tasks.predictions import Prediction

PAGE_NAME = "explanations.html"
FILTERS_NAME = "filters.png"
CHANNEL_NOTE = "The patches of training photos that excite each channel most, one a photo, strongest first."
MAPS = "maps"
THUMBNAIL_PX = 320
HOW_TO_READ = (
    "Orange places speak for the answer, blue ones against it. Beside each answer stands how much it falls on average "
    "while the photo is covered step by step, the strongest evidence first, and how much when other places of the same "
    "shape are covered. A map that does not fall faster than such a guess tells nothing about this photo."
)
OF_OBJECTS = (
    " The answer for an object is the score of the best box of its class that overlaps its own by half. The share of the "
    "evidence that lies in its box is to be compared with the share of the input that the box takes. Scores are those "
    "of the class at every place, in full colour at 1; objects without a frame were not sure enough."
)
OF_MASKS = (
    " The answer for a class is its mean probability where it was found. Uncertainty is the entropy of the classes at "
    "each place, in full colour where all are equally likely."
)


@dataclass(frozen=True, eq=False)
class ExplainedPhoto:
    """A photo with what was found out about it.

    Attributes:
        prediction: What the model says of it, or why it cannot.
        image: The file; None where it gives no picture.
        explanations: One for each output that is explained.
        nearest: The training photos that look most alike, nearest first.
        scenes: What the model says at every place.
    """

    prediction: Prediction
    image: ImageFile | None = None
    explanations: Sequence[Explanation] = ()
    nearest: Sequence[Neighbour] = ()
    scenes: Sequence[SceneMap] = ()


@dataclass
class ExplanationFolder:
    """Collects explained photos in a folder.

    Attributes:
        path: An existing folder.
        spec: The model's.
        num_photos: How many there will be, which decides how large each picture on the page may be.
        num_neighbours: Training photos beside each.
    """

    path: Path
    spec: BundleSpec
    num_photos: int
    num_neighbours: int
    _tiles: list[Tile] = field(default_factory=list)
    _sections: list[Section] = field(default_factory=list)
    _groups: list[Group] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        maps = self.path / MAPS
        maps.mkdir(exist_ok=True)
        for old in maps.glob("*.png"):
            old.unlink()

    def add(self, photo: ExplainedPhoto) -> None:
        """Write the maps of a photo and keep small copies for the page.

        Raises:
            OSError: The disk does not take a picture.
        """
        path = Path(photo.prediction.path)
        row: dict[str, Any] = {
            "path": photo.prediction.path,
            "error": photo.prediction.error,
            "explanations": [],
            "scenes": [],
            "nearest": [],
        }
        self._rows.append(row)
        if photo.image is None:
            return
        painter = open_painter(photo.image, self.spec)
        layers: dict[str, bytes] = {}
        shown = [painter.draw_found(photo.prediction, photo.explanations)]
        lines = [f"{line.text} {line.figure}".strip() for line in write_caption(photo.prediction, self.spec)]
        row["answer"] = lines[0] if lines else ""
        for explanation in photo.explanations:
            drawn = painter.draw_evidence(explanation)
            name = explanation.subject.name
            target = self._name_map(path, name)
            write_side_by_side(target, shown[0], drawn)
            title = "Heat map" if explanation is photo.explanations[0] else f"Heat map of {name}"
            layers[title] = self._shrink(drawn)
            shown.append(drawn)
            lines.append(_describe(explanation))
            row["explanations"].append(_summarise(explanation, target))
        for scene in photo.scenes:
            drawn = painter.draw_scene(scene)
            target = self._name_map(path, scene.name)
            write_side_by_side(target, shown[0], drawn, has_legend=False)
            layers[f"{scene.name[0].upper()}{scene.name[1:]}"] = self._shrink(drawn)
            shown.append(drawn)
            row["scenes"].append({"name": scene.name, "map": target})
        for number, neighbour in enumerate(photo.nearest, start=1):
            answer = self._describe_answer(neighbour.record.answer)
            row["nearest"].append(
                {"path": show_path(neighbour.record.path), "answer": answer, "cosine": neighbour.cosine}
            )
            thumbnail = self._read_neighbour(neighbour)
            if thumbnail:
                layers[f"Training photo {number}"] = thumbnail
                lines.append(f"Training photo {number}: {answer} (cosine {neighbour.cosine:.2f})")
        tile = Tile(
            self._shrink(np.concatenate(shown[:2], axis=1)),
            path.name,
            lines,
            tone="plain",
            facets={"answer": _list_answers(photo.prediction)} if self.spec.class_names else {},
            search=photo.prediction.path,
            layers=layers,
        )
        self._tiles.append(tile)

    def add_filters(self, drawn: NDArray[np.uint8] | None) -> None:
        """Add the filters of the first layer, uint8 (height, width, 3); None: it has none of the three colours."""
        if drawn is None:
            body = Html("<p>The first layer is no convolution of the three colours.</p>")
        else:
            file = io.BytesIO()
            Image.fromarray(drawn).save(file, format="PNG")
            with written_aside(self.path / FILTERS_NAME, is_flushed=False) as target:
                target.write(file.getvalue())
            body = render_picture(file.getvalue(), "Filters of the first layer")
        self._sections.append(Section("Filters of the first layer", body, "Each on its own scale; grey is zero."))

    def add_channel(
        self, channel: int, boundary: str, patches: Sequence[Patch], crops: Sequence[NDArray[np.uint8]]
    ) -> None:
        """Add the patches of training photos that excite a channel most, each uint8 (edge, edge, 3)."""
        tiles = [
            Tile(
                make_thumbnail(crop, edge_px=THUMBNAIL_PX // 2, max_bytes=6_000),
                patch.record.path.name,
                [
                    f"{self._describe_answer(patch.record.answer)}, "
                    f"activation {format_value(round(patch.activation, 3))}"
                ],
            )
            for patch, crop in zip(patches, crops, strict=True)
        ]
        self._groups.append(Group(f"Channel {channel} at {boundary}", tiles))

    def summarise(self) -> dict[str, Any]:
        """Return what `--json` prints of the photos."""
        gains = [each["gain"] for row in self._rows for each in row["explanations"]]
        return {
            "errors": sum(bool(row["error"]) for row in self._rows),
            "maps": len(gains),
            "better_than_a_guess": sum(gain > 0 for gain in gains),
            "mean_gain": round(float(np.mean(gains)), 4) if gains else None,
            "photos": self._rows,
        }

    def write_page(self, title: str, origin: Mapping[str, str]) -> Path:
        """Write the page and return its path.

        Args:
            title: Its heading.
            origin: Where the maps come from, by name.
        """
        legend = make_thumbnail(draw_legend(THUMBNAIL_PX), edge_px=THUMBNAIL_PX)
        picture = Html(f'<p><img alt="Colours of evidence, from against to for" src="{make_data_url(legend)}"></p>')
        task = find_task(self.spec.task)
        reading = HOW_TO_READ + (OF_MASKS if task.has_masks else OF_OBJECTS if task.has_objects else "")
        sections = [Section("How to read the maps", join_html([picture]), reading)]
        facets = {"answer": "Answer"} if self.spec.class_names else {}
        sheet = render_sheet(Sheet("photos", "Photos", [Group("", self._tiles)], facets=facets))
        strips = render_sheet(
            Sheet("channels", "Channels", self._groups, CHANNEL_NOTE, is_strip=True, has_search=False)
        )
        sections = [*sections, sheet] if sheet else []
        sections += [*self._sections, *([strips] if strips else [])]
        failed = [row for row in self._rows if row["error"]]
        if failed:
            items = [Html(f"<li>{escape_text(str(row['path']))}: {escape_text(row['error'])}</li>") for row in failed]
            sections.append(Section("Not read", Html(f"<ul>{join_html(items)}</ul>")))
        summary = self.summarise()
        facts = {"photos": f"{len(self._tiles):,}"}
        if summary["maps"]:
            facts["maps better than a guess"] = f"{summary['better_than_a_guess']:,} of {summary['maps']:,}"
        return write_page(
            self.path / PAGE_NAME,
            Page(title, "What speaks for the answers.", sections, facts, origin),
        )

    def _describe_answer(self, answer: str) -> str:
        """Return what is true of a training photo, in a few words."""
        task = find_task(self.spec.task)
        return task.describe_answer(answer) if task.has_objects else answer

    def _name_map(self, source: Path, name: str) -> Path:
        """Return a new path for a map of a photo."""
        chosen = number_name(f"{source.stem}-{_clean(name)}.png", self._taken)
        self._taken.add(fold_name(chosen))
        return self.path / MAPS / chosen

    def _read_neighbour(self, neighbour: Neighbour) -> bytes | None:
        try:
            image = ImageFile.read(neighbour.record.path, self.spec.grey)
            return self._shrink(np.asarray(reduce_picture(image.decode((THUMBNAIL_PX, THUMBNAIL_PX)), THUMBNAIL_PX)))
        except UnusableImage:  # the run's photos may have moved since; their names are shown all the same
            return None

    def _shrink(self, picture: NDArray[np.uint8]) -> bytes:
        num_pictures = self.num_photos * (3 + _count_maps(self.spec) + self.num_neighbours)
        return make_thumbnail(picture, edge_px=THUMBNAIL_PX, max_bytes=min(25_000, PictureBudget().share(num_pictures)))


def _count_maps(spec: BundleSpec) -> int:
    """Return how many maps a photo may have beyond one or two."""
    task = find_task(spec.task)
    return MAX_REGIONS if task.has_masks else MAX_OBJECTS if task.has_objects else 0


def _list_answers(prediction: Prediction) -> Sequence[str]:
    """Return the class, the labels that are given, or the classes that are found."""
    if prediction.objects is not None:
        return sorted({each.class_name for each in prediction.objects}) or [BACKGROUND]
    if prediction.areas is not None:
        return [name for name, share in prediction.areas.items() if share] or [BACKGROUND]
    return [name for name, _ in prediction.ranked[:1]] if prediction.labels is None else prediction.labels


def _describe(explanation: Explanation) -> str:
    deletion, subject = explanation.deletion, explanation.subject
    verdict = "the map tells more than a guess" if deletion.gain > 0 else "no better than a guess"
    values = [format_value(round(value, 3)) for value in (deletion.by_map, deletion.by_guess)]
    name = subject.name if subject.is_found else f"{subject.name} (not sure enough)"
    text = f"{name}: {values[0]} with its evidence covered, {values[1]} by a guess; {verdict}"
    share = explanation.box_share
    if share is None or not np.isfinite(share.inside):
        return text
    return f"{text}; {share.inside:.0%} of the evidence lies in its box, which takes {share.area:.0%} of the input"


def _summarise(explanation: Explanation, path: Path) -> dict[str, Any]:
    deletion, subject, share = explanation.deletion, explanation.subject, explanation.box_share
    summary: dict[str, Any] = {
        "output": subject.name,
        "map": path,
        "deletion": round(deletion.by_map, 4),
        "deletion_by_guess": round(deletion.by_guess, 4),
        "gain": round(deletion.gain, 4),
    }
    if share is not None and subject.score is not None:
        inside = round(share.inside, 4) if np.isfinite(share.inside) else None
        summary |= {"score": round(subject.score, 4), "is_found": subject.is_found}
        summary |= {"inside": inside, "box_area": round(share.area, 4), "points_inside": share.points_inside}
    return summary


def _clean(name: str) -> str:
    """Return a name with nothing but letters, digits and hyphens, for a file's name."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in name)
    return kept.strip("-")[:40] or "output"
