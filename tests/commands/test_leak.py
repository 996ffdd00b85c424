"""What metadata give away, on small drawn pictures: the width of the file tells the class, or nothing does."""

from __future__ import annotations

import contextlib
import csv
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tlkit.commands.finetune import run_finetune
from tlkit.commands.leak import run_leak
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import ImageRecord, Manifest, read_manifest
from tlkit.data.records import describe_record
from tlkit.errors import DataError, RunError, SettingError
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.probes import images, leak_warning
from tlkit.probes.leak_warning import warn_of_leaks
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage
from tlkit.reports.console import Console

SMALLEST = BackboneSettings(name="mnist_cnn", weights="random", image_size=32)
QUIET = Console(verbosity=-1)
NUM_IMAGES = 72
FACTS_THAT_KNOW_THE_WIDTH = ["image-width", "image-aspect", "image-shape"]


@dataclass(frozen=True)
class Outcome:
    """What a run returned, and what it wrote to standard output and standard error."""

    payload: dict[str, Any]
    stdout: str
    stderr: str


def judge(
    data: Path, out: Path | None = None, *, group_by: str = "", console: Console = QUIET, **data_settings: Any
) -> Outcome:
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        payload = run_leak(
            data,
            data_settings=DataSettings(**data_settings),
            backbone_settings=SMALLEST,
            group_by=group_by,
            seed=0,
            out=out or data.with_name("metadata.png"),
            console=console,
        )
    return Outcome(payload, stdout.getvalue(), stderr.getvalue())


def verdicts(outcome: Outcome) -> dict[str, str]:
    return {column["name"]: column["verdict"] for column in outcome.payload["columns"]}


def leaking(outcome: Outcome) -> set[str]:
    return {name for name, verdict in verdicts(outcome).items() if verdict == "leaks"}


def draw(path: Path, width: int, rng: np.random.Generator) -> None:
    """Draw a flat picture of any colour in a file of any size, so that nothing but its width can tell anything."""
    note = PngInfo()
    note.add_text("note", "x" * int(rng.integers(3000)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, 40), tuple(map(int, rng.integers(0, 256, 3)))).save(path, pnginfo=note)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture(scope="module")
def catches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures that are wide for one class; a column copies the class, others know nothing.

    Its first column has no name, as that of a data frame. In the test split, widths tell nothing.
    """
    root = tmp_path_factory.mktemp("catches")
    rng = np.random.default_rng(1)
    rows = []
    for number in range(NUM_IMAGES + 16):
        split = "test" if number >= NUM_IMAGES else "val" if number % 4 == 0 else "train"
        is_eel = bool(rng.integers(2))
        draw(root / f"{number:02}.png", 50 if (is_eel if split != "test" else number % 2) else 40, rng)
        name = "eel" if is_eel else "carp"
        boat = ("Heron", "Otter", "Stork", "")[int(rng.integers(4))]
        rows.append(
            (number, f"{number:02}.png", name, split, name.upper(), boat, int(rng.integers(24)), "sea", 1, 2, 3, 4)
        )
    columns = ("", "path", "label", "split", "kind", "boat", "hour", "water", "xmin", "ymin", "xmax", "ymax")
    return write_table(root / "catches.csv", columns, rows)


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of flat pictures of two classes about which nothing tells anything."""
    root = tmp_path_factory.mktemp("flat") / "photos"
    rng = np.random.default_rng(2)
    for number in range(64):
        draw(root / ("carp", "eel")[number % 2] / f"{number:02}.png", int(rng.choice([40, 50])), rng)
    return root


@pytest.fixture(scope="module")
def judged(catches: Path) -> Outcome:
    """The verdicts on the table, with boats held out, told with every detail."""
    return judge(catches, group_by="boat", console=Console(verbosity=1))


