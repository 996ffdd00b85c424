"""A model card: what a run records about its model, its data and its scores, as Markdown for people and for a hub.

It holds facts of the run, and no other: what is not known is not said. Folders are left out of all texts, since they
may name a user.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.backbones.catalogue import find_backbone
from tlkit.devices import as_word
from tlkit.errors import RunError, describe_damage
from tlkit.explain.shortcuts import EvidencePlaces
from tlkit.models.about import describe_metadata, describe_model, describe_use
from tlkit.models.novelty import NEVER
from tlkit.recipes.settings import SIMILARITY
from tlkit.reports.markdown import escape_markdown, format_page, format_table, quote_code
from tlkit.runs.card_header import make_header, to_yaml
from tlkit.runs.card_record import RunRecord
from tlkit.runs.card_scores import RecordedScores
from tlkit.tasks import find_task
from tlkit.version import __version__

CARD_FILE = "README.md"
MARKER = "<!-- Written by `tlkit card`, which writes over this file as long as it has this line. -->"
PICTURES = {
    "confusion.png": "True and predicted classes",
    "labels.png": "Scores of the labels",
    "predicted.png": "True and predicted values",
}
MAX_NOTICES = 20
FEW_IMAGES = 20


def format_card(record: RunRecord, pictures: Sequence[str] = ()) -> str:
    """Return the text of a model card.

    Args:
        record: What is known about the model.
        pictures: Names of files beside the card, some of `PICTURES`.

    Raises:
        RunError: The summary of the run, or the evaluation, has unexpected content.
    """
    try:
        header = ["---", *to_yaml(make_header(record)), "---"]
        blocks = [
            header,
            [MARKER],
            [f"# {escape_markdown(record.name)}"],
            [describe_model(record.spec, "The model"), *filter(None, [describe_metadata(record.spec)])],
            *_describe_use(record),
            *_describe_data(record),
            *_describe_training(record),
            *_describe_scores(record, pictures),
            *_describe_limits(record),
            *_describe_license(record),
            *_describe_provenance(record),
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{record.name}: the scores cannot be read ({describe_damage(error)}).",
            expected="summary.json and report.json as tlkit wrote them",
            fix="restore the files.",
        ) from error
    return format_page(blocks)


def _describe_use(record: RunRecord) -> list[list[str]]:
    repository = record.options.repository
    blocks = [["## Use"]]
    if repository:
        blocks.append(
            ["```", f'pip install "tlkit[hub]=={__version__}"', f"tlkit pull {repository} --out model", "```"]
        )
    blocks += describe_use(record.spec, "model" if repository else "RUN", record.spec.provenance.tlkit_version)
    where = "" if repository else "`RUN` is the folder of the run, or of the bundle in it. "
    return [
        *blocks,
        [
            f"{where}`tlkit serve` answers over HTTP. `tlkit export` writes the model for ONNX Runtime, LiteRT, OpenVINO,",
            "TensorFlow and Keras, with programs that ask it without tlkit.",
        ],
    ]


def _describe_data(record: RunRecord) -> list[list[str]]:
    manifest, recipe = record.manifest, record.recipe
    if manifest is None or recipe is None:
        return []
    columns, rows = manifest.class_table()
    named = f" of {quote_code(record.data_name)}" if record.data_name else ""
    num_skipped = len(manifest.skipped)
    skipped = f"{num_skipped:,} file{'s are' if num_skipped != 1 else ' is'} skipped"
    facts = [f"- {len(manifest.records):,} images{named} are used, {skipped}."]
    data = recipe.data
    if recipe.inputs.start_from:
        facts.append("- The run continues from another one, whose images keep their splits.")
    shares = [f"{data.validation_fraction:.0%} of the training images are held out for validation"]
    if data.test_fraction:
        shares.append(f"{data.test_fraction:.0%} of all images for the test")
    strata = ", by class" if find_task(manifest.task).is_exclusive else ""
    facts.append(
        f"- Splits that the data names are kept. Where it names none, {' and '.join(shares)}{strata}, with seed "
        f"{recipe.training.seed}."
    )
    together = "Near copies" if data.group_by == SIMILARITY else "Equal files"
    facts.append(f"- {together} share a split.")
    if data.sample < 1:
        facts.append(f"- Only {data.sample:.0%} of the images are used.")
    cells = [[escape_markdown(row[0]), *row[1:]] for row in rows]
    return [
        ["## Data"],
        facts,
        format_table(columns, cells),
        *_list_findings("Found in the data", manifest.notices, record),
    ]


def _list_findings(title: str, found: Sequence[str], record: RunRecord) -> list[list[str]]:
    """Return sentences under a title, at most `MAX_NOTICES`; nothing without any."""
    shown = [f"- {escape_markdown(record.hide_folders(text))}" for text in found[:MAX_NOTICES]]
    if len(found) > MAX_NOTICES:
        shown.append(f"- … and {len(found) - MAX_NOTICES:,} more.")
    return [[f"### {title}"], shown] if shown else []


def _describe_training(record: RunRecord) -> list[list[str]]:
    spec, provenance = record.spec, record.spec.provenance
    height, width = spec.image_size
    fits = {
        "squash": "resized without keeping its aspect ratio",
        "crop": "cropped to its central square",
        "pad": "padded to a square",
    }
    trained = {"none": "only the head is trained", "all": "all layers are trained"}
    facts = [
        f"- backbone {quote_code(spec.backbone)}, first weights: {quote_code(provenance.weights_source)}; "
        f"{trained.get(spec.unfrozen, f'{quote_code(spec.unfrozen)} and the layers above it are trained')}",
        f"- head {quote_code(spec.head.kind)}",
        f"- an image is {fits[spec.fit]}; the input is {width} × {height} pixels, RGB",
    ]
    rows = [
        (
            escape_markdown(str(each["stage"])),
            quote_code(str(each["boundary"])),
            f"{float(each['learning_rate']):.3g}",
            f"{int(each['epochs']):,}",
            f"{int(each['best_epoch']):,}",
        )
        for each in record.summary.get("validation", ())
    ]
    columns = ("stage", "boundary", "learning rate", "epochs", "best epoch")
    return [["## Training"], facts, *([format_table(columns, rows)] if rows else [])]


def _describe_scores(record: RunRecord, pictures: Sequence[str]) -> list[list[str]]:
    if not record.scores:
        return []
    spec = record.spec
    blocks = [["## Scores"]]
    for scores in record.scores:
        blocks += scores.describe(spec)
    if spec.target is not None:
        blocks.append([f"Errors are in the unit of {quote_code(spec.target.name)}."])
    blocks += [[f"![{PICTURES[name]}]({name})"] for name in pictures if not spec.has_one_class]
    if copies := record.summary.get("near_copies"):
        without = RecordedScores("those without a near copy among the training images", "", copies["without"])
        blocks += without.describe(spec)[:1] + without.describe(spec)[1:2]
    if mistakes := record.scores[0].list_mistakes():
        blocks += [["### Most frequent mistakes"], format_table(("class", "predicted as", "images"), mistakes)]
    shortcuts = [EvidencePlaces(**each).sentence for each in record.scores[0].payload.get("shortcuts", ())]
    blocks += _list_findings("Possible shortcuts", shortcuts, record)
    return blocks


def _describe_limits(record: RunRecord) -> list[list[str]]:
    spec, facts = record.spec, []
    if find_task(spec.task).is_exclusive and len(spec.class_names) > 1:
        facts.append(f"- Every image gets one of the {len(spec.class_names):,} classes, whatever it shows.")
        facts.append(f"- Probabilities are calibrated on the validation images: temperature {spec.temperature:.3g}.")
    if spec.unknown_above is not None and spec.unknown_above < NEVER:
        share = (
            f", as at most {record.recipe.training.false_alarms:.0%} of new images like the validation images do on average"
            if record.recipe
            else ""
        )
        facts.append(
            f"- An image is flagged as unknown if its distance from the training images exceeds {spec.unknown_above:.3f} of 1{share}."
        )
    elif record.summary:
        facts.append("- No image is flagged as unknown.")
    if spec.has_box:
        facts.append("- There is one box for an image, also where it shows several objects or none.")
    if find_task(spec.task).lists_objects:
        facts.append("- At most 100 objects of an image are found.")
    if find_task(spec.task).has_masks:
        rows, columns = spec.map_sizes[0]
        facts.append(
            f"- A mask is drawn from probabilities at {columns} × {rows} cells of the input; what is thinner than a cell may be missed."
        )
    if spec.fit == "crop":
        facts.append("- What lies outside the central square of an image is not seen.")
    if (
        record.manifest
        and not record.manifest.in_split("test")
        and not any(each.split != "validation" for each in record.scores)
    ):
        facts.append("- No images were held out for a test.")
    each = (
        (record.scores[0].payload.get("classes") or record.scores[0].payload.get("labels") or ())
        if record.scores
        else ()
    )
    few = [
        quote_code(str(one.get("class_name", one.get("label_name"))))
        for one in each
        if int(next(one[key] for key in ("objects", "support", "images") if key in one)) < FEW_IMAGES
    ]
    if few and len(few) <= 2 * MAX_NOTICES:
        items = "objects" if any("objects" in one for one in each) else "images"
        facts.append(f"- Scored on fewer than {FEW_IMAGES} {items}: {', '.join(few)}.")
    return [["## Limits"], facts] if facts else []


def _describe_license(record: RunRecord) -> list[list[str]]:
    source, backbone = record.spec.provenance.weights_source, record.spec.backbone
    weights_license = find_backbone(backbone).weights_license if source in ("imagenet", "bundled") else ""
    lines = [f"- model: {escape_markdown(record.options.license)}"] if record.options.license else []
    if weights_license:
        lines.append(
            f"- weights of the backbone {quote_code(backbone)} that the training began with: {weights_license}"
        )
    return [["## Licence"], lines] if lines else []


def _describe_provenance(record: RunRecord) -> list[list[str]]:
    provenance, recipe = record.spec.provenance, record.recipe
    rows = [
        ("created", provenance.created),
        ("tlkit", provenance.tlkit_version),
        ("Keras", provenance.keras_version),
        ("sha256 of bundle.json", record.sha256),
        ("sha256 of the first weights", provenance.weights_sha256),
    ]
    if recipe is not None:
        made_by = recipe.made_by
        rows += [
            ("sha256 of images, splits and targets", recipe.inputs.data_sha256 or ""),
            ("versions", made_by.versions or ""),
            ("engines of the features", made_by.engines or ""),
            ("precision of training", made_by.precision or ""),
            ("devices", "" if recipe.backbone.devices == 1 else str(as_word(recipe.backbone.devices))),
        ]
    known = [(name, quote_code(record.hide_folders(text))) for name, text in rows if text and text != "unknown"]
    return [["## Provenance"], format_table(("record", "value"), known)]
