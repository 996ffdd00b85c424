from __future__ import annotations

from pathlib import Path

from tlkit.audit.findings import Audit, ClassPair, Estimate, Finding, sort_findings, write_findings

ROOT = Path("/photos").absolute()


def make_finding(kind: str, name: str, score: float = 0.0, group: int | None = None, **others: object) -> Finding:
    return Finding(kind, ROOT / name, "train", "cat", score=score, group=group, **others)  # type: ignore[arg-type]


def test_findings_are_sorted_by_kind_then_by_score_and_groups_stay_together() -> None:
    found = [
        make_finding("copy", "a.png", 0.7, group=1),
        make_finding("copy", "b.png", 0.9, group=2),
        make_finding("copy", "c.png", 0.95, group=1),
        make_finding("label", "d.png", 0.1),
        make_finding("label", "e.png", 0.8),
    ]
    assert [finding.path.name for finding in sort_findings(found)] == ["e.png", "d.png", "c.png", "a.png", "b.png"]


def test_findings_are_written_with_paths_below_the_root(tmp_path: Path) -> None:
    elsewhere = tmp_path / "x.png"
    found = [
        make_finding("label", "cat/a, b.png", 0.75, suggested="dog", evidence="Looks like dog.", others=(elsewhere,)),
        make_finding("copy", "c.png", 1.0, group=3, others=(ROOT / "d.png", ROOT / "e.png")),
    ]
    write_findings(tmp_path / "findings.csv", found, ROOT)
    assert (tmp_path / "findings.csv").read_text("utf-8").splitlines() == [
        "kind,path,split,given,suggested,score,group,evidence,others",
        f'label,"cat/a, b.png",train,cat,dog,0.7500,,Looks like dog.,{elsewhere}',
        "copy,c.png,train,cat,,1.0000,3,,d.png|e.png",
    ]


def test_an_image_counts_once_per_kind() -> None:
    found = (make_finding("copy", "a.png", group=1), make_finding("copy", "a.png", group=2), make_finding("dark", "a"))
    audit = Audit(10, found, Estimate(2.04, 0.0, 5.5), (ClassPair("cat", "dog", 0.61234, 8),), ("A notice.",))
    assert audit.to_payload() == {
        "images": 10,
        "findings": {"copy": 1, "dark": 1},
        "wrong_labels": {"number": 2.0, "low": 0.0, "high": 5.5},
        "confusable": [{"classes": ["cat", "dog"], "accuracy": 0.6123, "images": 8}],
        "notices": ["A notice."],
    }
    assert [finding.group for finding in audit.of_kind("copy")] == [1, 2]


def test_an_estimate_says_its_interval() -> None:
    assert str(Estimate(41.6, 30.2, 1250.0)) == "about 42 (30 to 1,250)"
