"""How hard a run works on a target, and how long an item waits for it. No test waits in earnest: time is an argument."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from archive_tasks.errors import IntegrityError, Interrupted, StoreBusy, StoreUnusable
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import LONGEST_WAIT, Patience


class FakeTime:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Target:
    """Answers with each of the given faults once, then with `ok`; counts how often it was asked."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self._faults:
            raise self._faults.pop(0)
        return "ok"


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def pace_in(fake: FakeTime, *, concurrency: int = 8, bandwidth: int = 0, memory: int = 100) -> Pace:
    return Pace(concurrency=concurrency, bandwidth=bandwidth, memory=memory, monotonic=fake.monotonic, sleep=fake.sleep)


def patience_in(
    fake: FakeTime,
    *,
    pace: Pace | None = None,
    seconds: float = 900,
    jitter: Callable[[], float] = lambda: 1.0,
    on_retry: Callable[[str, float], None] = lambda _problem, _seconds: None,
) -> Patience:
    return Patience(
        pace=pace or pace_in(fake),
        seconds=seconds,
        monotonic=fake.monotonic,
        sleep=fake.sleep,
        random=jitter,
        on_retry=on_retry,
    )


def until(is_true: Callable[[], bool]) -> None:
    """Wait for another thread to get somewhere; a test that waits for ever fails."""
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.0005)


def waiting(pace: Pace) -> int:
    return len(pace._memory._queue) + len(pace._slots._queue)


# -- requests ----------------------------------------------------------------------------------------


def test_all_the_allowed_requests_are_under_way_at_once_and_no_more(threads: ThreadPoolExecutor) -> None:
    pace = Pace(concurrency=3, memory=1)
    under_way, most, lock = 0, 0, threading.Lock()
    three_met = threading.Barrier(3)

    def request(_: int) -> None:
        nonlocal under_way, most
        with pace.request():
            with lock:
                under_way += 1
                most = max(most, under_way)
            three_met.wait(timeout=10)
            with lock:
                under_way -= 1

    list(threads.map(request, range(30)))
    assert most == 3


def test_a_request_that_fails_leaves_its_turn_to_the_next() -> None:
    pace = Pace(concurrency=1, memory=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="boom"), pace.request():
            raise ValueError("boom")
    with pace.request():
        pass


def test_a_store_that_asks_for_less_gets_half_once_a_second_and_never_nothing(fake: FakeTime) -> None:
    pace = pace_in(fake, concurrency=8)
    seen = []
    for _ in range(5):
        for _ in range(8):  # eight threads are told the same within the same second
            pace.slow_down()
        seen.append(pace.limit)
        fake.now += 1
    assert seen == [4, 2, 1, 1, 1]


def test_a_smaller_limit_holds_requests_back(fake: FakeTime, threads: ThreadPoolExecutor) -> None:
    pace = pace_in(fake, concurrency=2)
    pace.slow_down()
    second = threading.Event()

    def request() -> None:
        with pace.request():
            second.set()

    with pace.request():
        later = threads.submit(request)
        until(lambda: waiting(pace) == 1)
        assert not second.is_set()
    later.result(timeout=10)


def test_successes_bring_the_limit_back_step_by_step_and_let_in_who_waits(
    fake: FakeTime, threads: ThreadPoolExecutor
) -> None:
    pace = pace_in(fake, concurrency=2)
    pace.slow_down()
    with pace.request():
        later = threads.submit(lambda: pace.request().__enter__())
        until(lambda: waiting(pace) == 1)
        pace.succeeded()
        later.result(timeout=10)
    assert pace.limit == 2


def test_the_limit_grows_by_about_one_for_each_limits_worth_of_successes(fake: FakeTime) -> None:
    pace = pace_in(fake, concurrency=64)
    pace.slow_down()
    for _ in range(32):
        pace.succeeded()
    assert 32 <= pace.limit <= 33
    for _ in range(5000):
        pace.succeeded()
    assert pace.limit == 64


