"""Show what speaks for a model's answers: heat maps over photos, and the training photos that look most alike."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.catalogue import TOP, find_backbone
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest, read_manifest
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.sources import OUTPUT_MARKER, find_images
from tlkit.errors import SettingError
from tlkit.explain.channels import check_channels
from tlkit.explain.methods import AUTO, check_method
from tlkit.explain.outputs import find_output
from tlkit.models.opening import open_classifier
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.places.cache_root import default_cache_root
from tlkit.places.copies import show_path
from tlkit.recipes import ResolvedBackbone, read_recipe, resolve_backbone
from tlkit.recipes.reading import RECIPE_FILE
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, held_output_folder
from tlkit.runs.evaluation_set import find_run_folder
from tlkit.runs.folder import describe_unfinished
from tlkit.runs.origin import describe_origin

if TYPE_CHECKING:
    from tlkit.explain.explainer import Explainer
    from tlkit.explain.map_reader import MapSource
    from tlkit.explain.neighbours import TrainingPhotos
    from tlkit.explain.pages import ExplainedPhoto, ExplanationFolder
    from tlkit.models.classifier import Classifier
    from tlkit.models.predictor import Predictor

EXPLANATIONS = "explanations"
NUM_PATCHES = 12
"""Patches that are shown of each channel."""
MAX_NAMED_SOURCES = 3
MAX_CHANNEL_PHOTOS = 1000
"""Training photos among which patches are looked for, spread evenly."""


@dataclass(frozen=True)
class ExplainOptions:
    """What is explained, and how.

    Attributes:
        class_name: The class or label that is explained; None: what the model predicts for each photo.
        method: `auto`, or one of `FEATURE_METHODS`, from the map at `boundary`, or of `PIXEL_METHODS`.
        boundary: Where the map is taken; None: the top.
        number: Photos that are explained, at most.
        neighbours: Training photos that are shown beside each.
        filters: Whether the filters of the first layer are shown.
        channels: Channels of the map whose most exciting patches of training photos are shown.
        table: Holds the metadata that the model takes beside the images.
        image_column: Its column of paths; None: found by its name.
    """

    class_name: str | None = None
    method: str = AUTO
    boundary: str | None = None
    number: int = 24
    neighbours: int = 3
    filters: bool = False
    channels: tuple[int, ...] = ()
    table: Path | None = None
    image_column: str | None = None


DEFAULTS = ExplainOptions()


@dataclass(frozen=True, eq=False)
class _Models:
    """A run's model by Keras, whose gradients explain it, and by the fastest engine; and its training photos."""

    classifier: Classifier
    explainer: Explainer
    predictor: Predictor
    source: MapSource
    manifest: Manifest | None
    training: TrainingPhotos | None


def run_explain(
    run: Path, sources: Sequence[str], out: Path, options: ExplainOptions = DEFAULTS, *, console: Console
) -> dict[str, Any]:
    """Explain photos, and return the result for scripts.

    Args:
        run: A run folder or a bundle folder.
        sources: Folders, patterns or files.
        out: Folder for explanations.html and the maps.
        options: What is explained, and how.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        DataError: The sources hold no image.
        BackboneError: There is no such boundary.
        SettingError: The class or the method does not go with the model, or metadata are missing.
        RunError: `out` is in the way of something or in use.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    check_method(options.method, options.boundary, spec)
    _check_asked(sources, options, run)
    find_output(options.class_name, spec)
    if notice := describe_unfinished(run):
        console.warn(notice)
    data_folders = [Path(source) for source in sources if Path(source).is_dir()]
    check_output_folder(out, option="--out", kind=EXPLANATIONS, marker=OUTPUT_MARKER, data_folders=data_folders)
    files = (find_images(sources).files or []) if sources else []
    chosen = files[: options.number]
    metadata = MetadataSource(spec.metadata, options.table, image_column=options.image_column, images=files)
    for notice in metadata.notices:
        console.say(notice)
    from tlkit.explain.pages import ExplanationFolder

    with held_output_folder(out, kind=EXPLANATIONS, marker=OUTPUT_MARKER):
        models = _open_models(run, spec, options, console)
        start = time.perf_counter()
        folder = ExplanationFolder(out, spec, num_photos=len(chosen), num_neighbours=options.neighbours)
        with console.progress("Explaining", len(chosen)) as advance:
            for photo in _explain_photos(models, chosen, metadata, options):
                folder.add(photo)
                advance(1)
        _show_network(models, options, folder)
        origin = describe_origin(spec, data=_name_sources(sources), command=console.command)
        origin |= {"method": options.method, "map": f"at {options.boundary or TOP}"}
        page = folder.write_page(f"Explanations of {run.name}", origin)
    payload = {
        "run": run,
        "out": out,
        "page": page,
        "method": options.method,
        "boundary": options.boundary or TOP,
        "images": len(chosen),
        "left_out": len(files) - len(chosen),
        **folder.summarise(),
        "seconds": round(time.perf_counter() - start, 3),
    }
    _say(payload, console)
    return payload


def _name_sources(sources: Sequence[str]) -> str:
    """Return where the photos come from, in words; a pattern may stand for hundreds of files."""
    named = ", ".join(sources[:MAX_NAMED_SOURCES]) or "the run's own images"
    more = len(sources) - MAX_NAMED_SOURCES
    return f"{named} and {more:,} more" if more > 0 else named


def _check_asked(sources: Sequence[str], options: ExplainOptions, run: Path) -> None:
    if not sources and not options.filters and not options.channels:
        raise SettingError(
            "There is nothing to explain.",
            expected="photos, --filters or --channels",
            fix=f"tlkit explain {run} PHOTOS --out {EXPLANATIONS}/",
        )
    if "-" in sources:
        raise SettingError(
            "-: paths on standard input are not read.",
            expected="folders, patterns or files",
            fix="name the photos, or their folder.",
        )
    if options.channels and find_run_folder(run) is None:
        raise SettingError(
            f"--channels: {run} is a bundle without its run, so its training photos are not known.",
            expected="a run folder with its manifest.csv",
            fix="leave out --channels.",
        )


def _show_network(models: _Models, options: ExplainOptions, folder: ExplanationFolder) -> None:
    """Add the filters of the first layer and the patches that excite channels, as far as they are asked for."""
    from tlkit.explain.channels import crop_patch, draw_filters, find_patches
    from tlkit.explain.map_reader import MapReader
    from tlkit.inference.scoring import load_record

    if not options.filters and not options.channels:
        return
    classifier, explainer = models.classifier, models.explainer
    if options.filters:
        is_bgr = classifier.backbone.entry.preprocessing == "caffe"
        folder.add_filters(draw_filters(explainer.trunk, is_bgr=is_bgr))
    if options.channels:
        assert models.manifest is not None, "checked by _check_asked"
        train = models.manifest.in_split("train")
        step = -(-len(train) // MAX_CHANNEL_PHOTOS)
        reader = MapReader(explainer, replace(models.manifest, records=train[::step]), models.source)
        for channel, patches in find_patches(reader, list(options.channels), NUM_PATCHES).items():
            crops = [crop_patch(load_record(patch.record, classifier.spec), patch.centre) for patch in patches]
            folder.add_channel(channel, explainer.boundary, patches, crops)


def _open_models(run: Path, spec: BundleSpec, options: ExplainOptions, console: Console) -> _Models:
    """Open a run's model twice, unless Keras is the fastest engine, and read its training photos."""
    predictor = open_classifier(run, loader_version=LOADER_VERSION)
    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.explain.explainer import Explainer
    from tlkit.explain.map_reader import MapSource
    from tlkit.explain.neighbours import read_training_photos
    from tlkit.models.classifier import Classifier
    from tlkit.models.saving import read_bundle

    classifier = predictor if isinstance(predictor, Classifier) else read_bundle(run, loader_version=LOADER_VERSION)
    explainer = Explainer(classifier, options.boundary or TOP)
    check_channels(options.channels, explainer)
    folder = find_run_folder(run)
    source = MapSource(_find_backbone(folder, spec), default_cache_root(), console)
    manifest = read_manifest(folder) if folder else None
    training = None
    if manifest is None and options.neighbours:
        console.say(f"{run} is a bundle without its run, so the nearest training photos are not known.")
    elif manifest is not None and options.neighbours:
        training = read_training_photos(manifest, classifier, predictor, source)
    return _Models(classifier, explainer, predictor, source, manifest, training)


