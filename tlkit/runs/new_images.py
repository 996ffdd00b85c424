"""A run and images without labels: what `tlkit suggest` and `tlkit drift` look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkit.data.file_index import FileIndex
from tlkit.data.images import LOADER_VERSION, UnusableImage, read_content, read_picture
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile, read_manifest
from tlkit.data.metadata_source import MetadataSource, describe_facts
from tlkit.data.records import look_with
from tlkit.data.seen_images import read_seen_images
from tlkit.data.sources import OUTPUT_MARKER, STDIN, find_images
from tlkit.errors import DataError, RunError, SettingError
from tlkit.inference.scoring import count_files
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import GreyRange, format_value
from tlkit.places.cache_root import default_cache_root
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, choose_output_folder, name_after
from tlkit.reports.thumbnails import make_thumbnail
from tlkit.runs.evaluation_set import find_run_folder
from tlkit.runs.folder import describe_unfinished
from tlkit.tasks.objects_task import refuse_objects
from tlkit.tasks.predictions import Prediction

UNLABELLED = ""
_THUMBNAIL_PX = 224


@dataclass(frozen=True)
class NewImages:
    """Images that a run has not seen.

    Attributes:
        records: Those that can be used, without an answer; equal files once.
        skipped: Those that cannot, with the reason.
        num_seen: Images left out because they are among the run's own.
    """

    records: tuple[ImageRecord, ...]
    skipped: tuple[SkippedFile, ...]
    num_seen: int


@dataclass(frozen=True)
class ComparisonOptions:
    """How new images are compared with a run.

    Attributes:
        out: Output folder; None: a folder named after the images.
        seed: Seed of samples and of whatever else is drawn.
        engine: One of `PREDICTION_ENGINES`.
        precision: float32, or bfloat16 with OpenVINO.
        table: Holds the metadata that the model takes beside the images.
        image_column: Its column of paths; None: found by its name.
    """

    out: Path | None = None
    seed: int = 0
    engine: str = "auto"
    precision: str = "float32"
    table: Path | None = None
    image_column: str | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """A run's model and images, opened, and new images.

    Attributes:
        folder: The run's folder.
        manifest: The run's images.
        images: The new images.
        predictor: The run's model.
        out: Output folder; checked, and not yet made.
        about: What its content is made from, for `held_output_folder`.
    """

    folder: Path
    manifest: Manifest
    images: NewImages
    predictor: Predictor
    out: Path
    about: str


def open_comparison(
    run: Path, sources: Sequence[str], options: ComparisonOptions, *, kind: str, purpose: str, console: Console
) -> Comparison:
    """Open a run's model and images, and look at new image files.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files.
        options: The output folder and the engine.
        kind: What is written; also the folder in which the output folder is, if none is named.
        purpose: As for `read_run_images`.
        console: Shows progress.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        BackboneError: The engine asked for is not installed.
        DataError: There is no usable new image, or the table cannot be read.
        RunError: The bundle is without its run, or `out` is in the way of something or in use.
        SettingError: The sources are those of standard input, or metadata are missing, or the model finds objects.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    refuse_objects(spec.task, f"a comparison with new images ({kind})")
    if notice := describe_unfinished(run):
        console.warn(notice)
    folder, manifest = read_run_images(run, purpose=purpose)
    about = " and ".join(str(path.resolve()) for path in (folder, *map(Path, sources)))
    name = name_after(sources[0])
    out = options.out or choose_output_folder(Path(kind), name, about=about, kind=kind, marker=OUTPUT_MARKER)
    data_folders = [Path(source) for source in sources if Path(source).is_dir()]
    check_output_folder(out, option="--out", kind=kind, marker=OUTPUT_MARKER, data_folders=data_folders)
    images = read_new_images(sources, folder, spec, options, console)
    predictor = open_classifier(run, loader_version=LOADER_VERSION, engine=options.engine, precision=options.precision)
    return Comparison(folder, manifest, images, predictor, out, about)


def read_run_images(run: Path, *, purpose: str) -> tuple[Path, Manifest]:
    """Return the folder and the images of a run.

    Args:
        run: A run folder, or the bundle in it.
        purpose: What its images are needed for: "compare new images with".

    Raises:
        RunError: It is a bundle without its run.
    """
    folder = find_run_folder(run)
    if folder is None:
        raise RunError(
            f"{run} is a bundle without its run, so there are no images to {purpose}.",
            expected="a run folder with its manifest.csv",
            fix="name the folder that `tlkit finetune` wrote.",
        )
    return folder, read_manifest(folder)


