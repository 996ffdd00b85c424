"""tlkit from Python: every command as a function, and a trained model as an object.

The command line calls these functions, too, so that both give the same. Settings are keywords by the names of the
options: `--backbone resnet50 --image-size 160` is `backbone="resnet50", image_size=160`. What a command prints with
`--json` is what its function returns. Nothing heavy is imported before a function is called.

    import tlkit

    run = tlkit.finetune("photos", backbone="resnet50", epochs=5)
    model = tlkit.load(run["run"])
    model.predict(["new/1.jpg", "new/2.jpg"])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tlkit.recipes.given import (
    check_known,
    check_policy,
    collect_settings,
    given_sections,
    given_settings,
)
from tlkit.recipes.settings import (
    FIND,
    SECTIONS,
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
)
from tlkit.reports.console import Console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tlkit.data.manifest import Manifest
    from tlkit.data.views import ViewPlan
    from tlkit.inference.model import Model

Place = str | Path
Result = dict[str, Any]


def load(run: Place, *, engine: str = "auto", precision: str = "float32") -> Model:
    """Open a trained model.

    Args:
        run: A run folder, or the bundle in it.
        engine: keras; openvino; or auto: openvino where the run has a model for it and it is installed.
        precision: float32, or bfloat16 with OpenVINO.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        BackboneError: OpenVINO is asked for and not installed.
        SettingError: A setting does not go with the engine.
    """
    from tlkit.inference.model import open_model

    return open_model(Path(run), engine=engine, precision=precision)


def read_data(data: Place, **settings: Any) -> Manifest:
    """Read a data set as `finetune` would: its usable images with hash, answer and split, and the files it skips.

    Args:
        data: A folder of class folders, a table, or annotated images.
        settings: Those of a recipe's `[data]`, and `seed`, which decides over the splits.

    Raises:
        DataError: The data set is not usable.
        SettingError: A setting is wrong, or does not apply.
    """
    check_known(settings, DataSettings, TrainingSettings, of="read_data")
    from tlkit.data.dataset import read_dataset
    from tlkit.data.file_index import FileIndex
    from tlkit.features.cache import default_cache_root

    seed = collect_settings(TrainingSettings, settings).seed
    return read_dataset(
        Path(data), collect_settings(DataSettings, settings), seed=seed, index=FileIndex(default_cache_root())
    )


def finetune(
    data: Place,
    *,
    out: Place | None = None,
    start_from: Place | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: str | None = None,
    **settings: Any,
) -> Result:
    """Train a classifier on images: `tlkit finetune`.

    Args:
        data: A folder of class folders, a table, or annotated images.
        out: New folder of the run; None: `runs/` and the data's name.
        start_from: An earlier run whose model is trained further.
        resume: Go on with the interrupted run in `out`.
        console: Tells the story; None: only warnings are printed.
        command: What the recipe records as the command that made the run.
        settings: Those of the stage, such as `unfreeze`, `epochs` and `lr`, and of a recipe's sections.

    Returns:
        `run`, `validation` (before and after each stage), the scores of the task, `not_made`, `seconds` and `versions`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or folder that the user can solve.

    Example:
        >>> run = tlkit.finetune("photos", backbone="mobilenet_v2", unfreeze="all")  # doctest: +SKIP
    """
    check_known(settings, Stage, *SECTIONS.values(), of="finetune")
    from tlkit.runs.recipe import describe_reach, make_finetune_recipe

    console = console or quiet_console()
    stage = given_settings(Stage, settings)
    recipe = make_finetune_recipe(stage=stage, sections=given_sections(settings), start_from=_path(start_from))
    if reach := describe_reach(stage, recipe):
        console.say(reach)
    return _train(recipe, Path(data), out, _path(start_from), resume=resume, console=console, command=command)


def run(
    recipe: Place,
    data: Place | None = None,
    *,
    out: Place | None = None,
    start_from: Place | None = None,
    resume: bool = False,
    console: Console | None = None,
    command: str | None = None,
    **settings: Any,
) -> Result:
    """Run all stages of a recipe file: `tlkit run`.

    Args:
        recipe: A TOML file; the recipe.toml of a run repeats it.
        data: The data set; None: the one that the recipe names.
        out: As in `finetune`.
        start_from: As in `finetune`; None: the run that the recipe names, if it does.
        resume: As in `finetune`.
        console: As in `finetune`.
        command: As in `finetune`.
        settings: Take the place of the recipe's own, by section.

    Returns:
        As `finetune`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, *SECTIONS.values(), of="run")
    from tlkit.runs.recipe import make_recipe_from_file

    chosen = make_recipe_from_file(
        Path(recipe), data=_path(data), sections=given_sections(settings), start_from=_path(start_from)
    )
    return _train(
        chosen,
        Path(str(chosen.inputs.data)),
        out,
        _path(chosen.inputs.start_from),
        resume=resume,
        console=console or quiet_console(),
        command=command,
    )