def test_bytes_leave_no_faster_than_allowed(fake: FakeTime) -> None:
    pace = pace_in(fake, bandwidth=100)
    began = fake.now
    for _ in range(11):
        with pace.request(200):
            pass
    assert fake.now - began == pytest.approx(20)


def test_bandwidth_that_was_not_used_is_not_saved_up(fake: FakeTime) -> None:
    pace = pace_in(fake, bandwidth=100)
    fake.now += 3600
    began = fake.now
    for _ in range(3):
        with pace.request(200):
            pass
    assert fake.now - began == pytest.approx(4)


def test_requests_that_send_nothing_do_not_wait_for_bandwidth(fake: FakeTime) -> None:
    pace = pace_in(fake, bandwidth=1)
    with pace.request(1_000_000):
        pass
    with pace.request():
        pass
    assert fake.slept == []


def test_what_waits_for_bandwidth_keeps_no_turn_from_others(threads: ThreadPoolExecutor) -> None:
    in_line = threading.Event()
    line_is_free = threading.Event()

    def sleep(_seconds: float) -> None:
        in_line.set()
        line_is_free.wait(timeout=10)

    pace = Pace(concurrency=1, bandwidth=1, memory=1, sleep=sleep)
    with pace.request(100):
        pass

    def send() -> None:
        with pace.request(100):
            pass

    transfer = threads.submit(send)
    assert in_line.wait(timeout=10)
    with pace.request():
        assert not transfer.done()
    line_is_free.set()
    transfer.result(timeout=10)


# -- memory ------------------------------------------------------------------------------------------


def test_memory_is_never_overdrawn_and_nobody_waits_for_ever(threads: ThreadPoolExecutor) -> None:
    pace = Pace(concurrency=1, memory=100)
    held: list[int] = []
    overdrawn: list[list[int]] = []
    lock = threading.Lock()

    def work(seed: int) -> None:
        sizes = random.Random(seed)
        for _ in range(100):
            size = sizes.choice([1, 10, 40, 60, 100, 250])
            with pace.hold(size):
                with lock:
                    held.append(size)
                    if sum(held) > 100 and len(held) > 1:
                        overdrawn.append(list(held))
                time.sleep(0)
                with lock:
                    held.remove(size)

    for one in [threads.submit(work, seed) for seed in range(16)]:
        one.result(timeout=60)
    assert overdrawn == []
    pace.take(100)  # everything was given back


def test_something_larger_than_the_memory_is_let_through_alone(threads: ThreadPoolExecutor) -> None:
    pace = Pace(concurrency=1, memory=100)
    pace.take(1)
    huge = threads.submit(pace.take, 1000)
    until(lambda: waiting(pace) == 1)
    pace.give_back(1)
    huge.result(timeout=10)
    small = threads.submit(pace.take, 1)
    until(lambda: waiting(pace) == 1)
    pace.give_back(1000)
    small.result(timeout=10)


def test_a_large_request_is_not_overtaken_by_small_ones(threads: ThreadPoolExecutor) -> None:
    pace = Pace(concurrency=1, memory=100)
    pace.take(60)
    large = threads.submit(pace.take, 90)
    until(lambda: waiting(pace) == 1)
    small = threads.submit(pace.take, 20)  # 20 would fit beside the 60
    until(lambda: waiting(pace) == 2)
    pace.give_back(60)  # by another thread than large's
    large.result(timeout=10)
    assert not small.done()
    pace.give_back(90)
    small.result(timeout=10)


def test_memory_is_given_back_when_the_work_fails() -> None:
    pace = Pace(concurrency=1, memory=10)
    for _ in range(3):
        with pytest.raises(ValueError, match="boom"), pace.hold(10):
            raise ValueError("boom")
    pace.take(10)


# -- stopping ----------------------------------------------------------------------------------------


