"""Symlinks and further names of files, made when the files of an item are there."""

from __future__ import annotations

from archive_tasks.disk.destination import Destination
from archive_tasks.errors import EntryError
from archive_tasks.formats.entry import ManifestEntry
from archive_tasks.names import display
from archive_tasks.restore.context import RestoreRun
from archive_tasks.restore.fetch import FileFetcher
from archive_tasks.restore.selection import Selection


class LinkMaker:
    """Makes the symlinks and hard links of one item.

    Args:
        continued: an earlier restore of the same was interrupted, perhaps between a symlink and its time.

    Attributes:
        are_wanted: True when there are any.
        strays: first name of a file, which was not asked for -> its other names, which were. The first of these
            is restored as the file.
    """

    def __init__(self, selection: Selection, run: RestoreRun, files: FileFetcher, *, continued: bool) -> None:
        self._selection = selection
        self._run = run
        self._files = files
        self._continued = continued
        self.are_wanted = False
        self.strays: dict[str, list[str]] = {}

    def remember(self, place: str, entry: ManifestEntry) -> None:
        """Note a link to make at `place`, later."""
        self.are_wanted = True
        if entry.hardlink and self._selection.place(entry.hardlink) is None:
            self.strays.setdefault(entry.hardlink, []).append(place)

    def make(self, place: str, entry: ManifestEntry) -> None:
        """Make a link. Raises EntryError, DestinationUnusable."""
        if entry.kind == "link":
            self._make_symlink(place, entry)
            return
        first = self._selection.place(entry.hardlink) or self._stray(place, entry.hardlink)
        if first != place:
            self._make_hardlink(place, first)

    @property
    def _destination(self) -> Destination:
        return self._run.destination(self._selection.destination)

    def _stray(self, place: str, first: str) -> str:
        return self.strays.get(first, [place])[0]

    def _make_symlink(self, place: str, entry: ManifestEntry) -> None:
        is_taken = self._destination.find(place) is not None
        if is_taken and self._destination.link_target(place) == entry.target:
            if self._continued:
                self._run.lose(place, self._destination.finish_link(place, entry.attributes))
            self._run.was_there(0)
        elif is_taken and self._run.on_conflict == "skip":
            self._run.skip()
        else:
            written = self._destination.make_link(place, entry.target, entry.attributes)
            self._run.lose(written.path, written.lost)
            self._run.wrote(0)

    def _make_hardlink(self, place: str, first: str) -> None:
        if first in self._files.unfetched:
            self._files.unfetched.add(place)
            return
        source = self._files.path_of(first)
        if not source:
            raise EntryError(f"{display(place)} shares its contents with {display(first)}, which was not restored")
        here, there = self._destination.find(place), self._destination.find(source)
        if here is not None and there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            self._run.was_there(0)
        elif here is not None and self._run.on_conflict == "skip":
            self._run.skip()
        else:
            self._destination.make_hardlink(place, source)
            self._run.wrote(0)
