"""Sides take turns."""

from __future__ import annotations

from benchmarks.side_by_side.pairs import Side, take_turns


def test_the_side_that_starts_alternates() -> None:
    order: list[str] = []

    def run(name: str) -> int:
        order.append(name)
        return len(order)

    outcomes = take_turns([Side("a", lambda: run("a")), Side("b", lambda: run("b"))], 3, lambda side, outcome: None)
    assert "".join(order) == "abbaab"
    assert outcomes == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_a_side_may_take_part_in_the_first_rounds_only() -> None:
    reported: list[tuple[str, int]] = []
    sides = [Side("a", lambda: 1), Side("b", lambda: 2, most_rounds=1)]
    outcomes = take_turns(sides, 3, lambda side, outcome: reported.append((side, outcome)))
    assert outcomes == {"a": [1, 1, 1], "b": [2]}
    assert reported == [("a", 1), ("b", 2), ("a", 1), ("a", 1)]