def test_a_copy_of_the_label_leaks_and_the_facts_that_tell_the_class_are_the_same_fact(judged: Outcome) -> None:
    assert leaking(judged) == {"kind", "image-size"}
    assert judged.payload["columns"][0]["same_as"] == tuple(FACTS_THAT_KNOW_THE_WIDTH)
    assert "The same fact under 4 names: kind, image-width, image-aspect, image-shape.\n" in judged.stdout
    assert verdicts(judged)["image-bytes"] == verdicts(judged)["hour"] == "harmless"


def test_a_verdict_stands_in_the_table_and_is_not_said_again(judged: Outcome) -> None:
    lines = [line for line in (judged.stdout + judged.stderr).splitlines() if "leak" in line]
    assert [line.split()[0] for line in lines] == ["kind", "image-size", "leaks:"]  # and what the word means


def test_columns_of_boxes_without_a_name_and_of_one_value_are_left_out(judged: Outcome) -> None:
    assert list(verdicts(judged)) == ["kind", "boat", "hour", "image-bytes", "image-size"]
    one_value = ("water", "image-height", "image-format", "image-mode", "image-camera")
    assert judged.payload["left_out"] == {"one_value": one_value, "all_different": ()}
    assert f"Skipped, because they have only one value: {', '.join(one_value)}.\n" in judged.stdout
    assert "catches.csv: 1 column has no name; not used.\n" in judged.stdout


def test_images_of_the_test_split_take_no_part(judged: Outcome) -> None:
    assert judged.payload["num_images"] == NUM_IMAGES
    assert f"{NUM_IMAGES} of {NUM_IMAGES + 16} images (without the test split), 12 columns.\n" in judged.stdout


def test_groups_are_held_out_whole(judged: Outcome) -> None:
    (boats,) = judged.payload["groups"]
    assert boats["name"] == "boat"
    assert {group["name"] for group in boats["scores"]} == {"Heron", "Otter", "Stork", "(missing)"}
    assert sum(group["num_images"] for group in boats["scores"]) == NUM_IMAGES
    assert "Held-out groups: boat" in judged.stdout
    assert boats["sentence"] in judged.stdout


def test_the_picture_is_where_it_was_asked_for(judged: Outcome, catches: Path) -> None:
    picture = catches.with_name("metadata.png")
    assert judged.payload["picture"] == picture
    assert f"Picture: {picture}\n" in judged.stdout
    with Image.open(picture) as opened:
        assert opened.format == "PNG"


def test_metadata_names_the_columns_that_are_judged_and_the_groups_join_them(catches: Path) -> None:
    outcome = judge(catches, metadata="hour:category,image-bytes", group_by="boat")
    assert verdicts(outcome).keys() == {"hour", "image-bytes", "boat"}
    assert leaking(outcome) == set()
    assert (outcome.stdout, outcome.stderr) == ("", "")


def test_nothing_leaks_where_nothing_tells_the_class(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = judge(flat, console=Console(verbosity=1))
    assert leaking(outcome) == set()
    assert "leak" not in (str(outcome.payload) + outcome.stdout + outcome.stderr).lower()
    assert outcome.payload["num_images"] == 64

    monkeypatch.setattr(images, "MAX_IMAGES", 20)
    sampled = judge(flat, console=Console())
    assert sampled.payload["num_images"] == 20
    assert "20 of 64 images, 8 columns." in sampled.stdout


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_column_that_knows_the_value_leaks(catches: Path, scale: str) -> None:
    with catches.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(3, 1, len(rows)))
    priced = [
        (row["path"], f"{value:.3f}", f"{np.log(value):.3f}", row["hour"])
        for row, value in zip(rows, values, strict=True)
    ]
    table = write_table(catches.with_name("priced.csv"), ("path", "price", "weight", "hour"), priced)
    outcome = judge(table, task="regression", target="price", target_scale=scale, metadata="weight,hour")
    assert leaking(outcome) == {"weight"}
    alone = {column["name"]: column["alone"]["value"] for column in outcome.payload["columns"]}
    assert alone["weight"] > (0.99 if scale == "log" else 0.6)