def test_stopping_wakes_everyone_who_waits(threads: ThreadPoolExecutor) -> None:
    pace = Pace(concurrency=1, bandwidth=1, memory=1)
    pace.take(1)
    with pace.request(3600):
        waiters: list[Future[object]] = [
            threads.submit(pace.take, 1),
            threads.submit(lambda: pace.request().__enter__()),
            threads.submit(lambda: pace.request(1).__enter__()),
            threads.submit(pace.sleep, 3600),
        ]
        until(lambda: waiting(pace) == 2)
        pace.stop()
        for waiter in waiters:
            with pytest.raises(Interrupted):
                waiter.result(timeout=10)
    assert pace.stopped


def test_stopping_wakes_an_item_that_waits_for_a_busy_target(threads: ThreadPoolExecutor) -> None:
    pace = Pace(concurrency=1, memory=1)
    waits = threading.Event()
    patience = Patience(pace=pace, seconds=7200, random=lambda: 1.0, on_retry=lambda _problem, _seconds: waits.set())
    asking = threads.submit(patience.ask, Target(StoreBusy("503", retry_after=3600)))
    assert waits.wait(timeout=10)
    pace.stop()
    with pytest.raises(Interrupted):
        asking.result(timeout=10)


def test_nothing_begins_after_the_stop(fake: FakeTime) -> None:
    pace = pace_in(fake)
    pace.stop()
    target = Target()
    with pytest.raises(Interrupted):
        patience_in(fake, pace=pace).ask(target)
    with pytest.raises(Interrupted):
        pace.take(1)
    assert target.asked == 0


# -- patience ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow_down", [True, False])
def test_an_outage_of_two_minutes_is_waited_out_with_at_most_a_request_a_second(slow_down: bool) -> None:
    for seed in range(100):
        fake = FakeTime()
        ends, refused = fake.now + 120, 0

        def operation() -> str:
            nonlocal refused
            if fake.now < ends:  # noqa: B023  # it is called within the round that made it
                refused += 1
                raise StoreBusy("503", slow_down=slow_down)
            return "ok"

        assert patience_in(fake, jitter=random.Random(seed).random).ask(operation) == "ok"
        assert 2 <= refused <= 120
        assert fake.now - ends <= LONGEST_WAIT


def test_waits_double_up_to_a_minute(fake: FakeTime) -> None:
    patience_in(fake).ask(Target(*[StoreBusy("503")] * 10))
    assert fake.slept == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_waits_are_spread_over_their_whole_length(fake: FakeTime) -> None:
    jitter = iter([0.0, 0.5, 1.0])
    patience_in(fake, jitter=lambda: next(jitter)).ask(Target(*[StoreBusy("503")] * 3))
    assert fake.slept == [0, 0.5, 2]


def test_the_target_is_left_alone_for_at_least_as_long_as_it_asks(fake: FakeTime) -> None:
    patience_in(fake, jitter=lambda: 0.0).ask(Target(StoreBusy("429", retry_after=17)))
    assert fake.slept == [17]


def test_each_retry_is_told_with_its_problem_and_its_wait(fake: FakeTime) -> None:
    told: list[tuple[str, float]] = []
    patience = patience_in(fake, on_retry=lambda problem, seconds: told.append((problem, seconds)))
    patience.ask(Target(StoreBusy("timeout"), StoreBusy("503")))
    assert told == [("timeout", 0.5), ("503", 1.0)]


def test_an_item_is_given_up_after_its_patience_with_the_last_fault(fake: FakeTime) -> None:
    began = fake.now
    with pytest.raises(StoreBusy, match=r"^gave up after 15 minutes: the last fault$"):
        patience_in(fake).ask(Target(*[StoreBusy("a fault")] * 21, *[StoreBusy("the last fault")] * 100))
    assert fake.now - began == pytest.approx(900)


def test_no_patience_gives_up_at_the_first_fault(fake: FakeTime) -> None:
    target = Target(StoreBusy("503"))
    with pytest.raises(StoreBusy, match="gave up after 0 seconds: 503"):
        patience_in(fake, seconds=0).ask(target)
    assert (target.asked, fake.slept) == (1, [])


