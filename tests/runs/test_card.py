"""The model card: what the run records, for every task, in a form that hubs read, without the folders of a user."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import markdown  # type: ignore[import-untyped]
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from huggingface_hub import EvalResult, ModelCard
from numpy.typing import NDArray

from tlkit.commands.card import run_card
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile, write_manifest
from tlkit.errors import RunError
from tlkit.files import write_json
from tlkit.models.spec import BundleSpec, Provenance
from tlkit.models.storage import write_files
from tlkit.outputs import LABEL_SEPARATOR, Target
from tlkit.recipes import BackboneSettings, HeadSettings, Inputs, MadeBy, Recipe, Stage, write_recipe
from tlkit.reports.console import Console
from tlkit.runs.card import MARKER
from tlkit.runs.card_record import CardOptions
from tlkit.tasks.classification_report import compute_classification_report
from tlkit.tasks.mask_text import write_mask
from tlkit.tasks.multilabel_report import compute_multilabel_report
from tlkit.tasks.regression_report import compute_regression_report
from tlkit.tasks.segmentation_report import compute_segmentation_report

QUIET = Console(verbosity=-1)
DATA = Path("/home/anna smith/photos of birds")
SPEC = BundleSpec(
    backbone="tiny",
    image_size=(32, 32),
    fit="crop",
    loader_version=LOADER_VERSION,
    pooling="avg",
    head=HeadSettings(kind="linear"),
    class_names=("cat", "do|g"),
    temperature=1.5,
    unknown_above=0.625,
    unfrozen="block4",
    provenance=Provenance("bundled", "ab" * 32, "0.1.0", "3.15.1", "2026-01-31T12:00:00+00:00"),
)
STAGE = {"stage": "head", "boundary": "top", "learning_rate": 1e-3, "epochs": 9, "best_epoch": 4}
NEARLY = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
LABELS = np.array([0, 1, 1, 1])

MakeRun = Callable[..., Path]


def write_zeros(folder: Path, spec: BundleSpec = SPEC) -> Path:
    """Write the files of a bundle, right in names and sizes, but with zeros for weights."""
    images: NDArray[Any] = np.zeros((1, *spec.image_size, 3), np.uint8)
    golden = {"images": images, "answers": np.zeros((1, spec.row_width), np.float32)}
    weights = {"backbone/stem/kernel": np.zeros(2_324_832, np.float32)}
    novelty = {"mean": np.zeros(4, np.float32), "directions": np.zeros((1, 4), np.float32)}
    write_files(folder, spec, weights=weights, golden=golden, novelty=novelty)
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(spec, report)`: a run folder with these scores, which nobody has trained."""

    def make(spec: BundleSpec, report: Any, answers: tuple[str, ...] = ("cat", "do|g"), **summary: Any) -> Path:
        run = tmp_path / "first"
        run.mkdir()
        write_zeros(run / "bundle", spec)
        records = tuple(
            ImageRecord(DATA / f"{number}.jpg", f"{number:064d}", 9, 9, split, answers[number % len(answers)])
            for number, split in enumerate(["train"] * 4 + ["validation"] * 2)
        )
        notices = (f"2 images have a copy, e.g. {DATA}/1.jpg and /mnt/bob/disk/2.jpg.",)
        skipped = (SkippedFile(DATA / "broken.jpg", "truncated"),)
        write_manifest(Manifest(DATA, spec.class_names, records, skipped, notices, spec.task), run)
        inputs = Inputs(data=str(DATA), data_sha256="cd" * 32)
        made_by = MadeBy(command=f"tlkit finetune '{DATA}'", versions="tlkit 0.1.0, numpy 2.4.6")
        write_recipe(Recipe(stages=(Stage(),), inputs=inputs, made_by=made_by), run / "recipe.toml")
        write_json(run / "summary.json", {"validation": [STAGE], **report.to_payload(), **summary})
        return run

    return make


def write_card(run: Path, **options: Any) -> str:
    """Return the text of the card that `tlkit card` writes."""
    return Path(run_card(run, CardOptions(**options), console=QUIET)["out"]).read_text("utf-8")


def test_a_hub_reads_the_header(make_run: MakeRun) -> None:
    report = compute_classification_report(LABELS, NEARLY, SPEC.class_names)
    text = write_card(make_run(SPEC, report), license="mit", dataset="anna/birds")

    header = yaml.safe_load(text.split("---\n")[1])
    assert header["library_name"] == "tlkit"
    assert header["pipeline_tag"] == "image-classification"
    assert (header["license"], header["datasets"]) == ("mit", ["anna/birds"])
    result: EvalResult = vars(ModelCard(text).data)["eval_results"][0]
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.75)
    assert result.metric_name == "accuracy, 95% interval 0.300642 to 0.954413"
    assert result.dataset_split == "validation"


