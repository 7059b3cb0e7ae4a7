"""What the works of `transfer` have in common: who takes part, and how a tree gets to the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.ground import Ground, Ours, bucket_name
from tests.benchmarks.measure import CommandFailed, Job, Turn, run
from tests.benchmarks.peers import Peer
from tests.benchmarks.trees import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One work: a tree, who carries it, and how often. `count` and `profile` ask for more runs, untimed."""

    ground: Ground
    ours: Ours
    tree: Path
    shape: Shape
    rounds: int
    peers: Sequence[Peer]
    count: bool = False
    profile: bool = False

    @property
    def bytes(self) -> int:
        return self.shape.files * self.shape.size

    def check_arrived(self, bucket: str) -> None:
        """Random bytes cannot be stored in fewer. Raises CommandFailed."""
        found = self.ground.bytes_in(bucket)
        if found < self.bytes:
            raise CommandFailed(f"of {self.bytes:,} bytes only {found:,} are in the bucket")

    def peer_turn(self, peer: Peer, command: Sequence[str]) -> Turn:
        return Turn(command, env={**self.ground.env, **peer.env})


def archive_job(contest: Contest, ours: Ours, name: str) -> Job:
    """Ours to the server, into a new bucket each round."""
    return _transfer(contest, name, lambda bucket: start_archive(contest, ours, bucket))


def send_job(contest: Contest, peer: Peer) -> Job:
    """A peer's to the server, into a new bucket each round."""
    return _transfer(contest, peer.name, lambda bucket: start_send(contest, peer, bucket), rounds=peer.rounds)


def start_archive(contest: Contest, ours: Ours, bucket: str) -> Turn:
    ours.set_up(bucket)
    return ours.archive(contest.tree, bucket)


def start_send(contest: Contest, peer: Peer, bucket: str) -> Turn:
    for command in peer.prepare(bucket):
        run(contest.peer_turn(peer, command))
    return contest.peer_turn(peer, peer.send(contest.tree, bucket))


def _transfer(contest: Contest, name: str, start: Callable[[str], Turn], *, rounds: int = 0) -> Job:
    def begin(number: int) -> Turn:
        turn = start(contest.ground.make_bucket(name, number))
        contest.ground.settle()
        return turn

    def end(number: int) -> None:
        bucket = bucket_name(name, number)
        contest.check_arrived(bucket)
        contest.ground.remove_bucket(bucket)

    return Job(start=begin, end=end, rounds=rounds)
