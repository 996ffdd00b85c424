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
from tlkit.recipes import BackboneSettings, Recipe, Stage
from tlkit.reports.console import Console
from tlkit.workflows.evaluate import run_evaluate
from tlkit.workflows.finetune import run_finetune
from tlkit.workflows.precompute import run_precompute
from tlkit.workflows.predict import PredictOutputs, run_predict
from tlkit.workflows.wanted_rows import ViewPlan

NUM_VIEWS = 4
POLICY = "standard"
EPOCHS = 40


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


def run_demo(folder: Path, *, console: Console, num_train_per_kind: int = PHOTOS_PER_KIND["train"]) -> dict[str, Any]:
    """Draw the picture set and run the whole job on it.

    Args:
        folder: Where pictures and results go. A second go finds its pictures there, and puts its results beside those
            of the first.
        console: Tells the story.
        num_train_per_kind: Training pictures of each kind of fish; fewer make a quicker demo.

    Returns:
        What `--json` prints: `folder`, `photos` (drawn and reused), `run`, `validation`, `test` (accuracy with its
        interval and macro-F1), `predictions` and `previews`.

    Raises:
        DataError: The folder holds something else.
    """
    console.say(f"tlkit's demo: a fictional pond, its fish, and a network that learns to tell them apart, in {folder}.")
    pond = _draw(folder, num_train_per_kind, console)
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


def _draw(folder: Path, num_train_per_kind: int, console: Console) -> Pond:
    per_kind = {**PHOTOS_PER_KIND, "train": num_train_per_kind}
    names = ", ".join(kind.name for kind in KINDS)
    console.say("\n1. Pictures")
    console.say(
        f"   Cameras under six boats see four kinds of fish: {names}. Every kind comes in every colour, so a network must\n"
        "   look at shape and pattern. All of it is drawn here and is the same each time."
    )
    num_photos = len(KINDS) * sum(per_kind.values()) + NUM_NEW_PHOTOS
    with console.progress("Pictures", num_photos, "pictures") as advance:
        pond = draw_pond(folder, photos_per_kind=per_kind, advance=advance)
    if pond.num_reused:
        console.say(f"   {pond.num_reused:,} pictures were there already, {pond.num_drawn:,} were drawn.")
    return pond


def _choose_recipe() -> Recipe:
    return Recipe(
        backbone=BackboneSettings(name="tiny", weights="random"),
        stages=(Stage(name="head", epochs=EPOCHS, views=NUM_VIEWS, policy=POLICY),),
    )


def _open_round(folder: Path) -> Round:
    number = 1
    while (folder / f"round-{number}").exists():
        number += 1
    (folder / f"round-{number}").mkdir()
    return Round(folder / f"round-{number}")


def _precompute(pond: Pond, recipe: Recipe, console: Console) -> None:
    console.say("\n2. Features (tlkit precompute)")
    console.say(
        "   A frozen network turns every picture into a row of numbers, once; training then reads those rows, which\n"
        f"   takes seconds. Each training picture is seen in {NUM_VIEWS} views: as it is, and cropped, mirrored, recoloured.\n"
        "   This network is small and has random weights, since none that has been trained comes with tlkit yet: its\n"
        "   features are untrained, so expect a modest score. With real weights the same commands do far better."
    )
    run_precompute(
        pond.photos,
        data_settings=recipe.data,
        backbone_settings=recipe.backbone,
        boundary="top",
        pooling="avg",
        views=ViewPlan(POLICY, NUM_VIEWS, recipe.training.seed),
        console=console,
    )


def _finetune(pond: Pond, recipe: Recipe, this_round: Round, console: Console) -> dict[str, Any]:
    console.say("\n3. Training (tlkit finetune)")
    console.say(
        "   Only a new last layer, the head, is trained; the network below stays as it is. The rows are in the cache, so\n"
        "   none is computed again."
    )
    return run_finetune(recipe, pond.photos, this_round.run, console=console)


def _evaluate(recipe: Recipe, this_round: Round, console: Console) -> dict[str, Any]:
    console.say("\n4. The test (tlkit evaluate)")
    console.say(
        f"   Pictures that training never saw. Guessing would get {1 / len(KINDS):.0%} of them right; the interval says how\n"
        "   far the accuracy can be trusted with so few."
    )
    return run_evaluate(this_round.run, None, console=console, settings=recipe.data, out=this_round.evaluation)


def _predict(pond: Pond, this_round: Round, console: Console) -> None:
    console.say("\n5. New pictures (tlkit predict)")
    console.say(
        f"   {NUM_NEW_PHOTOS} pictures without labels, and a torn file, as there is one in most folders: it gets a row with\n"
        "   the reason, and the others get their answers."
    )
    outputs = PredictOutputs(out=this_round.predictions, overlay=this_round.previews)
    run_predict(
        this_round.run,
        [str(pond.new_photos)],
        outputs,
        console=console,
        stdin=io.StringIO(),
        stdout=io.BytesIO(),
    )


def _say_what_next(pond: Pond, this_round: Round, console: Console) -> None:
    photos = shlex.quote(str(pond.photos))
    unfrozen = shlex.quote(str(this_round.folder / "unfrozen"))
    start = shlex.quote(str(this_round.run))
    console.say("\nTo look at")
    for place, what in (
        (pond.photos, "the pictures, by split and kind"),
        (pond.table, "their boxes, boats, hours and cameras"),
        (this_round.run / "report.html", "the report of the run"),
        (this_round.evaluation / "confusion.png", "which kinds were taken for which"),
        (this_round.previews, "the new pictures with their answers"),
        (this_round.predictions, "the same as a table"),
    ):
        console.say(f"   {place}    {what}")
    console.say(
        "\nNext, let the network itself learn from these pictures (some minutes):\n"
        f"   tlkit finetune {photos} --start-from {start} --unfreeze all --bn train --epochs 30 --lr 1e-3 --lr-ratio 1 --out {unfrozen}\n"
        "\nWith photos of your own, one folder for each class, and a network that has been trained on a million photos:\n"
        "   tlkit finetune photos/ --backbone mobilenet_v2 --out runs/first\n"
        "   tlkit evaluate runs/first\n"
        "   tlkit predict runs/first new-photos/ --out predictions.csv --overlay previews/"
    )
