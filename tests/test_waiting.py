from __future__ import annotations

import threading

import pytest

from tlkit.waiting import find_long_wait, waiting_for


def test_a_wait_is_known_while_it_lasts() -> None:
    with waiting_for("the disk"):
        assert find_long_wait(0)[0] == "the disk"  # type: ignore[index]
        assert find_long_wait(60) is None
        with waiting_for("an image"):
            assert find_long_wait(0)[0] == "an image"  # type: ignore[index]
        assert find_long_wait(0)[0] == "the disk"  # type: ignore[index]
    assert find_long_wait(0) is None


def test_a_wait_that_fails_is_over() -> None:
    with pytest.raises(ZeroDivisionError), waiting_for("the disk"):
        raise ZeroDivisionError
    assert find_long_wait(0) is None


def test_waits_of_several_threads_end_on_their_own() -> None:
    may_end = threading.Event()
    waits = threading.Event()

    def wait() -> None:
        with waiting_for("the disk"):
            waits.set()
            may_end.wait(10)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(10)
    with waiting_for("the disk"):
        may_end.set()
        thread.join(10)
        assert find_long_wait(0) is not None
    assert find_long_wait(0) is None
