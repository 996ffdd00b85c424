"""Show the whole job on a small picture set that is drawn on the spot: no network, no data, no pretrained weights.

The story: draw a pond full of fish, compute the features of its pictures once, train a head on them, measure the model
on pictures that it never saw, let it name some new ones, and say what to type next.
"""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.data.pond import KINDS, NUM_NEW_PHOTOS, PHOTOS_PER_KIND, Pond, draw_pond
from tlkit.recipes import BackboneSettings, HeadSettings, Recipe, Stage
from tlkit.reports.console import Console
from tlkit.workflows.evaluate import run_evaluate
from tlkit.workflows.finetune import run_finetune
from tlkit.workflows.precompute import run_precompute
from tlkit.workflows.predict import PredictOutputs, run_predict
from tlkit.workflows.wanted_rows import ViewPlan

NUM_VIEWS = 4
POLICY = "standard"

MOST_EPOCHS = 40


@dataclass(frozen=True)
class Round:
    """The outputs of one go of the demo; every go gets a folder of its own, so none overwrites another."""

    folder: Path

    @property
    def run(self) -> Path:
        """Folder of the trained model and its report."""
        return self.folder / "run"

    @property
    def evaluation(self) -> Path:
        """Folder of the scores and the confusion matrix."""
        return self.folder / "evaluation"

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
        What `--json` prints: `folder`, `photos` (drawn and reused), `run`, `validation`, `test` (accuracy with its
        interval and macro-F1), `predictions` and `previews`.

    Raises:
        DataError: The folder holds something else.
    """
    console.say(f"tlkit's demo: a fictional pond, its fish, and a network that learns to tell them apart, in {folder}.")
    pond = _draw(folder, console)
    recipe = _choose_recipe()
    this_round = _open_round(folder)
    _precompute(pond, recipe, console)
    trained = _finetune(pond, recipe, this_round, console)
    scores = _evaluate(recipe, this_round, console)
    _predict(pond, this_round, console)
    _say_what_next(pond, this_round, console)
    return {
        "folder": folder,
        "photos": {"drawn": pond.num_drawn, "reused": pond.num_reused},
        "run": this_round.run,
        "validation": trained["validation"],
        "test": {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]},
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
        "All of it is drawn here, and is the same each time.",
    )
    num_photos = len(KINDS) * sum(PHOTOS_PER_KIND.values()) + NUM_NEW_PHOTOS
    with console.progress("Pictures", num_photos, "pictures") as advance:
        pond = draw_pond(folder, photos_per_kind=PHOTOS_PER_KIND, advance=advance)
    if pond.num_reused:
        console.say(f"{pond.num_reused:,} pictures were there already, {pond.num_drawn:,} were drawn.")
    return pond


def _choose_recipe() -> Recipe:
    return Recipe(
        backbone=BackboneSettings(name="tiny", weights="random"),
        head=HeadSettings(kind="conv", units=64),
        stages=(Stage(name="head", epochs=MOST_EPOCHS, views=NUM_VIEWS, policy=POLICY),),
    )


def _open_round(folder: Path) -> Round:
    number = 1
    while (folder / f"round-{number}").exists():
        number += 1
    (folder / f"round-{number}").mkdir()
    return Round(folder / f"round-{number}")


def _precompute(pond: Pond, recipe: Recipe, console: Console) -> None:
    _say_step(
        console,
        "2. Features (tlkit precompute)",
        "A frozen network, the backbone, turns every picture into numbers, once; training then only reads those.",
        f"Each training picture is seen in {NUM_VIEWS} views: as it is, and cropped, mirrored, brighter or paler.",
        "No network that has been trained comes with tlkit yet: this one is small and has random weights.",
        "Its features are untrained, so the score below will be modest. It shows the way, not how far it leads.",
    )
    run_precompute(
        pond.photos,
        data_settings=recipe.data,
        backbone_settings=recipe.backbone,
        boundary="top",
        head=recipe.head,
        views=ViewPlan(POLICY, NUM_VIEWS, recipe.training.seed),
        console=console,
    )


def _finetune(pond: Pond, recipe: Recipe, this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        "3. Training (tlkit finetune)",
        "Only new last layers, the head, are trained; the backbone stays as it is.",
        "Every epoch takes one of the views of each picture from the cache; none is computed again.",
    )
    return run_finetune(recipe, pond.photos, this_round.run, console=console)


def _evaluate(recipe: Recipe, this_round: Round, console: Console) -> dict[str, Any]:
    _say_step(
        console,
        "4. The test (tlkit evaluate)",
        f"Pictures that training never saw. Guessing gets {1 / len(KINDS):.0%} of them right.",
        "The interval says how far an accuracy on so few pictures can be trusted.",
    )
    return run_evaluate(this_round.run, None, console=console, settings=recipe.data, out=this_round.evaluation)


def _predict(pond: Pond, this_round: Round, console: Console) -> None:
    _say_step(
        console,
        "5. New pictures (tlkit predict)",
        f"{NUM_NEW_PHOTOS} pictures without labels, and a torn file, as most folders have one.",
        "The torn one gets a row with its reason, and does not stop the others.",
    )
    run_predict(
        this_round.run,
        [str(pond.new_photos)],
        PredictOutputs(out=this_round.predictions, overlay=this_round.previews),
        console=console,
        stdin=io.StringIO(),
        stdout=io.BytesIO(),
    )


def _say_what_next(pond: Pond, this_round: Round, console: Console) -> None:
    places = (
        ("The pictures, by split and kind", pond.photos),
        ("Their boxes, boats, hours, cameras", pond.table),
        ("The report of the run", this_round.run / "report.html"),
        ("Which kinds were mistaken", this_round.evaluation / "confusion.png"),
        ("The new pictures with answers", this_round.previews),
        ("The same as a table", this_round.predictions),
    )
    console.say("\nTo look at")
    for what, place in places:
        console.say(f"   {what:<36}{place}")
    photos, better = shlex.quote(str(pond.photos)), shlex.quote(str(this_round.folder / "mobilenet"))
    _say_step(
        console,
        "Next: the same pictures with a trained backbone (its weights, 9 MB, are downloaded once)",
        f"tlkit finetune {photos} --backbone mobilenet_v2 --out {better}",
        f"tlkit evaluate {better}",
    )
    _say_step(
        console,
        "With photos of your own, one folder for each class",
        "tlkit finetune photos/ --backbone mobilenet_v2 --out runs/first",
        "tlkit evaluate runs/first",
        "tlkit predict runs/first new-photos/ --out predictions.csv --overlay previews/",
    )


def _say_step(console: Console, title: str, *lines: str) -> None:
    console.say(f"\n{title}")
    for line in lines:
        console.say(f"   {line}")
