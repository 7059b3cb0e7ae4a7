"""Works of `transfer`: many small files, and one large file, to the server."""

from __future__ import annotations

import sys

from tests.benchmarks.counting import counted
from tests.benchmarks.ground import make_believing
from tests.benchmarks.measure import Job, run, show, take_turns
from tests.benchmarks.profiled import added_up
from tests.benchmarks.works import Contest, archive_job, send_job, start_archive

OURS = "invoke archive"
_BELIEVED = "  without reading back"
_BELIEVED_NOTE = (
    f"{OURS}: what was sent is read back and compared, for this server's checksums prove nothing\n"
    f"{_BELIEVED.strip()}: one HEAD an object instead, as on a server whose checksums are proof"
)
_PROFILE_LINES = 25


def send_tree(contest: Contest) -> None:
    """All tools in turn; then, when asked for, our requests and our profile."""
    jobs: dict[str, Job] = {
        OURS: archive_job(contest, contest.ours, OURS),
        _BELIEVED: archive_job(contest, make_believing(contest.ground), "believed"),
    }
    jobs |= {peer.name: send_job(contest, peer) for peer in contest.peers}
    show(take_turns(jobs, rounds=contest.rounds), ours=OURS)
    print(_BELIEVED_NOTE)
    if contest.count:
        count_archive(contest)
    if contest.profile:
        profile_archive(contest)


def count_archive(contest: Contest) -> None:
    """Our requests; those of `setup` are not counted. Raises CommandFailed."""
    with counted(contest.ground.server.endpoint) as (endpoint, tally):
        turn = start_archive(contest, contest.ours.at(endpoint), contest.ground.make_bucket("counted"))
        tally.clear()
        run(turn)
        print(f"{OURS}: {tally}")


def profile_archive(contest: Contest) -> None:
    """Our own time by function, of all threads and processes together. Raises CommandFailed."""
    folder = contest.ground.make_folder("profiles")
    bucket = contest.ground.make_bucket("profiled")
    arguments = start_archive(contest, contest.ours, bucket).command[1:]
    run(contest.ours.turn([sys.executable, "-m", "tests.benchmarks.profiled", str(folder), *arguments]))
    added_up(folder).strip_dirs().sort_stats("tottime").print_stats(_PROFILE_LINES)
