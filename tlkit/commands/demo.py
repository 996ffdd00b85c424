"""Show the whole job on a small picture set that is drawn on the spot, with the small network that ships with tlkit.

The story: draw a pond full of fish, compute the features of its pictures once, train a head on them, unfreeze the
network's highest layers, measure the model on pictures that it never saw, find out what the pictures' metadata give
away, train a second model that takes metadata and says where the fish is, let it name some new pictures, and say what to
type next. Nothing is fetched from anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.backbones.catalogue import TOP
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.commands.leak import run_leak
from tlkit.commands.precompute import run_precompute
from tlkit.commands.predict import PredictOutputs, run_predict
from tlkit.data.views import ViewPlan
from tlkit.metadata.columns import ALL_IMAGE_FACTS
from tlkit.pond import KINDS, NUM_NEW_PHOTOS, PHOTOS_PER_KIND, Pond, draw_pond
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console

NUM_VIEWS = 4
POLICY = "standard"
SEED = TrainingSettings().seed
UNFREEZE = "block4"
HEAD_STAGE = Stage(name="head", epochs=20, views=NUM_VIEWS, policy=POLICY)
UNFROZEN_STAGE = Stage(
    name=f"unfreeze-{UNFREEZE}", unfreeze=UNFREEZE, epochs=8, views=NUM_VIEWS, policy=POLICY, lr=1e-3, lr_ratio=3
)
FISHERIES = Recipe(
    data=DataSettings(metadata=ALL_IMAGE_FACTS, boxes="photos.csv"),
    backbone=BackboneSettings(name="tiny"),
    stages=(dataclasses.replace(HEAD_STAGE, epochs=30), UNFROZEN_STAGE),
)
"""recipes/fisheries.toml, which an installed tlkit does not have at hand."""


@dataclass(frozen=True)
class Round:
    """The outputs of one go of the demo; every go gets a folder of its own, so none overwrites another."""

    folder: Path

    @property
    def head(self) -> Path:
        """Folder of the trained head and its report."""
        return self.folder / "head"

    @property
    def unfrozen(self) -> Path:
        """Folder of the model that was trained further, and its report."""
        return self.folder / "unfrozen"

    @property
    def evaluation(self) -> Path:
        """Folder of the scores and the confusion matrix."""
        return self.folder / "evaluation"

    @property
    def metadata(self) -> Path:
        """Picture of what metadata give away."""
        return self.folder / "metadata.png"

    @property
    def fisheries(self) -> Path:
        """Folder of the model that takes metadata and says boxes, and its report."""
        return self.folder / "fisheries"

    @property
    def fisheries_evaluation(self) -> Path:
        """Folder of its scores, and of the sheet of boxes."""
        return self.folder / "fisheries-evaluation"

    @property
    def previews(self) -> Path:
        """Folder of the new pictures with the answers drawn on them."""
        return self.folder / "previews"

    @property
    def predictions(self) -> Path:
        """Table of the answers."""
        return self.folder / "predictions.csv"


def run_demo(folder: Path, *, console: Console) -> dict[str, Any]:
    """Draw the picture set and run the whole job on it.

    Args:
        folder: Where pictures and results go. A second go finds its pictures there, and puts its results beside those
            of the first.
        console: Tells the story.

    Returns:
        What `--json` prints: `folder`, `photos` (drawn and reused), `run` (the first model), `validation` (before and
        after each of its stages), `test` (accuracy with its interval and macro-F1), `verdicts` (on each column of
        metadata), `fisheries` (the second model's `run`, `accuracy` and `boxes`), `predictions` and `previews`.

    Raises:
        DataError: The folder holds something else.
    """
    console.say(f"tlkit's demo: a fictional pond, its fish, and a network that learns to tell them apart, in {folder}.")
    pond = _draw(folder, console)
    this_round = _open_round(folder)
    _precompute(pond, console)
    head = _train_head(pond, this_round, console)
    unfrozen = _unfreeze(pond, this_round, console)
    scores = _evaluate(this_round, console)
    leaks = _find_leaks(pond, this_round, console)
    fisheries = _train_fisheries(pond, this_round, console)
    _predict(pond, this_round, console)
    _say_what_next(pond, this_round, console)
    return {
        "folder": folder,
        "photos": {"drawn": pond.num_drawn, "reused": pond.num_reused},
        "run": this_round.unfrozen,
        "validation": [*head["validation"], *unfrozen["validation"]],
        "test": {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]},
        "verdicts": {column["name"]: column["verdict"] for column in leaks["columns"]},
        "fisheries": {"run": this_round.fisheries, "accuracy": fisheries["accuracy"], "boxes": fisheries["boxes"]},
        "predictions": this_round.predictions,
        "previews": this_round.previews,
    }


def _draw(folder: Path, console: Console) -> Pond:
    names = ", ".join(kind.name for kind in KINDS)
    _say_step(
        console,
        "1. Pictures",
        f"Cameras under six boats see four kinds of fish: {names}.",
        "Every kind comes in every colour, so a network must look at shape and pattern.",
        "Everything is drawn here, the same each time.",
    )
    num_photos = len(KINDS) * sum(PHOTOS_PER_KIND.values()) + NUM_NEW_PHOTOS
    with console.progress("Pictures", num_photos, "pictures") as advance:
        pond = draw_pond(folder, photos_per_kind=PHOTOS_PER_KIND, advance=advance)
    if pond.num_reused:
        console.say(f"{pond.num_reused:,} pictures were reused, {pond.num_drawn:,} were drawn.")
    return pond


def _make_recipe(stage: Stage) -> Recipe:
    return Recipe(backbone=BackboneSettings(name="tiny"), stages=(stage,))


def _open_round(folder: Path) -> Round:
    for number in itertools.count(1):
        with contextlib.suppress(FileExistsError):  # another process may be faster
            (folder / f"round-{number}").mkdir()
            break
    return Round(folder / f"round-{number}")


def _precompute(pond: Pond, console: Console) -> None:
    _say_step(
        console,
        "2. Features (tlkit precompute)",
        "A frozen network, the backbone, turns every picture into numbers, once; training then only reads those.",
        f"Each training picture has {NUM_VIEWS} views: the picture itself, and cropped, mirrored, brighter or paler copies.",
        "This backbone, tiny, ships with tlkit. It was trained on 66,000 small photographs of 200 kinds of things.",
    )
    run_precompute(
        pond.photos,
        data_settings=DataSettings(),
        backbone_settings=BackboneSettings(name="tiny"),
        boundary=TOP,
        head=HeadSettings(),
        views=ViewPlan(POLICY, NUM_VIEWS, SEED),
        console=console,
    )


def _train_head(pond: Pond, this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        "3. A head (tlkit finetune)",
        "Only new last layers, the head, are trained; the backbone does not change.",
        "Every epoch reads one view of each picture from the cache; nothing is computed again.",
    )
    return run_finetune(_make_recipe(HEAD_STAGE), pond.photos, this_round.head, console=console)


def _unfreeze(pond: Pond, this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        f"4. Unfreezing (tlkit finetune --start-from {this_round.head.name} --unfreeze {UNFREEZE})",
        "The backbone has never seen a drawn fish. Now its highest layers are trained, too, more slowly than the head;",
        "the layers below stay frozen and run once. If validation gets worse, only the head is kept.",
    )
    recipe = _make_recipe(UNFROZEN_STAGE)
    return run_finetune(recipe, pond.photos, this_round.unfrozen, console=console, start_from=this_round.head)


def _evaluate(this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        "5. The test (tlkit evaluate)",
        f"Pictures that training has not seen. Guessing gets {1 / len(KINDS):.0%} of them right.",
        "The interval shows how far to trust an accuracy on so few pictures.",
    )
    return run_evaluate(
        this_round.unfrozen, None, EvaluateOptions(out=this_round.evaluation), console=console, settings=DataSettings()
    )


def _find_leaks(pond: Pond, this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        "6. Metadata (tlkit leak)",
        "A table has the boat and the hour of each picture, its file the image size of the camera. Each boat fishes its own",
        "waters, so the boat suggests the fish: the size of a picture alone predicts far better than chance,",
        "and a model that relies on it does worse on a new boat.",
    )
    return run_leak(
        pond.table,
        data_settings=DataSettings(),
        backbone_settings=BackboneSettings(name="tiny"),
        group_by="boat",
        seed=SEED,
        out=this_round.metadata,
        console=console,
    )


def _train_fisheries(pond: Pond, this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        "7. Image and metadata in, class and box out (tlkit run recipes/fisheries.toml)",
        "The course notes' model for the Fisheries contest: the size of the picture joins the features,",
        "and the head predicts a box around the fish in addition to its kind.",
    )
    run_finetune(FISHERIES, pond.table, this_round.fisheries, console=console)
    return run_evaluate(
        this_round.fisheries,
        None,
        EvaluateOptions(out=this_round.fisheries_evaluation),
        console=console,
        settings=DataSettings(),
    )


def _predict(pond: Pond, this_round: Round, console: Console) -> None:
    _say_step(
        console,
        "8. New pictures (tlkit predict)",
        f"{NUM_NEW_PHOTOS} pictures without labels, and a truncated file, as most folders have one.",
        "The truncated file gets a row with the reason, and does not stop the others.",
    )
    run_predict(
        this_round.fisheries,
        [str(pond.new_photos)],
        PredictOutputs(out=this_round.predictions, overlay=this_round.previews),
        console=console,
        stdin=None,
        stdout=io.BytesIO(),
    )


def _say_what_next(pond: Pond, this_round: Round, console: Console) -> None:
    places = (
        ("The pictures, by split and kind", pond.photos),
        ("Their boxes, boats, hours, cameras", pond.table),
        ("The report of the run", this_round.unfrozen / "report.html"),
        ("Which kinds were confused", this_round.evaluation / "confusion.png"),
        ("What the metadata give away", this_round.metadata),
        ("The best and the worst boxes", this_round.fisheries_evaluation / "boxes.png"),
        ("The new pictures with predictions", this_round.previews),
        ("The predictions as a table", this_round.predictions),
    )
    console.say("\nResults")
    for what, place in places:
        console.say(f"   {what:<36}{place}")
    photos, better = shlex.quote(str(pond.photos)), shlex.quote(str(this_round.folder / "mobilenet"))
    _say_step(
        console,
        "Next: the same pictures with a larger backbone (its weights, 9 MB, are downloaded once)",
        f"tlkit finetune {photos} --backbone mobilenet_v2 --out {better}",
        f"tlkit evaluate {better}",
    )
    _say_step(
        console,
        "With your own photos, one folder per class",
        "tlkit finetune photos/ --backbone mobilenet_v2 --out runs/first",
        "tlkit evaluate runs/first",
        "tlkit predict runs/first new-photos/ --out predictions.csv --overlay previews/",
    )


def _say_step(console: Console, title: str, *lines: str) -> None:
    console.say(f"\n{title}")
    for line in lines:
        console.say(f"   {line}")