def test_a_column_that_knows_the_labels_leaks(catches: Path) -> None:
    with catches.open(newline="") as file:
        rows = list(csv.DictReader(file))
    labelled = [
        (row["path"], "|".join({"carp": [], "eel": ["long", "grey"]}[row["label"]]), row["hour"], row["kind"])
        for row in rows
    ]
    table = write_table(catches.with_name("labelled.csv"), ("path", "labels", "hour", "kind"), labelled)
    outcome = judge(table, task="multilabel", label_column="labels", metadata="hour,kind,image-height")
    assert leaking(outcome) == {"kind"}
    assert outcome.payload["task"] == "multilabel"


def message_of(action: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises((DataError, RunError, SettingError)) as problem:
        action(*args, **kwargs)
    return str(problem.value)


COLUMNS = ", ".join(["kind", "boat", "hour", "water", *IMAGE_FACTS])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"group_by": "boot"},
            f"--group-by boot: no such column.\n  Expected: one of {COLUMNS}\n  Fix: did you mean 'boat'?",
        ),
        (
            {"group_by": "boot", "metadata": "hour"},
            f"--group-by boot: no such column.\n  Expected: one of {COLUMNS}\n  Fix: did you mean 'boat'?",
        ),
        (
            {"group_by": "image-size", "metadata": "hour"},
            f"--group-by image-size: no such column.\n  Expected: one of {COLUMNS}\n  Fix: did you mean 'image-shape'?",
        ),
        (
            {"group_by": "water", "metadata": "image-height"},
            "--group-by water: all images are in one group, 'sea'.\n"
            "  Expected: a column with two or more values\n"
            "  Fix: use another column.",
        ),
        (
            {"target": "hour"},
            "settings: target = hour has no effect: the task is classification.\n"
            "  Expected: only settings that this run uses\n"
            "  Fix: remove it, or set task = regression.",
        ),
        (
            {"task": "regression"},
            "settings: task is regression, but there is no target.\n"
            "  Expected: the name of a table column\n"
            "  Fix: add --target COLUMN.",
        ),
        (
            {"task": "regression", "target": "hour", "target_scale": "log", "metadata": "boat"},
            "target_scale is log, but the lowest hour is 0.\n"
            "  Expected: values above 0 for a logarithmic scale\n"
            "  Fix: remove --target-scale.",
        ),
    ],
)
def test_a_setting_that_does_not_fit_the_table_is_refused(
    catches: Path, settings: dict[str, Any], message: str
) -> None:
    out = catches.with_name("refused.png")
    assert message_of(judge, catches, out, **settings) == message
    assert not out.exists()


def test_groups_that_share_all_their_images_are_refused(flat: Path) -> None:
    paths = sorted(flat.rglob("*.png"))[::4]
    rows = [(path, path.parent.name, who, number) for who in ("Ada", "Bob") for number, path in enumerate(paths)]
    table = write_table(flat.parent / "twice.csv", ("path", "label", "annotator", "number"), rows)
    assert message_of(judge, table, metadata="image-height", group_by="annotator") == (
        "--group-by annotator: the groups share their images, so none remain for training.\n"
        "  Expected: groups with images of their own\n"
        "  Fix: use another column."
    )


def test_a_folder_has_no_columns_but_facts_to_group_by(flat: Path) -> None:
    assert message_of(judge, flat, group_by="boat") == (
        f"--group-by boat: no such column.\n  Expected: one of {', '.join(IMAGE_FACTS)}\n  Fix: choose one of these."
    )


def test_data_that_are_not_there_are_named_before_anything_else(tmp_path: Path) -> None:
    assert message_of(judge, tmp_path / "none.csv", group_by="boat") == (
        f"{tmp_path}/none.csv: no such file or folder.\n"
        "  Expected: a folder of class folders, or a table (.csv, .tsv, .parquet)\n"
        "  Fix: check the path."
    )


