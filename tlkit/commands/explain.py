"""Show what speaks for a model's answers: heat maps over photos, and the training photos that look most alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.catalogue import PIXELS, TOP, find_backbone
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.sources import OUTPUT_MARKER, find_images
from tlkit.errors import SettingError, name_fix
from tlkit.explain.methods import AUTO, FEATURE_METHODS, PIXEL_METHODS
from tlkit.explain.outputs import choose_outputs, find_output
from tlkit.features.cache import default_cache_root
from tlkit.models.opening import open_classifier
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.recipes import ResolvedBackbone, read_recipe, resolve_backbone
from tlkit.recipes.reading import RECIPE_FILE
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, held_output_folder
from tlkit.runs.evaluation_set import find_run_folder
from tlkit.runs.folder import describe_unfinished

if TYPE_CHECKING:
    from tlkit.explain.neighbours import TrainingPhotos
    from tlkit.explain.pages import ExplainedPhoto
    from tlkit.explain.photos import Explanation
    from tlkit.explain.records import MapSource
    from tlkit.models.classifier import Classifier
    from tlkit.models.predictor import Predictor

EXPLANATIONS = "explanations"
MAP_METHODS = (AUTO, *FEATURE_METHODS)
"""Methods that start from a feature map at a boundary."""


@dataclass(frozen=True)
class ExplainOptions:
    """What is explained, and how.

    Attributes:
        class_name: The class or label that is explained; None: what the model predicts for each photo.
        method: One of `MAP_METHODS`, computed at `boundary`, or of `PIXEL_METHODS`.
        boundary: Where the map is taken; None: the top.
        number: Photos that are explained, at most.
        neighbours: Training photos that are shown beside each.
        table: Holds the metadata that the model takes beside the images.
        image_column: Its column of paths; None: found by its name.
    """

    class_name: str | None = None
    method: str = AUTO
    boundary: str | None = None
    number: int = 24
    neighbours: int = 3
    table: Path | None = None
    image_column: str | None = None


DEFAULTS = ExplainOptions()


@dataclass(frozen=True, eq=False)
class _Models:
    """A run's model by Keras, whose gradients explain it, and by the fastest engine; and its training photos."""

    classifier: Classifier
    predictor: Predictor
    source: MapSource
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
    _check_method(options, spec)
    find_output(options.class_name, spec)
    if notice := describe_unfinished(run):
        console.warn(notice)
    data_folders = [Path(source) for source in sources if Path(source).is_dir()]
    check_output_folder(out, option="--out", kind=EXPLANATIONS, marker=OUTPUT_MARKER, data_folders=data_folders)
    images = find_images(sources)
    assert images.files is not None, "standard input is not read"
    chosen = images.files[: options.number]
    metadata = MetadataSource(spec.metadata, options.table, image_column=options.image_column, images=images.files)
    for notice in metadata.notices:
        console.say(notice)
    models = _open_models(run, spec, options, console)

    from tlkit.explain.pages import ExplanationFolder

    start = time.perf_counter()
    with held_output_folder(out, kind=EXPLANATIONS, marker=OUTPUT_MARKER):
        folder = ExplanationFolder(out, spec, num_photos=len(chosen), num_neighbours=options.neighbours)
        with console.progress("Explaining", len(chosen)) as advance:
            for photo in _explain_photos(models, chosen, metadata, options):
                folder.add(photo)
                advance(1)
        page = folder.write_page(run, method=options.method, boundary=options.boundary or TOP)
    payload = {
        "run": run,
        "out": out,
        "page": page,
        "method": options.method,
        "boundary": options.boundary or TOP,
        "images": len(chosen),
        "left_out": len(images.files) - len(chosen),
        **folder.summarise(),
        "seconds": round(time.perf_counter() - start, 3),
    }
    _say(payload, console)
    return payload


