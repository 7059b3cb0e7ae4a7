"""Works of `transfer` that bring back: everything, and one file out of many."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.counting import Tally, counted
from tests.benchmarks.ground import Ours, bucket_name
from tests.benchmarks.measure import CommandFailed, Job, Turn, run, show, take_turns
from tests.benchmarks.peers import Peer
from tests.benchmarks.trees import contents_of, difference
from tests.benchmarks.works import Contest, start_archive, start_send

OURS = "invoke restore"
_NO_CATALOGUE = "  without a catalogue"
_BUCKET = "ours"

Check = Callable[[Path], None]


def bring_back_everything(contest: Contest) -> None:
    """All tools in turn; the first tree of each is compared with the source."""
    source = contents_of(contest.tree)

    def check(folder: Path) -> None:
        if wrong := difference(source, contents_of(folder)):
            raise CommandFailed(f"the tree that came back is another: {wrong}")

    jobs = _our_jobs(contest, [], check)
    for peer, bucket in _where_it_is(contest):
        jobs[peer.name] = _peer_job(
            contest,
            peer,
            lambda folder, peer=peer, bucket=bucket: peer.fetch(bucket, folder),
            lambda folder, peer=peer: check(peer.root(folder, contest.tree)),
        )
    show(take_turns(jobs, rounds=contest.rounds), ours=OURS)
    if contest.count:
        _count(contest, [])


def bring_back_one(contest: Contest) -> None:
    """All tools in turn, then our requests, with the catalogue and without it."""
    path = contest.shape.path_of(contest.shape.files // 2)
    sought = contents_of(contest.tree)[path]

    def check(folder: Path) -> None:
        if list(contents_of(folder).values()) != [sought]:
            raise CommandFailed(f"what came back is not {path}, or not alone")

    jobs = _our_jobs(contest, [path], check)
    for peer, bucket in _where_it_is(contest):
        jobs[peer.name] = _peer_job(
            contest,
            peer,
            lambda folder, peer=peer, bucket=bucket: peer.fetch_one(bucket, folder, path, contest.tree),
            check,
        )
    show(take_turns(jobs, rounds=contest.rounds), ours=OURS)
    _count(contest, [path])


# -- jobs ---------------------------------------------------------------------------------------------


def _our_jobs(contest: Contest, what: list[str], check: Check) -> dict[str, Job]:
    run(start_archive(contest, contest.ours, contest.ground.make_bucket(_BUCKET)))

    def known(_number: int, folder: Path) -> Turn:
        return contest.ours.restore(*what, bucket=_BUCKET, to=folder)

    def unknown(number: int, folder: Path) -> Turn:
        return _knowing_nothing(contest, str(number)).restore(*what, bucket=_BUCKET, to=folder)

    return {
        OURS: _fetching(contest, "known", known, check),
        _NO_CATALOGUE: _fetching(contest, "unknown", unknown, check),
    }


def _knowing_nothing(contest: Contest, name: str) -> Ours:
    return contest.ours.without_catalogue(contest.ground.make_folder("data", name))


def _where_it_is(contest: Contest) -> Iterator[tuple[Peer, str]]:
    """Each peer, and the bucket where the tree now is as it would have sent it, untimed: one bucket a layout."""
    buckets: dict[str, str] = {}
    for peer in contest.peers:
        try:
            if peer.layout not in buckets:
                bucket = contest.ground.make_bucket(peer.name)
                run(start_send(contest, peer, bucket))
                contest.check_arrived(bucket)
                buckets[peer.layout] = bucket
        except CommandFailed as error:
            print(f"{peer.name} is left out: {error}")
        else:
            yield peer, buckets[peer.layout]


def _peer_job(contest: Contest, peer: Peer, fetch: Callable[[Path], Sequence[str]], check: Check) -> Job:
    def command(_number: int, folder: Path) -> Turn:
        return contest.peer_turn(peer, fetch(folder))

    return _fetching(contest, peer.name, command, check, rounds=peer.rounds)


def _fetching(
    contest: Contest, name: str, command: Callable[[int, Path], Turn], check: Check, *, rounds: int = 0
) -> Job:
    """Into an empty folder each round; what the first round brought is checked."""
    place = contest.ground.make_folder("restored", bucket_name(name))

    def start(number: int) -> Turn:
        folder = place / str(number)
        folder.mkdir()
        contest.ground.settle()
        return command(number, folder)

    def end(number: int) -> None:
        if number == (1 if rounds else 0):
            check(place / str(number))
        shutil.rmtree(place / str(number))

    return Job(start=start, end=end, rounds=rounds)


# -- requests -----------------------------------------------------------------------------------------


def _count(contest: Contest, what: list[str]) -> None:
    """Our requests, archived anew through the proxy, for the verdict on a target is good for one address."""
    with counted(contest.ground.server.endpoint) as (endpoint, tally):
        ours, bucket = contest.ours.at(endpoint), contest.ground.make_bucket("counted")
        turn = start_archive(contest, ours, bucket)
        _show_count("invoke archive", turn, tally)
        for name, one in {OURS: ours, _NO_CATALOGUE: _knowing_nothing(contest, "counted").at(endpoint)}.items():
            folder = contest.ground.make_folder("restored", "counted", bucket_name(name))
            _show_count(name.strip(), one.restore(*what, bucket=bucket, to=folder), tally)


def _show_count(name: str, turn: Turn, tally: Tally) -> None:
    tally.clear()
    run(turn)
    print(f"{name}: {tally}")