def test_a_picture_is_written_over_nothing_that_is_the_users(catches: Path, flat: Path) -> None:
    before = catches.read_bytes()
    assert message_of(judge, catches, catches) == (
        f"--out {catches} is not a PNG file.\n"
        "  Expected: a file that ends in .png\n"
        f"  Fix: --out {catches.with_suffix('.png')}"
    )
    assert message_of(judge, catches, catches.parent) == (
        f"--out {catches.parent} is a folder.\n"
        "  Expected: a file that ends in .png\n"
        f"  Fix: --out {catches.parent / 'picture.png'}"
    )
    inside = flat / "eel" / "01.png"
    assert message_of(judge, flat, inside) == (
        f"--out {inside} is inside the data folder {flat}.\n"
        "  Expected: a path outside the data, which tlkit never writes to\n"
        "  Fix: use --out ../01.png, or another path."
    )
    assert catches.read_bytes() == before


# The warning before a training


def read(data: Path, **settings: Any) -> Manifest:
    return read_dataset(data, DataSettings(**settings), seed=0, index=FileIndex(data.parent / "index"))


def warn(manifest: Manifest, **settings: Any) -> str:
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        warn_of_leaks(manifest, DataSettings(**settings), seed=0, console=Console(verbosity=-1))
    return stderr.getvalue()


def test_a_training_warns_in_one_line_of_the_size_and_of_columns_that_it_learns_from(catches: Path) -> None:
    warning = warn(read(catches))
    assert warning.count("\n") == 1
    assert warning.startswith(
        "Warning: image-width (also image-aspect, image-shape) leaks: it alone explains 1.00 (1.00 to 1.00) of the "
        "class, "
    )
    assert warning.endswith(". Run `tlkit leak` for details.\n")
    learnt = {"metadata": "hour,kind,image-height"}
    assert warn(read(catches, **learnt), **learnt).startswith(
        "Warning: kind (also image-width, image-aspect, image-shape) leaks: "
    )


def test_a_training_looks_at_no_images_of_the_test_split(catches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Path] = []

    def describe(record: ImageRecord) -> dict[str, str]:
        looked_at.append(record.path)
        return describe_record(record)

    monkeypatch.setattr(leak_warning, "describe_record", describe)
    manifest = read(catches)
    warn(manifest)
    assert set(looked_at) == {record.path for record in manifest.records if record.split != "test"}
    looked_at.clear()
    monkeypatch.setattr(leak_warning, "MAX_IMAGES", 30)
    warn(manifest)
    assert 28 <= len(looked_at) <= 32


@pytest.mark.parametrize(("num_images", "is_told"), [(20, True), (19, False)])
def test_a_training_on_few_images_does_not_look(catches: Path, num_images: int, is_told: bool) -> None:
    manifest = read(catches)
    records = [record for record in manifest.records if record.split == "train"][:num_images]
    few = Manifest(manifest.root, manifest.class_names, tuple(records))
    assert (" leaks: " in warn(few)) is is_told


def finetune(data: Path, out: Path) -> None:
    stage = Stage(epochs=1, lr=1e-3, batch_size=16)
    recipe = Recipe(backbone=SMALLEST, head=HeadSettings(kind="linear"), stages=(stage,))
    run_finetune(recipe, data, out, console=Console(verbosity=-1))


@pytest.mark.usefixtures("untraced")
def test_a_run_warns_once_where_the_file_tells_the_class_and_is_silent_otherwise(
    catches: Path, flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finetune(catches, tmp_path / "catches")
    outcome = capsys.readouterr()
    assert (outcome.out, outcome.err) == ("", warn(read(catches)))
    assert outcome.err.count("\n") == 1
    notice = read_manifest(tmp_path / "catches").notices[-1]
    assert outcome.err == f"Warning: {notice} Run `tlkit leak` for details.\n"
    assert html.escape(notice) in (tmp_path / "catches" / "report.html").read_text("utf-8")
    finetune(flat, tmp_path / "flat")
    assert capsys.readouterr() == ("", "")