def _check_method(options: ExplainOptions, spec: BundleSpec) -> None:
    methods = (*MAP_METHODS, *PIXEL_METHODS)
    if options.method not in methods:
        raise SettingError(
            f"--method {options.method}: there is no such method.",
            expected=f"one of {', '.join(methods)}",
            fix=name_fix(options.method, methods),
        )
    if options.boundary is None:
        return
    entry = find_backbone(spec.backbone)
    boundary = entry.boundary(options.boundary)
    if options.method in PIXEL_METHODS:
        raise SettingError(
            f"--boundary {options.boundary} has no effect: --method {options.method} starts from the pixels.",
            expected=f"--boundary only with {', '.join(MAP_METHODS)}",
            fix="leave out --boundary.",
        )
    if boundary == PIXELS:
        raise SettingError(
            "--boundary pixels has no feature map.",
            expected=f"one of {', '.join(entry.boundaries[1:])}",
            fix="choose a method that starts from the pixels, such as --method pixel-occlusion.",
        )


def _open_models(run: Path, spec: BundleSpec, options: ExplainOptions, console: Console) -> _Models:
    """Open a run's model twice, unless Keras is the fastest engine, and read its training photos."""
    predictor = open_classifier(run, loader_version=LOADER_VERSION)
    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.explain.neighbours import read_training_photos
    from tlkit.explain.records import MapSource
    from tlkit.models.classifier import Classifier
    from tlkit.models.saving import read_bundle

    classifier = predictor if isinstance(predictor, Classifier) else read_bundle(run, loader_version=LOADER_VERSION)
    folder = find_run_folder(run)
    source = MapSource(_find_backbone(folder, spec), default_cache_root(), console)
    training = None
    if folder is None and options.neighbours:
        console.say(f"{run} is a bundle without its run, so the nearest training photos are not known.")
    elif folder is not None and options.neighbours:
        training = read_training_photos(read_manifest(folder), classifier, predictor, source)
    return _Models(classifier, predictor, source, training)


def _find_backbone(folder: Path | None, spec: BundleSpec) -> ResolvedBackbone:
    """Return how the run computed its features; for a bundle without its run, as tlkit does by default."""
    if folder is not None and (folder / RECIPE_FILE).is_file():
        recipe = read_recipe(folder / RECIPE_FILE)
        return resolve_backbone(recipe.backbone).at(TOP, recipe.made_by)
    entry = find_backbone(spec.backbone)
    return ResolvedBackbone(entry, "", spec.image_size, spec.fit, "float16", "auto", "auto")


def _explain_photos(
    models: _Models, paths: Sequence[Path], metadata: MetadataSource, options: ExplainOptions
) -> Iterator[ExplainedPhoto]:
    """Yield each photo with its prediction, the maps of its outputs, and the nearest training photos."""
    from tlkit.data.image_file import ImageFile
    from tlkit.data.images import UnusableImage
    from tlkit.explain.explainer import Explainer
    from tlkit.explain.pages import ExplainedPhoto
    from tlkit.explain.photos import explain_photo
    from tlkit.inference.files import describe_row
    from tlkit.tasks.predictions import Prediction

    spec = models.classifier.spec
    asked = find_output(options.class_name, spec)
    explainer = Explainer(models.classifier, options.boundary or TOP)
    for path in paths:
        try:
            image = ImageFile.read(path, spec.grey)
            pixels = image.render(image_size=spec.image_size, fit=spec.fit)
            texts = metadata.find(path, image)
        except UnusableImage as unusable:
            yield ExplainedPhoto(Prediction(str(path), error=unusable.reason))
            continue
        if texts is None:
            yield ExplainedPhoto(Prediction(str(path), error=f"no row for it in {metadata.table_name}"))
            continue
        encoded = spec.metadata.encode([texts])
        row = models.predictor.predict(pixels[None], encoded)[0]
        prediction = describe_row(str(path), image.upright_size, row, spec, top_k=3)
        outputs = choose_outputs(row, spec) if asked is None else [asked]
        explanations: list[Explanation] = explain_photo(
            explainer, models.predictor, pixels, encoded[0], outputs, method=options.method
        )
        nearest = (
            models.training.find_nearest(models.predictor.compute_features(pixels[None]), options.neighbours)[0]
            if models.training
            else []
        )
        yield ExplainedPhoto(prediction, image, tuple(explanations), tuple(nearest))


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