def _train(
    recipe: Recipe,
    data: Path,
    out: Place | None,
    start_from: Path | None,
    *,
    resume: bool,
    console: Console,
    command: str | None,
) -> Result:
    from tlkit.commands.finetune import run_finetune
    from tlkit.runs.recipe import choose_run_folder

    folder = choose_run_folder(data, _path(out), resume=resume)
    recipe = dataclasses.replace(recipe, made_by=dataclasses.replace(recipe.made_by, command=command))
    return run_finetune(recipe, data, folder, console=console, start_from=start_from, resume=resume)


def precompute(data: Place, *, boundary: str = "top", console: Console | None = None, **settings: Any) -> Result:
    """Compute the features of a data set and keep them: `tlkit precompute`.

    Args:
        data: As in `finetune`.
        boundary: Layer group at whose output the network is cut, or top.
        console: As in `finetune`.
        settings: Those of `[backbone]` and `[data]`; `head`, `views`, `policy` and `seed`.

    Returns:
        `images`, `hits` and `misses` (rows of the cache), `set_aside` (files), `seconds`, `images_per_second` and the
        folder of the `cache`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.precompute import run_precompute

    return run_precompute(
        Path(data), **_plan_features("precompute", boundary, settings), console=console or quiet_console()
    )


def compute_features(
    data: Place, *, boundary: str = "top", console: Console | None = None, **settings: Any
) -> tuple[NDArray[np.floating[Any]], list[Path]]:
    """Return the features of a data set's images, computed once and kept.

    Args:
        data: As in `finetune`.
        boundary: As in `precompute`.
        console: As in `finetune`.
        settings: As in `precompute`.

    Returns:
        float16 or float32 (n, channels) for a pooled vector, (n, height, width, channels) for a map, of the images
        themselves (view 0), and the n paths: training images first, then validation and test images.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    import numpy as np

    from tlkit.commands.precompute import ensure_dataset_features

    if boundary == "top":
        settings.setdefault("head", "linear")
    _, features = ensure_dataset_features(
        Path(data), **_plan_features("compute_features", boundary, settings), console=console or quiet_console()
    )
    parts = list(features.splits.values())
    positions = np.concatenate([part.positions[:, 0] for part in parts])
    return features.cache.read(positions), [record.path for part in parts for record in part.records]