def test_a_target_that_asks_for_more_than_the_patience_is_given_up_at_once(fake: FakeTime) -> None:
    with pytest.raises(StoreBusy, match="gave up"):
        patience_in(fake, seconds=60).ask(Target(StoreBusy("503", retry_after=3600)))
    assert fake.slept == []


def test_an_item_does_not_run_out_by_being_long(fake: FakeTime) -> None:
    patience = patience_in(fake, seconds=100)
    for _ in range(50):
        fake.now += 1000  # e.g. a large file is hashed between two requests
        assert patience.ask(Target(StoreBusy("503"))) == "ok"


def test_one_threads_success_renews_the_patience_of_the_others(fake: FakeTime) -> None:
    """The target is asked from within a wait: a wait keeps no turn, even where there is only one."""

    def sleep(seconds: float) -> None:
        fake.sleep(seconds)
        patience.ask(lambda: "another thread's request is answered")

    pace = pace_in(fake, concurrency=1)
    patience = Patience(pace=pace, seconds=90, monotonic=fake.monotonic, sleep=sleep, random=lambda: 1.0)
    assert patience.ask(Target(*[StoreBusy("503")] * 40)) == "ok"
    assert sum(fake.slept) > 10 * 90


def test_waiting_for_our_own_bandwidth_does_not_use_up_the_patience(fake: FakeTime) -> None:
    patience = patience_in(fake, pace=pace_in(fake, bandwidth=1), seconds=10)
    assert patience.ask(Target(*[StoreBusy("503")] * 3), sends=1000) == "ok"
    assert fake.now == pytest.approx(1000 + 3 * 1000)  # the fourth begins when the line has carried three


def test_each_try_is_charged_to_the_bandwidth(fake: FakeTime) -> None:
    pace = pace_in(fake, bandwidth=10)
    patience_in(fake, pace=pace, jitter=lambda: 0.0).ask(Target(StoreBusy("reset"), StoreBusy("reset")), sends=50)
    assert sum(fake.slept) == pytest.approx(10)


def test_a_void_upload_is_the_callers_to_begin_anew_at_once(fake: FakeTime) -> None:
    target = Target(StoreBusy("NoSuchUpload", start_over=True))
    with pytest.raises(StoreBusy, match=r"^NoSuchUpload$"):
        patience_in(fake).ask(target)
    assert (target.asked, fake.slept) == (1, [])


def test_bytes_that_came_back_wrong_are_asked_for_once_more(fake: FakeTime) -> None:
    assert patience_in(fake).ask(Target(IntegrityError("other bytes"))) == "ok"
    twice = Target(IntegrityError("other bytes"), StoreBusy("503"), IntegrityError("still other bytes"))
    with pytest.raises(IntegrityError, match="still"):
        patience_in(fake).ask(twice)
    assert twice.asked == 3


@pytest.mark.parametrize("error", [StoreUnusable("no such bucket"), ValueError("a bug"), Interrupted("stopped")])
def test_what_waiting_cannot_mend_is_raised_at_once(fake: FakeTime, error: Exception) -> None:
    target = Target(error)
    with pytest.raises(type(error), match=str(error)):
        patience_in(fake).ask(target)
    assert (target.asked, fake.slept) == (1, [])


def test_only_a_store_that_asks_for_less_gets_less(fake: FakeTime) -> None:
    pace = pace_in(fake, concurrency=64)
    patience_in(fake, pace=pace).ask(Target(StoreBusy("reset by peer")))
    assert pace.limit == 64
    patience_in(fake, pace=pace).ask(Target(StoreBusy("503 SlowDown", slow_down=True)))
    assert pace.limit == 32


def test_answered_requests_raise_the_limit_again(fake: FakeTime) -> None:
    pace = pace_in(fake, concurrency=2)
    pace.slow_down()
    assert pace.limit == 1
    patience_in(fake, pace=pace).ask(Target())
    assert pace.limit == 2