def test_a_card_says_what_the_run_records(make_run: MakeRun) -> None:
    report = compute_classification_report(LABELS, NEARLY, SPEC.class_names)
    copies = {"validation": 1, "without": report.to_payload() | {"images": 3}}
    places = {"class_name": "cat", "num_photos": 30, "border": 0.9, "outside": None, "reason": "it is at the border"}
    run = make_run(SPEC, report, near_copies=copies, shortcuts=[places])
    (run / "confusion.png").touch()
    text = write_card(run)

    for line in (
        "# first",
        r"The model says which of 2 classes an image shows: `cat`, `do\|g`.",
        "- 6 images of `photos of birds` are used, 1 file is skipped.",
        r"| do\|g | 2 | 1 | 3 |",
        "| head | `top` | 0.001 | 9 | 4 |",
        "### On the validation images (4)",
        "| accuracy | 0.750 | 0.301 to 0.954 |",
        "| calibration error | 0.000 | 0.000 to 0.312 |",
        r"| do\|g | 1.000 (0.342 to 1.000) | 0.667 (0.208 to 0.939) | 0.800 (0.344 to 0.968) | 3 |",
        "### On those without a near copy among the training images (3)",
        "![True and predicted classes](confusion.png)",
        r"| do\|g | cat | 1 |",
        "### Possible shortcuts",
        "- The model may recognize cat by something other than the object: over 30 images that it gets right, it is at "
        "the border.",
        "- Probabilities are calibrated on the validation images: temperature 1.5.",
        "- What lies outside the central square of an image is not seen.",
        "- No images were held out for a test.",
        "- weights of the backbone `tiny` that the training began with: Apache-2.0",
        f"| sha256 of images, splits and targets | `{'cd' * 32}` |",
    ):
        assert f"\n{line}\n" in text
    assert "exceeds 0.625 of 1, as at most 5% of new images" in text
    assert "license:" not in text
    tables = markdown.markdown(text.split("---\n", 2)[2], extensions=["tables"]).count("<table>")
    assert tables == 7


def test_no_folder_of_a_user_is_in_it(make_run: MakeRun) -> None:
    text = write_card(make_run(SPEC, compute_classification_report(LABELS, NEARLY, SPEC.class_names)))

    assert "- 2 images have a copy, e.g. 1.jpg and 2.jpg." in text
    assert not [word for word in ("anna", "bob", "/home", "/mnt", str(Path.home())) if word in text]


def test_a_home_folder_is_not_named_as_a_data_set(make_run: MakeRun) -> None:
    run = make_run(SPEC, compute_classification_report(LABELS, NEARLY, SPEC.class_names))
    write_recipe(Recipe(stages=(Stage(),), inputs=Inputs(data="/home/anna")), run / "recipe.toml")

    assert "anna" not in write_card(run)


def test_several_devices_are_named(make_run: MakeRun) -> None:
    run = make_run(SPEC, compute_classification_report(LABELS, NEARLY, SPEC.class_names))
    assert "| devices |" not in write_card(run)
    write_recipe(Recipe(backbone=BackboneSettings(devices=8), stages=(Stage(),)), run / "recipe.toml")
    assert "| devices | `8` |" in write_card(run)


def test_several_labels(make_run: MakeRun) -> None:
    names = ("cat", "dog")
    spec = dataclasses.replace(SPEC, task="multilabel", class_names=names, thresholds=(0.5, 0.5), temperature=1.0)
    report = compute_multilabel_report(np.eye(2)[LABELS], NEARLY, spec.class_names, np.array([0.5, 0.5]))
    text = write_card(make_run(spec, report, answers=("cat", f"cat{LABEL_SEPARATOR}dog")))

    assert "| mean average precision | " in text
    assert "| label | threshold | precision | recall | F1 | images |" in text
    assert "calibrated" not in text


def test_a_value(make_run: MakeRun) -> None:
    spec = dataclasses.replace(
        SPEC, task="regression", class_names=(), temperature=1.0, target=Target("price_usd", 1.0, 2.0, False)
    )
    report = compute_regression_report(np.array([1e5, 2e5, 3e5, 4e5]), np.array([1.1e5, 2e5, 2.5e5, 4e5]), "price_usd")
    text = write_card(make_run(spec, report, answers=("100000.0", "200000.0")))

    assert "The model estimates `price_usd` from an image." in text
    assert "| mean absolute error | 15,000 | " in text
    header = yaml.safe_load(text.split("---\n")[1])
    assert "pipeline_tag" not in header
    assert {"mae", "rmse", "r_squared"} <= {*header["metrics"]}


def test_boxes_are_scored_and_a_single_class_is_not(make_run: MakeRun) -> None:
    spec = dataclasses.replace(SPEC, class_names=("cat",), temperature=1.0, has_box=True)
    report = compute_classification_report(np.array([0, 0]), np.ones((2, 1)), spec.class_names)
    interval = {"value": 0.6, "low": 0.5, "high": 0.7}
    boxes = {"images": 2, "iou": interval, "share_above_0.5": interval, "error_px": 12.5}
    text = write_card(make_run(spec, report, answers=("cat",), boxes=boxes))

    assert "| mean IoU of the boxes | 0.600 | 0.500 to 0.700 |" in text
    assert "| mean error of an edge of the box, in pixels | 12.5 |" in text
    assert "accuracy" not in text


