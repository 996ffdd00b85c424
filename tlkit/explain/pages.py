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
from tlkit.explain.overlay import draw_legend, overlay_map
from tlkit.explain.photos import Explanation
from tlkit.explain.records import place_map
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
from tlkit.tasks.predictions import Prediction

PAGE_NAME = "explanations.html"
FILTERS_NAME = "filters.png"
CHANNEL_NOTE = "The patches of training photos that excite each channel most, one a photo, strongest first."
MAPS = "maps"
PICTURE_PX = 480
"""Longer edge of a photo and its map in `maps`."""
THUMBNAIL_PX = 320
GAP_PX = 8
HOW_TO_READ = (
    "Orange places speak for the answer, blue ones against it. Beside each answer stands how much it falls on average "
    "while the photo is covered step by step, the strongest evidence first, and how much when other places of the same "
    "shape are covered. A map that does not fall faster than such a guess tells nothing about this photo."
)


@dataclass(frozen=True, eq=False)
class ExplainedPhoto:
    """A photo with what was found out about it.

    Attributes:
        prediction: What the model says of it, or why it cannot.
        image: The file; None where it gives no picture.
        explanations: One for each output that is explained.
        nearest: The training photos that look most alike, nearest first.
    """

    prediction: Prediction
    image: ImageFile | None = None
    explanations: Sequence[Explanation] = ()
    nearest: Sequence[Neighbour] = ()


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
            "nearest": [],
        }
        self._rows.append(row)
        if photo.image is None:
            return
        picture = _reduce(photo.image.decode((PICTURE_PX, PICTURE_PX)), PICTURE_PX)
        layers: dict[str, bytes] = {}
        shown = [np.asarray(picture)]
        lines = [f"{line.text} {line.figure}".strip() for line in write_caption(photo.prediction, self.spec)]
        for explanation in photo.explanations:
            drawn = self._draw(picture, explanation, photo.image.upright_size)
            target = self._write(path, explanation, picture, drawn)
            title = "Heat map" if explanation is photo.explanations[0] else f"Heat map of {explanation.name}"
            layers[title] = self._shrink(drawn)
            shown.append(drawn)
            lines.append(_describe(explanation))
            row["explanations"].append(_summarise(explanation, target))
        row["answer"] = lines[0] if lines else ""
        for number, neighbour in enumerate(photo.nearest, start=1):
            row["nearest"].append(
                {
                    "path": show_path(neighbour.record.path),
                    "answer": neighbour.record.answer,
                    "cosine": neighbour.cosine,
                }
            )
            thumbnail = self._read_neighbour(neighbour)
            if thumbnail:
                layers[f"Training photo {number}"] = thumbnail
                lines.append(f"Training photo {number}: {neighbour.record.answer} (cosine {neighbour.cosine:.2f})")
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
                [f"{patch.record.answer}, activation {format_value(round(patch.activation, 3))}"],
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
        sections = [Section("How to read the maps", join_html([picture]), HOW_TO_READ)]
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

    def _draw(self, picture: Image.Image, explanation: Explanation, upright_size: tuple[int, int]) -> NDArray[np.uint8]:
        placed = place_map(
            explanation.evidence, picture_size=upright_size, image_size=self.spec.image_size, fit=self.spec.fit
        )
        return overlay_map(np.asarray(picture), placed)

    def _write(self, source: Path, explanation: Explanation, picture: Image.Image, drawn: NDArray[np.uint8]) -> Path:
        """Write the photo and its map side by side, with the legend below the map."""
        name = number_name(f"{source.stem}-{_clean(explanation.name)}.png", self._taken)
        self._taken.add(fold_name(name))
        width, height = picture.size
        legend = draw_legend(max(width, 80))
        sheet = Image.new("RGB", (width + GAP_PX + len(legend[0]), height + len(legend)), "white")
        sheet.paste(picture, (0, 0))
        sheet.paste(Image.fromarray(drawn), (width + GAP_PX, 0))
        sheet.paste(Image.fromarray(legend), (width + GAP_PX, height))
        path = self.path / MAPS / name
        with written_aside(path, is_flushed=False) as file:
            sheet.save(file, format="PNG")
        return path

    def _read_neighbour(self, neighbour: Neighbour) -> bytes | None:
        try:
            image = ImageFile.read(neighbour.record.path, self.spec.grey)
            return self._shrink(np.asarray(_reduce(image.decode((THUMBNAIL_PX, THUMBNAIL_PX)), THUMBNAIL_PX)))
        except UnusableImage:  # the run's photos may have moved since; their names are shown all the same
            return None

    def _shrink(self, picture: NDArray[np.uint8]) -> bytes:
        num_pictures = self.num_photos * (3 + self.num_neighbours)
        return make_thumbnail(picture, edge_px=THUMBNAIL_PX, max_bytes=min(25_000, PictureBudget().share(num_pictures)))


def _list_answers(prediction: Prediction) -> Sequence[str]:
    """Return the class, or the labels that are given."""
    return [name for name, _ in prediction.ranked[:1]] if prediction.labels is None else prediction.labels


def _describe(explanation: Explanation) -> str:
    deletion = explanation.deletion
    verdict = "the map tells more than a guess" if deletion.gain > 0 else "no better than a guess"
    values = [format_value(round(value, 3)) for value in (deletion.by_map, deletion.by_guess)]
    return f"{explanation.name}: {values[0]} with its evidence covered, {values[1]} by a guess; {verdict}"


def _summarise(explanation: Explanation, path: Path) -> dict[str, Any]:
    deletion = explanation.deletion
    return {
        "output": explanation.name,
        "map": path,
        "deletion": round(deletion.by_map, 4),
        "deletion_by_guess": round(deletion.by_guess, 4),
        "gain": round(deletion.gain, 4),
    }


def _reduce(picture: Image.Image, longest_px: int) -> Image.Image:
    """Return a picture with the longer edge at most so long, or a small one enlarged to half of that."""
    scale = longest_px / max(picture.size)
    if 1 <= scale <= 2:
        return picture
    scale = min(scale, longest_px / 2 / max(picture.size)) if scale > 2 else scale
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _clean(name: str) -> str:
    """Return a name with nothing but letters, digits and hyphens, for a file's name."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in name)
    return kept.strip("-")[:40] or "output"
