from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence

import pytest

from tlkit import runtime
from tlkit.distribution.pool import Compute, Ready
from tlkit.distribution.worker import Refusal, Worker
from tlkit.errors import BackboneError, DataError
from tlkit.runtime import count_processors, find_processor_limit, read_versions


@pytest.fixture(autouse=True)
def own_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    yield
    runtime._limits.clear()


class Doubling:
    rows_of_item = 1

    def open(self) -> tuple[Compute, int]:
        def compute(items: Sequence[int]) -> list[int]:
            if -1 in items:
                raise DataError("-1.", expected="a number of 0 or more", fix="leave it out.")
            return [2 * item for item in items]

        return compute, 8


class Refusing:
    rows_of_item = 1

    def open(self) -> tuple[Compute, int]:
        raise BackboneError("no engine.", expected="an engine", fix="install one.")


def test_a_worker_opens_its_job_within_its_processors_and_answers() -> None:
    assert find_processor_limit() is None
    worker = Worker(Doubling(), 3)
    assert worker.open() == Ready(8, read_versions())
    assert worker.answer([1, 2]) == [2, 4]
    assert (find_processor_limit(), count_processors()) == (3, 3)
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == os.environ["OMP_NUM_THREADS"] == "3"


def test_what_the_user_can_solve_comes_back_as_data() -> None:
    refusal = pickle.loads(pickle.dumps(Worker(Refusing(), 1).open()))
    assert isinstance(refusal, Refusal)
    assert isinstance(refusal.to_error(), BackboneError)
    assert str(refusal.to_error()) == "no engine.\n  Expected: an engine\n  Fix: install one."
    worker = Worker(Doubling(), 1)
    worker.open()
    assert worker.answer([-1]) == Refusal(DataError, "-1.", "a number of 0 or more", "leave it out.")


def test_a_worker_that_is_not_open_does_not_answer() -> None:
    with pytest.raises(RuntimeError, match=r"^Expected a worker whose job is open\.$"):
        Worker(Doubling(), 1).answer([1])