def _find_backbone(folder: Path | None, spec: BundleSpec) -> ResolvedBackbone:
    """Return how the run computed its features; for a bundle without its run, as tlkit does by default."""
    if folder is not None and (folder / RECIPE_FILE).is_file():
        recipe = read_recipe(folder / RECIPE_FILE)
        settings = dataclasses.replace(recipe.backbone, devices=1)  # those of the training may be elsewhere
        return resolve_backbone(settings).at(TOP, recipe.made_by)
    entry = find_backbone(spec.backbone)
    return ResolvedBackbone(entry, "", spec.image_size, spec.fit, "float16", "auto", "auto")


def _explain_photos(
    models: _Models, paths: Sequence[Path], metadata: MetadataSource, options: ExplainOptions
) -> Iterator[ExplainedPhoto]:
    """Yield each photo with its prediction, the maps of its outputs, and the nearest training photos."""
    from tlkit.data.image_file import ImageFile
    from tlkit.data.images import UnusableImage
    from tlkit.explain.pages import ExplainedPhoto
    from tlkit.explain.photos import explain_photo
    from tlkit.inference.files import describe_row
    from tlkit.tasks.predictions import Prediction

    spec = models.classifier.spec
    asked = find_output(options.class_name, spec)
    for path in paths:
        try:
            image = ImageFile.read(path, spec.grey)
            pixels = image.render(image_size=spec.image_size, fit=spec.fit)
            texts = metadata.find(path, image)
        except UnusableImage as unusable:
            yield ExplainedPhoto(Prediction(show_path(path), error=unusable.reason))
            continue
        if texts is None:
            yield ExplainedPhoto(Prediction(show_path(path), error=f"no row for it in {metadata.table_name}"))
            continue
        encoded = spec.metadata.encode([texts])
        row = models.predictor.predict(pixels[None], encoded)[0]
        prediction = describe_row(show_path(path), image.upright_size, row, spec, top_k=3)
        explanations, scenes = explain_photo(
            models.explainer, models.predictor, pixels, encoded[0], row, asked=asked, method=options.method
        )
        nearest = (
            models.training.find_nearest(models.predictor.compute_features(pixels[None]), options.neighbours)[0]
            if models.training
            else []
        )
        yield ExplainedPhoto(prediction, image, tuple(explanations), tuple(nearest), tuple(scenes))


def _say(payload: dict[str, Any], console: Console) -> None:
    if payload["errors"]:
        console.warn(f"{payload['errors']:,} of {payload['images']:,} photos could not be read; the page says why.")
    if payload["left_out"]:
        console.say(f"{payload['left_out']:,} more photos are not explained; --number sets how many are.")
    if payload["maps"]:
        console.say(
            f"Covering what a map marks changes the output more than covering other places on "
            f"{payload['better_than_a_guess']:,} of {payload['maps']:,} maps."
        )
    console.say(f"Explanations: {payload['page']}")
