"""The queue with workers that are played: they die, hang, leave and join as a test wants, in a time of their own."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from tlkit.distribution.nodes import Limits, Worker
from tlkit.distribution.pool import Done, Lost, Node, Outcome, Ready, Refused
from tlkit.distribution.queue import SetAside, WorkQueue, _Batch
from tlkit.errors import ClusterError, DataError
from tlkit.runtime import read_versions
from tlkit.waiting import find_long_wait

OWN = read_versions()
DEADLY = "killed by signal 9"


@dataclass
class Call:
    """What a played worker does: a start if it has no items."""

    worker: int
    items: Sequence[int] | None
    due: float


@dataclass
class PlayedPool:
    """Workers that answer a number with its double, one second after they got it.

    Attributes:
        names: The nodes that are there.
        poison: Numbers with which a worker dies.
        broken: Nodes on which no worker starts.
        silent: Workers that never answer.
        rows: `rows_at_a_time` of every worker.
        versions: What every worker has installed.
    """

    names: list[str]
    poison: set[int] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)
    rows: int = 1
    versions: dict[str, str] = field(default_factory=lambda: OWN)
    now: float = 0.0
    calls: dict[int, Call] = field(default_factory=dict)
    node_of: dict[int, str] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    stopped: set[int] = field(default_factory=set)
    given: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count()

    def clock(self) -> float:
        return self.now

    def list_nodes(self) -> list[Node]:
        return [Node(name, name, 1) for name in self.names]

    def start(self, node: Node) -> tuple[Hashable, Hashable]:
        worker = next(self._numbers)
        self.node_of[worker] = node.name
        return worker, self._call(worker, None)

    def submit(self, worker: Hashable, items: Sequence[int]) -> Hashable:
        assert isinstance(worker, int)
        assert worker not in self.stopped
        self.given.append((worker, tuple(items)))
        ticket = self._call(worker, items)
        self.most_at_once = max(self.most_at_once, sum(1 for call in self.calls.values() if call.worker == worker))
        return ticket

    def _call(self, worker: int, items: Sequence[int] | None) -> int:
        ticket = next(self._numbers)
        self.calls[ticket] = Call(worker, items, self.now + 1)
        return ticket

    def wait(self, tickets: Collection[Hashable], seconds: float) -> list[tuple[Hashable, Outcome]]:
        asked = {ticket: self.calls[ticket] for ticket in tickets if isinstance(ticket, int)}
        due = [call.due for call in asked.values() if self._will_answer(call)]
        self.now = max(self.now, min([self.now + seconds, *due]))
        ready = [ticket for ticket, call in asked.items() if self._will_answer(call) and call.due <= self.now]
        return [(ticket, self._answer(ticket)) for ticket in ready[:1]]

    def _will_answer(self, call: Call) -> bool:
        is_gone = self.node_of[call.worker] not in self.names
        return call.worker not in self.silent and (not is_gone or call.worker in self.dead)

    def _answer(self, ticket: int) -> Outcome:
        call = self.calls.pop(ticket)
        if call.worker in self.dead or self.node_of[call.worker] in self.broken:
            return Lost(DEADLY)
        if call.items is None:
            return Done(Ready(self.rows, self.versions))
        if self.poison & set(call.items):
            self.dead.add(call.worker)
            return Lost(DEADLY)
        return Done([2 * item for item in call.items])

    def stop(self, worker: Hashable) -> None:
        assert isinstance(worker, int)
        self.dead.add(worker)
        self.stopped.add(worker)


def make_queue(pool: PlayedPool, number: int = 100, **changes: object) -> tuple[WorkQueue[int], list[str]]:
    warnings: list[str] = []
    queue = WorkQueue(pool, range(number), warn=warnings.append, clock=pool.clock, **changes)  # type: ignore[arg-type]
    return queue, warnings


def collect(queue: WorkQueue[int]) -> dict[int, object]:
    """Return the answer of each number, and assert that there is one each."""
    answers: dict[int, object] = {}
    for part in queue.run():
        for place, (item, answer) in enumerate(zip(part.items, part.answers, strict=True)):
            assert item == part.first + place
            assert item not in answers
            answers[item] = answer
    return answers


def doubled(number: int = 100) -> dict[int, object]:
    return {item: 2 * item for item in range(number)}


def test_every_item_is_answered_once_and_every_node_has_a_worker() -> None:
    pool = PlayedPool(["one", "two", "three"])
    queue, warnings = make_queue(pool)
    assert collect(queue) == doubled()
    assert {pool.node_of[worker] for worker, _ in pool.given} == {"one", "two", "three"}
    assert set(pool.node_of) == pool.stopped, "all workers are ended"
    assert warnings == []


def test_a_worker_has_at_most_two_batches_of_eight_times_what_it_computes_at_a_time() -> None:
    pool = PlayedPool(["one"], rows=3)
    queue, _ = make_queue(pool, rows_of_item=2)
    collect(queue)
    assert pool.most_at_once == 2
    assert [len(items) for _, items in pool.given] == [12] * 8 + [4]


def test_no_items_start_no_worker() -> None:
    pool = PlayedPool(["one"])
    queue, _ = make_queue(pool, 0)
    assert collect(queue) == {}
    assert pool.node_of == {}


def test_items_are_read_only_as_workers_can_take_them() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            read.append(item)
            yield item

    pool = PlayedPool(["one"])
    queue = WorkQueue(pool, items(), clock=pool.clock)
    for part in queue.run():
        assert read[-1] <= part.first + 8 + 8 + 8


def test_what_a_killed_worker_had_is_done_again_alone_and_at_the_end() -> None:
    pool = PlayedPool(["one", "two"])
    queue, warnings = make_queue(pool)
    answers: dict[int, object] = {}
    for part in queue.run():
        answers.update(zip(part.items, part.answers, strict=True))
        if part.first == 16:
            pool.dead.add(pool.given[0][0])
    assert answers == doubled()
    twice = [items for _, items in pool.given if sum(items == other for _, other in pool.given) == 2]
    assert len(twice) == 4
    assert pool.given[-1][1] in twice
    assert pool.given[-2][1] in twice
    assert len(warnings) == 1
    assert warnings[0] == f"A worker on {pool.node_of[pool.given[0][0]]} ended ({DEADLY}); its work is done again."


def test_a_node_that_leaves_without_a_word_is_done_without_and_blames_no_batch() -> None:
    pool = PlayedPool(["one", "two"])
    queue, warnings = make_queue(pool)
    answers: dict[int, object] = {}
    for part in queue.run():
        answers.update(zip(part.items, part.answers, strict=True))
        if part.first == 8:
            pool.names.remove("two")
    assert answers == doubled()
    assert warnings == ["The node two left the cluster; its work is done elsewhere."]
    assert len({items for _, items in pool.given}) == len(pool.given) - 2


def test_a_worker_that_ends_with_its_node_blames_no_batch() -> None:
    pool = PlayedPool(["one", "two"])
    queue, _ = make_queue(pool)
    answers: dict[int, object] = {}
    for part in queue.run():
        answers.update(zip(part.items, part.answers, strict=True))
        if part.first == 8:
            pool.names.remove("two")
            pool.dead |= {worker for worker, name in pool.node_of.items() if name == "two"}
    assert answers == doubled()
    again = [
        place for place, (_, items) in enumerate(pool.given) if items in [other for _, other in pool.given[:place]]
    ]
    assert len(again) == 2
    assert again[-1] < len(pool.given) - 2, "suspects would come last"


def test_a_node_that_joins_is_used() -> None:
    pool = PlayedPool(["one"])
    queue, _ = make_queue(pool)
    for part in queue.run():
        if part.first == 16:
            pool.names.append("two")
    assert {pool.node_of[worker] for worker, _ in pool.given} == {"one", "two"}


def test_a_poisonous_item_is_found_and_set_aside_and_all_others_are_answered() -> None:
    pool = PlayedPool(["one", "two"], poison={37}, rows=2)
    queue, _ = make_queue(pool)
    answers = collect(queue)
    assert answers.pop(37) == SetAside(f"3 worker processes ended with it: {DEADLY}")
    assert answers == {item: 2 * item for item in range(100) if item != 37}
    with_poison = [items for _, items in pool.given if 37 in items]
    assert [len(items) for items in with_poison] == [16, 16, 16, 4, 1, 1, 1]


def test_a_suspect_has_its_worker_alone() -> None:
    queue, _ = make_queue(PlayedPool(["one"]))
    suspect, other = _Batch(0, [0], num_ends=1), _Batch(1, [1])
    worker = Worker("handle", Node("one", "one", 1), "start", 0.0, rows_at_a_time=1, tickets=["ticket"])
    queue._flying["ticket"] = worker, suspect
    queue._returned.append(other)
    assert queue._take(worker) is None
    suspect.num_ends = 0
    assert queue._take(worker) is other


def test_two_poisonous_items_in_one_batch_are_both_found() -> None:
    pool = PlayedPool(["one"], poison={3, 4}, rows=4)
    queue, _ = make_queue(pool)
    answers = collect(queue)
    assert {item for item, answer in answers.items() if isinstance(answer, SetAside)} == {3, 4}
    assert len(answers) == 100


def test_too_many_poisonous_items_end_the_work() -> None:
    pool = PlayedPool(["one"], poison=set(range(100)))
    queue, _ = make_queue(pool, limits=Limits(max_set_aside=1))
    with pytest.raises(ClusterError) as refusal:
        collect(queue)
    assert str(refusal.value) == (
        f"2 files have ended 3 worker processes each. The last end: {DEADLY}.\n"
        "  Expected: workers that end seldom, such as at one damaged file in thousands\n"
        "  Fix: give the nodes more memory, or leave out --ray to see the cause in one process. What is computed is kept."
    )
    assert set(pool.node_of) == pool.stopped


def test_answers_can_be_had_in_order_with_a_bounded_number_held_back() -> None:
    pool = PlayedPool(["one", "two", "three"], poison={5})
    queue, _ = make_queue(pool, max_ahead=40)
    answers = list(queue.run_in_order())
    assert [item for item, _ in answers] == list(range(100))
    assert isinstance(answers[5][1], SetAside)
    assert [answer for item, answer in answers if item != 5] == [2 * item for item in range(100) if item != 5]
    begun: list[int] = []
    for _, items in pool.given:
        begun.extend(items)
        if 5 in items and len(items) == 1:
            assert max(begun) < 40 + 8, "items far behind the first unanswered one have been begun"
            break


def test_a_worker_that_never_answers_is_given_up() -> None:
    pool = PlayedPool(["one", "two"])
    pool.silent = {0}
    queue, _ = make_queue(pool, limits=Limits(seconds_to_start=50, seconds_to_answer=30))
    assert collect(queue) == doubled()
    assert pool.now < 100


class Hanging(PlayedPool):
    """Workers that answer no more once they got the third batch of all, or a later one."""

    most_hanging = 1

    def submit(self, worker: Hashable, items: Sequence[int]) -> Hashable:
        assert isinstance(worker, int)
        if len(self.given) >= 2 and len(self.silent) < self.most_hanging:
            self.silent.add(worker)
        return super().submit(worker, items)


def test_a_worker_that_hangs_beside_others_is_given_up_soon() -> None:
    pool = Hanging(["one", "two"])
    queue, warnings = make_queue(pool, limits=Limits(seconds_to_answer=5000, seconds_to_answer_beside_others=40))
    assert collect(queue) == doubled()
    assert len(warnings) == 1
    assert warnings[0].endswith("ended (it does not answer); its work is done again.")
    assert 40 < pool.now < 80


def test_where_all_workers_hang_as_on_a_disk_they_are_given_long() -> None:
    pool = Hanging(["one", "two"])
    pool.most_hanging = 2
    queue, warnings = make_queue(pool, limits=Limits(seconds_to_answer=500, seconds_to_answer_beside_others=40))
    assert collect(queue) == doubled()
    assert len(warnings) == 2
    assert pool.now > 500


def test_a_long_silence_is_a_wait_that_the_command_can_tell() -> None:
    waits = []

    class Watched(Hanging):
        def wait(self, tickets: Collection[Hashable], seconds: float) -> list[tuple[Hashable, Outcome]]:
            found = find_long_wait(0)
            waits.append(found and found[0])
            return super().wait(tickets, seconds)

    queue, _ = make_queue(Watched(["one"]), limits=Limits(seconds_to_answer=20))
    collect(queue)
    assert set(waits) == {None, "the cluster's answers"}
    assert waits.count("the cluster's answers") > 5
    assert waits[-1] is None
    assert find_long_wait(0) is None


def test_a_node_on_which_no_worker_starts_is_left_out() -> None:
    pool = PlayedPool(["one", "two"], broken={"two"})
    queue, warnings = make_queue(pool, 400)
    assert collect(queue) == doubled(400)
    assert [pool.node_of[worker] for worker, _ in pool.given if pool.node_of[worker] == "two"] == []
    assert sum(1 for name in pool.node_of.values() if name == "two") == 3
    assert warnings == [f"No worker starts on two, which is left out: {DEADLY}."]


def test_without_any_worker_the_work_is_given_up_soon() -> None:
    pool = PlayedPool(["one"], broken={"one"})
    queue, _ = make_queue(pool)
    with pytest.raises(ClusterError) as refusal:
        collect(queue)
    assert str(refusal.value) == (
        f"The cluster has no worker: one: {DEADLY}.\n"
        "  Expected: at least one node on which a worker starts, with tlkit installed as on this machine\n"
        "  Fix: look at the nodes with `ray status`, and start the same command again: what is computed is kept."
    )
    assert pool.now < 60


def test_when_all_nodes_have_left_the_work_is_given_up_after_a_bounded_time() -> None:
    pool = PlayedPool(["one"])
    queue, _ = make_queue(pool, limits=Limits(seconds_without_worker=40))
    running = queue.run()
    next(running)
    pool.names.clear()
    with pytest.raises(ClusterError, match=r"^The cluster has no worker: one left\."):
        list(running)
    assert 40 < pool.now < 60


def test_a_node_that_comes_back_in_time_goes_on() -> None:
    pool = PlayedPool(["one"])
    queue, _ = make_queue(pool, limits=Limits(seconds_without_worker=40))
    answers: dict[int, object] = {}
    looks = 0

    def list_nodes() -> list[Node]:
        nonlocal looks
        looks += 1
        if looks == 3:
            pool.names.clear()
        if looks == 8:
            pool.names.append("two")
        return [Node(name, name, 1) for name in pool.names]

    pool.list_nodes = list_nodes  # type: ignore[method-assign]
    for part in queue.run():
        answers.update(zip(part.items, part.answers, strict=True))
    assert answers == doubled()


def test_what_a_worker_refuses_is_raised_and_all_workers_are_ended() -> None:
    class Refusing(PlayedPool):
        def _answer(self, ticket: int) -> Outcome:
            is_start = self.calls[ticket].items is None
            found = super()._answer(ticket)
            return found if is_start else Refused(DataError("no.", expected="yes", fix="say yes."))

    pool = Refusing(["one", "two"])
    queue, _ = make_queue(pool)
    with pytest.raises(DataError, match=r"^no\."):
        collect(queue)
    assert set(pool.node_of) == pool.stopped


def test_closing_the_answers_ends_all_workers() -> None:
    pool = PlayedPool(["one", "two"])
    queue, _ = make_queue(pool)
    running = queue.run()
    next(running)
    running.close()
    assert set(pool.node_of) == pool.stopped


def test_another_tlkit_on_a_node_is_refused_and_another_library_is_named() -> None:
    queue, _ = make_queue(PlayedPool(["one"], versions={**OWN, "tlkit": "0.0.1"}))
    with pytest.raises(ClusterError) as refusal:
        collect(queue)
    assert str(refusal.value) == (
        f"one has tlkit 0.0.1; this machine has {OWN['tlkit']}.\n"
        "  Expected: the same tlkit on all nodes\n"
        f"  Fix: install tlkit {OWN['tlkit']} on one."
    )
    queue, warnings = make_queue(PlayedPool(["one"], versions={**OWN, "pillow": "1.0"}))
    collect(queue)
    assert warnings == [f"one has pillow 1.0 (here {OWN['pillow']}): its numbers may differ in the last digits."]


def test_the_number_of_workers_is_told() -> None:
    pool = PlayedPool(["one", "two"])
    queue, _ = make_queue(pool)
    told = set()
    for _ in queue.run():
        told.add(queue.nodes.describe())
    assert told == {"2 workers"}