def test_masks_are_scored_by_class_with_background(make_run: MakeRun) -> None:
    head = HeadSettings("segmenter")
    spec = dataclasses.replace(SPEC, task="segmentation", pooling="maps", head=head, map_sizes=((8, 10), (4, 5)))
    true = np.zeros((4, 4, 4), np.uint8)
    true[:, :2], true[0, 3] = 1, 2
    found = true.copy()
    found[:, 0] = 0
    answers = tuple(write_mask(mask, spec.class_names) for mask in true[:2])
    text = write_card(make_run(spec, compute_segmentation_report(true, found, spec.class_names), answers))

    assert yaml.safe_load(text.split("---\n")[1])["pipeline_tag"] == "image-segmentation"
    metrics = {each.metric_type: each.metric_value for each in vars(ModelCard(text).data)["eval_results"]}
    assert metrics == {"mean_iou": pytest.approx(0.75)}
    for line in (
        r"The model says of every place of an image whether it is background or one of 2 classes: `cat`, `do\|g`.",
        "tlkit predict RUN photos/ --masks-out masks/",
        "| mIoU of the classes | 0.750 | ",
        "| share of the area that is right | 0.750 | ",
        "| class | IoU | Dice | precision | recall | images |",
        "| cat | 0.500 (",
        "| background | 0.",
        "- A mask is drawn from probabilities at 10 × 8 cells of the input; what is thinner than a cell may be missed.",
        r"- Scored on fewer than 20 images: `background`, `cat`, `do\|g`.",
    ):
        assert line in text
    assert "100 objects" not in text


def test_the_scores_of_an_evaluation_stand_first(make_run: MakeRun, tmp_path: Path) -> None:
    report = compute_classification_report(LABELS, NEARLY, SPEC.class_names)
    run, folder = make_run(SPEC, report), tmp_path / "test"
    folder.mkdir()
    document = {"split": "test", "data": None, "class_names": SPEC.class_names, **report.to_payload(), "images": 7}
    write_json(folder / "report.json", document)
    text = write_card(run, evaluation=folder)

    assert text.index("### On the test images (7)") < text.index("### On the validation images (4)")
    assert "held out for a test." not in text
    assert text.count("These images also chose the epoch") == 1
    write_json(folder / "report.json", document | {"data": "/home/anna/more.csv"})
    other = write_card(run, evaluation=folder)
    assert "### On images of more.csv, split test (7)" in other
    results = yaml.safe_load(other.split("---\n")[1])["model-index"][0]["results"]
    assert [(each["dataset"]["name"], each["dataset"]["type"]) for each in results] == [
        ("more.csv", "csv"),
        ("photos of birds", "imagefolder"),
    ]
    write_json(folder / "report.json", document | {"split": "validation"})
    again = write_card(run, evaluation=folder)
    assert "### On the validation images (7)\n\nThese images also chose the epoch" in again
    assert "### On the validation images (4)" not in again
    write_json(folder / "report.json", document | {"class_names": ["cat"]})
    with pytest.raises(RunError, match=r"test is of a model with other classes\."):
        write_card(run, evaluation=folder)


def test_a_bundle_alone_has_a_card_without_data_and_scores(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(SPEC, compute_classification_report(LABELS, NEARLY, SPEC.class_names))
    (run / "bundle").rename(tmp_path / "model")
    text = Path(run_card(tmp_path / "model", CardOptions(), out=tmp_path / "card.md", console=QUIET)["out"]).read_text()

    assert "## Data" not in text
    assert "## Scores" not in text
    assert "## Provenance" in text


def test_only_a_card_is_replaced(make_run: MakeRun) -> None:
    run = make_run(SPEC, compute_classification_report(LABELS, NEARLY, SPEC.class_names))
    first = write_card(run)
    assert write_card(run) == first
    (run / "README.md").write_text(first.replace(MARKER, ""), "utf-8")
    with pytest.raises(RunError, match=r"README\.md exists and is not a card that tlkit wrote\."):
        write_card(run)


@pytest.mark.parametrize(
    "damage", [{"accuracy": "high"}, {"images": None}, {"mistakes": [7]}, {"validation": [{}]}, {"boxes": 3}]
)
def test_a_damaged_summary_is_refused(make_run: MakeRun, damage: dict[str, Any]) -> None:
    run = make_run(SPEC, compute_classification_report(LABELS, NEARLY, SPEC.class_names))
    summary = json.loads((run / "summary.json").read_text())
    write_json(run / "summary.json", {**summary, **damage})
    with pytest.raises(RunError, match=r"first: the scores cannot be read"):
        write_card(run)
    assert not (run / "README.md").exists()
