from __future__ import annotations

import pytest

from tlkit.places import retries
from tlkit.places.retries import MAX_TRIES, PassingError, pause_before, try_again


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("tlkit.places.retries.time.sleep", waited.append)
    return waited


def test_a_request_is_tried_again_until_it_succeeds(pauses: list[float]) -> None:
    failures = [PassingError("busy"), PassingError("busy")]

    def request() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    assert try_again(request) == "answer"
    assert len(pauses) == 2


def test_tries_and_pauses_are_bounded(pauses: list[float]) -> None:
    tries = []

    def request() -> None:
        tries.append(1)
        raise PassingError("busy")

    with pytest.raises(PassingError, match="busy"):
        try_again(request)
    assert len(tries) == MAX_TRIES
    assert len(pauses) == MAX_TRIES - 1
    assert sum(pauses) < 30


def test_a_cancelled_request_is_not_tried_again(pauses: list[float]) -> None:
    def request() -> None:
        raise PassingError("busy")

    with pytest.raises(PassingError):
        try_again(request, is_cancelled=lambda: True)
    assert pauses == []


def test_pauses_grow_up_to_a_limit() -> None:
    for attempt in range(1, 20):
        longest = min(retries.FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), retries.LONGEST_PAUSE_SECONDS)
        assert longest / 2 <= pause_before(attempt) <= longest
