from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.audit.findings import Finding
from tlkit.audit.moves import Move, has_class_folders, note_obstacles, propose_moves, read_moves, write_moves
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.errors import DataError

ROOT = Path("/photos").absolute()
HEAD = "path,action,from,to,sha256,reason\n"


def make_record(name: str, sha256: str, split: str = "train") -> ImageRecord:
    return ImageRecord(ROOT / "cat" / name, sha256, 9, 9, split, "cat")


def make_finding(record: ImageRecord, kind: str, score: float = 1.0, suggested: str = "") -> Finding:
    return Finding(kind, record.path, record.split, record.answer, suggested, score, evidence="Because.")


def test_only_sure_label_errors_and_surplus_copies_of_one_split_are_proposed() -> None:
    records = [
        make_record("1.png", "a"),
        make_record("2.png", "b"),
        make_record("3.png", "c"),
        make_record("4.png", "c"),
        make_record("5.png", "c", "test"),
    ]
    findings = [
        make_finding(records[0], "label", 0.95, "dog"),
        make_finding(records[1], "label", 0.85, "dog"),
        *(make_finding(record, "copy") for record in records[2:]),
        make_finding(records[1], "outlier"),
    ]
    assert propose_moves(findings, records, Manifest(ROOT, ("cat", "dog"), tuple(records))) == [
        Move("cat/1.png", "move", "cat", "dog", "a", "Because."),
        Move("cat/4.png", "remove", "cat", "", "c", "Because."),
    ]


def test_links_are_not_proposed_nor_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "2.png").touch()
    (tmp_path / "cat" / "1.png").symlink_to(tmp_path / "cat" / "2.png")
    (tmp_path / "out").symlink_to(ROOT)
    records = [
        ImageRecord(tmp_path / name, sha256, 9, 9, "train", "cat")
        for name, sha256 in (("cat/1.png", "a"), ("cat/2.png", "a"), ("out/3.png", "b"))
    ]
    findings = [make_finding(record, "copy") for record in records[:2]]
    findings += [make_finding(record, "label", 1.0, "dog") for record in (records[0], records[2])]
    findings.append(make_finding(records[0], "blurred"))
    assert propose_moves(findings, records, Manifest(tmp_path, ("cat", "dog"), tuple(records))) == []
    assert [finding.evidence for finding in note_obstacles(findings, tmp_path)] == [
        "Because. The file is a link, so `tlkit apply` cannot move it.",
        "Because.",
        "Because. The file is a link, so `tlkit apply` cannot move it.",
        "Because. The file leads out of the data folder, so `tlkit apply` cannot move it.",
        "Because.",
    ]


def test_only_files_in_folders_of_their_class_can_move() -> None:
    records = [ImageRecord(ROOT / "all" / "1.png", "a", 9, 9, "train", "cat")]
    assert not has_class_folders(records, Manifest(ROOT, ("cat", "dog"), tuple(records)))
    records = [make_record("1.png", "a")]
    assert has_class_folders(records, Manifest(ROOT, ("cat", "dog"), tuple(records)))
    assert not has_class_folders(records, Manifest(ROOT, ("cat", "dog"), tuple(records), task="multilabel"))


def test_moves_come_back_as_they_were_written(tmp_path: Path) -> None:
    moves = [Move("cat/a, \udce9.png", "move", "cat", "dog", "ab", 'It says "x".'), Move("b", "remove", "cat", "", "c")]
    write_moves(tmp_path / "moves.csv", moves)
    assert read_moves(tmp_path / "moves.csv") == moves


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "path,to\n",
            "{path} begins with 'path,to'.\n  Expected: the line path,action,from,to,sha256,reason\n"
            "  Fix: use the moves.csv of `tlkit audit`, or the one that its page saves.",
        ),
        (
            HEAD + "a,erase,cat,,ff,\n",
            "{path}, row 2: the action 'erase'.\n  Expected: move or remove\n  Fix: correct the row, or remove it.",
        ),
        (
            HEAD + "a,move,cat,,ff,\n",
            "{path}, row 2: the action move with the class ''.\n  Expected: a class in `to` for move and none for remove\n"
            "  Fix: correct the row, or remove it.",
        ),
        (HEAD + "a,move\n", "{path}, row 2: 2 cells.\n  Expected: 6 cells\n  Fix: correct the row, or remove it."),
        (
            HEAD + "a,remove,cat,,ff,\n./a,move,cat,dog,ff,\n",
            "{path}: ./a stands in two rows that differ.\n  Expected: one action per file\n"
            "  Fix: remove one of the rows.",
        ),
        (
            None,
            "{path} cannot be read (No such file or directory).\n"
            "  Expected: a moves.csv of `tlkit audit`, or the one that its page saves\n  Fix: check the path.",
        ),
    ],
)
def test_a_list_that_is_not_one_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "moves.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError) as error:
        read_moves(path)
    assert str(error.value) == message.format(path=path)


def test_rows_that_say_the_same_for_two_reasons_are_one_move(tmp_path: Path) -> None:
    path = tmp_path / "moves.csv"
    path.write_text(HEAD + "a,remove,cat,,ff,a copy\na,remove,cat,,ff,blank\n")
    assert [move.reason for move in read_moves(path)] == ["a copy"]


def test_a_spreadsheet_may_save_the_list_with_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "moves.csv"
    path.write_text("\ufeff" + HEAD.replace(",", ";") + "a,b.png;move;cat;dog;ff;\n", "utf-8")
    assert [(move.path, move.to) for move in read_moves(path)] == [("a,b.png", "dog")]