def read_new_images(
    sources: Sequence[str], folder: Path, spec: BundleSpec, options: ComparisonOptions, console: Console
) -> NewImages:
    """Look at image files that have no labels.

    Args:
        sources: Folders, globs or files.
        folder: The run's folder; its own images are left out.
        spec: The model's.
        options: The table of metadata.
        console: Shows progress, and says what is left out.

    Raises:
        DataError: There is no usable image, or none that the run has not seen, or the table cannot be read.
        SettingError: The sources are those of standard input, or metadata are missing.
    """
    if STDIN in sources:
        raise SettingError(
            "-: paths are not read from standard input here.",
            expected="folders, patterns or image files",
            fix="name the folder with the images.",
        )
    paths = find_images(sources).files
    metadata = MetadataSource(spec.metadata, options.table, image_column=options.image_column, images=paths)
    for notice in metadata.notices:
        console.say(notice)
    images = _sort_out(paths, set(read_seen_images(folder).splits), metadata, console)
    for sentence in metadata.describe_odd_values():
        console.warn(sentence)
    _check_any(images, ", ".join(sources), console)
    return images


def _sort_out(paths: Sequence[Path], seen: Collection[str], metadata: MetadataSource, console: Console) -> NewImages:
    records: dict[str, ImageRecord] = {}
    skipped, num_seen = [], 0
    look = look_with(FileIndex(default_cache_root()), lambda total: console.progress("Checking", total))
    for fact in look([path.absolute() for path in paths]):
        if fact.reason is not None:
            skipped.append(SkippedFile(fact.path, fact.reason))
        elif fact.sha256 in seen:
            num_seen += 1
        elif (texts := metadata.look_up(fact.path, describe_facts(fact, num_bytes=fact.num_bytes))) is None:
            skipped.append(SkippedFile(fact.path, f"no row for it in {metadata.table_name}"))
        else:
            metadata.count(texts)
            record = ImageRecord(fact.path, fact.sha256, fact.width, fact.height, "test", UNLABELLED, facts=fact)
            records.setdefault(fact.sha256, dataclasses.replace(record, metadata=texts))
    return NewImages(tuple(records.values()), tuple(skipped), num_seen)


def _check_any(images: NewImages, described: str, console: Console) -> None:
    skipped, num_seen = images.skipped, images.num_seen
    if num_seen:
        console.say(f"{num_seen:,} of the images {'is' if num_seen == 1 else 'are'} the run's own and left out.")
    if skipped:
        console.warn(f"{count_files(len(skipped))} cannot be used, such as {skipped[0].path}: {skipped[0].reason}.")
    if images.records:
        return
    if num_seen:
        raise DataError(
            f"{described}: all {num_seen:,} images are the run's own.",
            expected="images that the run has not seen",
            fix="name a folder with new images.",
        )
    raise DataError(
        f"{described}: none of {len(skipped):,} files is a usable image; {skipped[0].path}: {skipped[0].reason}.",
        expected="images in JPEG, PNG, WebP, TIFF or another common format",
        fix="check the folder.",
    )


def draw_sample(records: Sequence[ImageRecord], most: int, seed: int) -> tuple[ImageRecord, ...]:
    """Return at most so many of the records, drawn by chance, in their order."""
    places = np.sort(np.random.default_rng(seed).permutation(len(records))[:most])
    return tuple(records[place] for place in places)


def name_answer(prediction: Prediction) -> tuple[str, float | None]:
    """Return an answer in words, and the probability of the class, 0..1; None for labels and values."""
    if prediction.value is not None:
        return format_value(prediction.value), None
    if prediction.labels is not None:
        return ", ".join(prediction.labels) or "none", None
    return prediction.ranked[0]


def read_thumbnail(path: Path, grey: Sequence[GreyRange], max_bytes: int) -> bytes | None:
    """Return a file's picture as a small JPEG file; None if it has become unusable."""
    try:
        picture = read_picture(read_content(path), target=(_THUMBNAIL_PX, _THUMBNAIL_PX), grey=grey)
    except UnusableImage:
        return None
    return make_thumbnail(picture, edge_px=_THUMBNAIL_PX, max_bytes=max_bytes)
