"""The restore of one item: which of its entries are wanted, its folders, and its end."""

from __future__ import annotations

from collections.abc import Callable

from archive_tasks.amounts import count_text
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.disk.destination import Destination
from archive_tasks.disk.relative_path import check_path
from archive_tasks.errors import EntryError, EntryOccupied, ManifestError
from archive_tasks.events import ItemRestored
from archive_tasks.formats.entry import ManifestEntry, entry_of
from archive_tasks.formats.manifest import Record, name_in
from archive_tasks.names import display
from archive_tasks.restore.context import RestoreRun
from archive_tasks.restore.fetch import FileFetcher
from archive_tasks.restore.links import LinkMaker
from archive_tasks.restore.selection import Selection, wanted_entries


class ItemRestorer:
    """Restores what was selected of one archive: `begin`, and `finish` when all files of the run are there.

    Args:
        continued: an earlier restore of the same was interrupted, and its folders are still to be finished.
    """

    def __init__(self, selection: Selection, run: RestoreRun, *, continued: bool) -> None:
        self._selection = selection
        self._run = run
        self._continued = continued
        self._files = FileFetcher(selection.destination, run)
        self._links = LinkMaker(selection, run, self._files, continued=continued)
        self._is_readable = True
        self._made: dict[str, ManifestEntry | None] = {}
        self._last_folder: str | None = None

    def begin(self) -> None:
        """Make folders, and have files fetched. Raises DestinationUnusable."""
        self._run.restored.items.append(self._selection.archive)
        found = False
        try:
            entries = wanted_entries(self._selection, self._run.context.catalogue, on_outside=self._refuse)
            for place, record in entries:
                found = True
                self._guarded(place, self._take, record)
            if not found:
                item = display(self._selection.archive.item)
                self._files.fail(self._selection.archive.item, f"nothing in {item} has the name that was asked for")
            if self._links.strays:
                self._take_strays()
        except ManifestError as error:
            self._is_readable = False
            self._files.fail(self._selection.archive.item, str(error))
        self._files.flush()

    def finish(self) -> None:
        """Make links, then give the folders their own rights and times. Raises DestinationUnusable.

        Where files are missing because the target does not answer, the folders stay open for the run that resumes.
        """
        if self._links.are_wanted and self._is_readable:
            for place, record in wanted_entries(self._selection, self._run.context.catalogue):
                if record.get("type") == "link" or "hardlink" in record:
                    self._guarded(place, self._links.make, record)
        if self._files.unfetched:
            self._files.fail(self._selection.archive.item, self._what_is_missing())
            return
        self._finish_folders()
        done = ItemRestored(
            archive=self._selection.archive, to=self._selection.destination, failed=len(self._files.failed)
        )
        self._run.context.progress.event(done)

    @property
    def _destination(self) -> Destination:
        return self._run.destination(self._selection.destination)

    def _guarded(self, place: str, do: Callable[[str, ManifestEntry], None], record: Record) -> None:
        try:
            check_path(place)
            do(place, entry_of(record))
        except (EntryError, ManifestError) as error:
            self._files.fail(place, str(error))

    def _refuse(self, path: str) -> None:
        item = display(self._selection.archive.item)
        self._files.fail(path, f"the manifest is damaged: it is outside its item {item}")

    def _what_is_missing(self) -> str:
        missing = count_text(len(self._files.unfetched), "file was", "files were")
        return f"{missing} not fetched: {self._run.problem}. Run the same command again to resume"

    # -- folders ------------------------------------------------------------------------------------

    def _make_folder(self, place: str, entry: ManifestEntry | None) -> None:
        if place not in self._made:
            is_new = self._destination.make_folder(place)
            if is_new or self._continued:
                self._made[place] = entry
        elif entry is not None:
            self._made[place] = entry

    def _make_parent(self, place: str) -> None:
        folder = place.rpartition("/")[0]
        if folder != self._last_folder:
            if folder and folder not in self._made:
                self._make_folder(folder, None)
            self._last_folder = folder

    def _finish_folders(self) -> None:
        """The deepest first: what comes into a folder later changes its time."""
        for place, entry in sorted(self._made.items(), key=lambda one: one[0].count("/"), reverse=True):
            if entry is None:
                continue
            try:
                self._run.lose(place, self._destination.finish_folder(place, entry.attributes))
            except EntryError as error:
                self._files.fail(place, str(error))

    # -- files --------------------------------------------------------------------------------------

    def _take(self, place: str, entry: ManifestEntry) -> None:
        if entry.kind == "folder":
            self._make_folder(place, entry)
            return
        self._make_parent(place)
        if entry.kind == "link" or entry.hardlink:
            self._links.remember(place, entry)
        elif self._is_wanted(place, entry):
            self._files.fetch(place, entry, self._destination)

    def _is_wanted(self, place: str, entry: ManifestEntry) -> bool:
        """Must it be fetched? A conflict that can be seen is reported before.

        Raises:
            EntryOccupied: something else is there, and stays.
        """
        folder = place.rpartition("/")[0]
        if folder in self._made and not self._continued:
            return True
        if self._destination.find(place) is None:
            return True
        if self._destination.holds(place, size=entry.size, sha256=entry.sha256):
            self._run.was_there(entry.size)
            return False
        if self._run.on_conflict == "skip":
            self._run.skip()
            self._files.leave(place)
            return False
        if self._run.on_conflict == "refuse":
            raise EntryOccupied(
                f"{display(place)} already exists with different contents: --overwrite, --skip-existing or --both"
            )
        self._destination.check_free(place)
        return True

    def _take_strays(self) -> None:
        """Names of files whose first names were not asked for: the first of each becomes the file."""
        for record in kept_records(self._run.context.catalogue, self._selection.archive.manifest):
            if "path" in record and name_in(record, "path") in self._links.strays:
                self._guarded(self._links.strays[name_in(record, "path")][0], self._take, record)