def _plan_features(of: str, boundary: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `run_precompute`."""
    names = {"head", "views", "policy", "seed"}
    sections = (BackboneSettings, DataSettings)
    check_known({name: value for name, value in settings.items() if name not in names}, *sections, of=of)
    stage = given_settings(Stage, settings)
    views, policy = stage.get("views", Stage.views), stage.get("policy")
    check_policy(views, policy)
    from tlkit.data.views import ViewPlan

    seed = collect_settings(TrainingSettings, settings).seed
    head = given_settings(HeadSettings, settings)
    return {
        "data_settings": collect_settings(DataSettings, settings),
        "backbone_settings": collect_settings(BackboneSettings, settings),
        "boundary": boundary,
        "head": HeadSettings(**head) if head else None,
        "views": ViewPlan(policy=policy or Stage.policy, num_views=views, seed=seed),
    }


def predict(
    run: Place,
    *sources: Place,
    out: Place | None = None,
    overlay: Place | None = None,
    sort_into: Place | None = None,
    top_k: int = 3,
    min_probability: float | None = None,
    views: int = 1,
    policy: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    batch_size: int | None = None,
    table: Place | None = None,
    image_column: str = "",
    console: Console | None = None,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
) -> Result:
    """Predict image files: `tlkit predict`. For arrays, or many calls, `load` the model once.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs, files, or "-" for paths on `stdin`, which are answered as they come.
        out: File for the rows: .csv, .jsonl or .parquet; None: they are part of what is returned, or go to `stdout`.
        overlay: Folder for copies with the answer drawn on them.
        sort_into: Folder for copies in one folder per class.
        top_k: Classes named for each image.
        min_probability: An answer whose class is less probable, 0..1, is flagged as uncertain.
        views: Views of each picture whose answers are averaged.
        policy: How the other views are made.
        engine: auto, keras or openvino.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Images that Keras computes at a time.
        table: Table with the metadata that the model takes beside the images.
        image_column: Its column of paths; empty: found by its name.
        console: Tells the story; None: only warnings are printed.
        stdin: A raw stream with one path a line.
        stdout: Gets the rows as CSV.

    Returns:
        The number of `images`, `errors` and `unknown` ones, how often each answer was given, `seconds`, and, without
        `out` and `stdout`, the `predictions`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.predict import PredictOutputs, run_predict

    if console is None:
        console = Console(verbosity=-1, json=stdout is None)
    return run_predict(
        Path(run),
        tuple(str(source) for source in sources),
        PredictOutputs(out=_path(out), overlay=_path(overlay), sort_into=_path(sort_into)),
        console=console,
        stdin=stdin,
        stdout=stdout,
        top_k=top_k,
        min_probability=min_probability,
        views=_plan_views(views, policy),
        engine=engine,
        precision=precision,
        batch_size=batch_size,
        table=_path(table),
        image_column=image_column,
    )


def evaluate(
    run: Place,
    data: Place | None = None,
    *,
    split: str | None = None,
    top_k: int | None = None,
    out: Place | None = None,
    views: int = 1,
    policy: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Measure a run on labelled images: `tlkit evaluate`.

    Args:
        run: A run folder, or the bundle in it.
        data: A folder, a table, or a data set with splits; None: the images that the run held back itself.
        split: Part of the data to measure on.
        top_k: Also measure how often the true class is among so many most probable ones.
        out: Folder for pictures, scores of each class or label, predictions.csv and report.json.
        views: As in `predict`.
        policy: As in `predict`.
        engine: As in `predict`.
        precision: As in `predict`.
        console: As in `predict`.
        settings: Those of `[data]` that say how the data is read.

    Returns:
        The scores of the task, and under `seen` apart by what the model has seen.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, DataSettings, of="evaluate")
    from tlkit.commands.evaluate import run_evaluate

    return run_evaluate(
        Path(run),
        _path(data),
        console=console or quiet_console(),
        settings=collect_settings(DataSettings, settings),
        split=split,
        top_k=top_k,
        out=_path(out),
        views=_plan_views(views, policy),
        engine=engine,
        precision=precision,
    )


def _plan_views(num_views: int, policy: str | None) -> ViewPlan:
    check_policy(num_views, policy)
    from tlkit.data.views import ViewPlan

    return ViewPlan(policy or Stage.policy, num_views)


def compare(
    data: Place,
    *,
    backbones: Sequence[str] = (BackboneSettings.name,),
    boundaries: Sequence[str] = (),
    heads: Sequence[str] = (),
    policies: Sequence[str] = (),
    views: Sequence[int | str] = (),
    out: Place | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Rank backbones and boundaries, or heads and views: `tlkit compare`.

    Args:
        data: As in `finetune`.
        backbones: Names, or NAME:FILE for weights of your own.
        boundaries: Where they are cut.
        heads: Kinds of heads to train, or KIND:UNITS.
        policies: How views are made.
        views: Numbers of cached views to train with.
        out: PNG to draw; None: in `runs/`, after the data's name.
        console: As in `finetune`.
        settings: Those of `[backbone]` and `[data]`, and `seed`.

    Returns:
        The candidates with their scores, the best first, and the advice.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    sections, seed = _take_data_and_backbone("compare", settings)
    from tlkit.commands.compare import run_compare
    from tlkit.probes.candidates import Wanted

    return run_compare(
        Path(data),
        wanted=Wanted(backbones, boundaries, heads, policies, [str(number) for number in views]),
        **sections,
        seed=seed,
        out=_path(out),
        console=console or quiet_console(),
    )


def leak(
    data: Place, *, group_by: str = "", out: Place | None = None, console: Console | None = None, **settings: Any
) -> Result:
    """Find out which metadata give the answer away: `tlkit leak`.

    Args:
        data: As in `finetune`.
        group_by: Column whose groups are held out whole.
        out: As in `compare`.
        console: As in `finetune`.
        settings: As in `compare`.

    Returns:
        The scores, and a verdict on each column.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    sections, seed = _take_data_and_backbone("leak", settings)
    from tlkit.commands.leak import run_leak

    return run_leak(
        Path(data), **sections, group_by=group_by, seed=seed, out=_path(out), console=console or quiet_console()
    )


def _take_data_and_backbone(of: str, settings: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the settings of both, as the commands take them, and the seed."""
    check_known(settings, BackboneSettings, DataSettings, TrainingSettings, of=of)
    sections = {
        "data_settings": collect_settings(DataSettings, settings),
        "backbone_settings": collect_settings(BackboneSettings, settings),
    }
    return sections, collect_settings(TrainingSettings, settings).seed


def plan(data: Place, *, out: Place | None = None, console: Console | None = None, **settings: Any) -> Result:
    """Tell what a training would take, and how much of the backbone is worth training: `tlkit plan`.

    Args:
        data: As in `finetune`.
        out: As in `compare`.
        console: As in `finetune`.
        settings: Those of a recipe's sections; `views` and `policy`.

    Returns:
        The costs of each strategy, the evidence of a short trial, and the advice with its command.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, Stage, *SECTIONS.values(), of="plan")
    from tlkit.commands.plan import run_plan

    return run_plan(
        Path(data),
        sections=given_sections(settings),
        views=given_settings(Stage, settings),
        out=_path(out),
        console=console or quiet_console(),
    )


def lr_find(
    data: Place,
    *,
    out: Place | None = None,
    start_from: Place | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Find the learning rate of a stage before it is trained: `tlkit lr-find`.

    Args:
        data: As in `finetune`.
        out: As in `compare`.
        start_from: As in `finetune`.
        console: As in `finetune`.
        settings: As in `finetune`, but for the rate.

    Returns:
        The `suggestion`, `suggestions` by rule, and the sweep's `rates` and `losses`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, Stage, *SECTIONS.values(), of="lr_find")
    from tlkit.commands.lr_find import run_lr_find
    from tlkit.runs.recipe import make_finetune_recipe

    stage = {**given_settings(Stage, settings), "lr": FIND}
    recipe = make_finetune_recipe(stage=stage, sections=given_sections(settings), start_from=_path(start_from))
    return run_lr_find(
        recipe, Path(data), out=_path(out), start_from=_path(start_from), console=console or quiet_console()
    )


def quiet_console() -> Console:
    """Return a console that prints nothing but warnings."""
    return Console(verbosity=-1)


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
