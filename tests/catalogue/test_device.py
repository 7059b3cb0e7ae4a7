"""Which device this is: one id a data folder and machine, whatever is copied, shared, cut off, or done at once."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue import device
from archive_tasks.catalogue.device import device_id, machine_digest
from archive_tasks.errors import ArchiveTasksError, SettingsError
from archive_tasks.settings import make_settings

HEX = re.compile(r"[0-9a-f]{32}")
A, B = "a" * 16, "b" * 16
MACHINE = "0123456789abcdef" * 2


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def files(data: Path) -> list[str]:
    return sorted(os.listdir(data))


def test_the_id_is_made_once_and_kept(data: Path) -> None:
    made = device_id(str(data), machine=A)
    assert HEX.fullmatch(made)
    assert [device_id(str(data), machine=A) for _ in range(3)] == [made] * 3
    assert files(data) == [f"device-{A}"]
    assert (data / f"device-{A}").read_text() == f"{made}\n"


def test_the_id_is_private_and_so_is_its_folder(data: Path) -> None:
    device_id(str(data / "deeper"), machine=A)
    assert stat.S_IMODE((data / "deeper" / f"device-{A}").stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "deeper").stat().st_mode) == 0o700


def test_two_machines_that_share_a_data_folder_are_two_devices(data: Path) -> None:
    ids = {machine: device_id(str(data), machine=machine) for machine in (A, B)}
    assert ids[A] != ids[B]
    assert {machine: device_id(str(data), machine=machine) for machine in (A, B)} == ids


def test_a_data_folder_that_was_copied_to_another_machine_is_another_device(data: Path, tmp_path: Path) -> None:
    first = device_id(str(data), machine=A)
    copy = str(shutil.copytree(data, tmp_path / "copy"))
    assert device_id(copy, machine=B) != first
    assert device_id(copy, machine=A) == first, "and on the first machine, where it was moved, it stays the same"


def test_two_data_folders_of_one_machine_are_two_devices(data: Path, tmp_path: Path) -> None:
    assert device_id(str(data), machine=A) != device_id(str(tmp_path / "other"), machine=A)


@pytest.mark.parametrize("left", ["", "0123", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "\0" * 32, f"{'0' * 32} x"])
def test_what_a_full_disk_left_of_an_id_is_replaced_by_a_whole_one(data: Path, left: str) -> None:
    data.mkdir()
    (data / f"device-{A}").write_text(left)
    made = device_id(str(data), machine=A)
    assert HEX.fullmatch(made)
    assert device_id(str(data), machine=A) == made
    assert files(data) == [f"device-{A}"]


def test_a_file_beside_that_a_run_left_is_no_id(data: Path) -> None:
    data.mkdir()
    (data / f"device-{A}.01234567").write_text("0" * 20)
    made = device_id(str(data), machine=A)
    assert made == device_id(str(data), machine=A)
    assert (data / f"device-{A}.01234567").read_text() == "0" * 20


MAKE = "import sys; from archive_tasks.catalogue.device import device_id; sys.stdin.read(); print(device_id(sys.argv[1], machine='a' * 16))"


def test_of_processes_at_once_all_take_the_id_of_the_first(data: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for one in started:
        assert one.stdin
        one.stdin.close()
    said = set()
    for one in started:
        assert one.stdout
        with one.stdout:
            said.add(one.stdout.read().strip())
        assert one.wait(60) == 0
    assert said == {device_id(str(data), machine=A)}
    assert files(data) == [f"device-{A}"]


def test_of_threads_at_once_all_take_the_id_of_the_first(data: Path) -> None:
    for number in range(20):
        with ThreadPoolExecutor(8) as racers:
            machines = [f"{number:016x}"] * 8
            made = set(racers.map(lambda machine: device_id(str(data), machine=machine), machines))
        assert made == {device_id(str(data), machine=f"{number:016x}")}
    assert len(files(data)) == 20


def test_who_comes_second_takes_what_is_there(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run made its id between this one's look and its own."""
    path, link = data / f"device-{A}", os.link

    def late(source: str, target: str) -> None:
        path.write_text("f" * 32 + "\n")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert device_id(str(data), machine=A) == "f" * 32
    assert files(data) == [f"device-{A}"]


def test_a_filesystem_without_hard_links_will_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    made = device_id(str(data), machine=A)
    assert device_id(str(data), machine=A) == made
    assert files(data) == [f"device-{A}"]


@pytest.mark.parametrize("what", ["another run's", "gone"])
def test_without_hard_links_what_is_there_at_the_end_counts(
    data: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    replace = os.replace

    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def replacing(source: str, target: str) -> None:
        replace(source, target)
        if what == "gone":
            os.unlink(target)
        else:
            Path(target).write_text("f" * 32)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", replacing)
    made = device_id(str(data), machine=A)
    assert HEX.fullmatch(made)
    assert (made == "f" * 32) == (what != "gone")


# -- where it cannot be kept --------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_said_with_what_to_do(data: Path) -> None:
    data.write_text("a file")
    with pytest.raises(ArchiveTasksError) as caught:
        device_id(str(data), machine=A)
    said = str(caught.value)
    assert f"the id of this device cannot be kept in {data}/device-{A}: " in said
    assert "make its folder writable, or set archive.device" in said
    assert data.read_text() == "a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(data: Path) -> None:
    data.mkdir(mode=0o500)
    with pytest.raises(ArchiveTasksError, match=r"cannot be kept in .*ermission denied"):
        device_id(str(data), machine=A)


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_disk_that_is_full_leaves_nothing_behind(data: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "replace":
            patch.setattr(os, "link", full)
        patch.setattr(os, call, full)
        with pytest.raises(ArchiveTasksError, match=r"cannot be kept in .*: No space left on device; free some space"):
            device_id(str(data), machine=A)
    assert files(data) == []
    assert HEX.fullmatch(device_id(str(data), machine=A))


def test_an_id_that_is_there_needs_no_folder_that_can_be_written(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = device_id(str(data), machine=A)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for call in ("open", "makedirs", "link", "replace"):
        monkeypatch.setattr(os, call, refuse)
    assert device_id(str(data), machine=A) == made


# -- the machine --------------------------------------------------------------------------------------


class Machine:
    """What a system says of itself."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.id, self.old_id, self.serial = (folder / name for name in ("machine-id", "dbus-id", "serial-number"))
        monkeypatch.setattr(device, "_MACHINE_IDS", (str(self.id), str(self.old_id)))
        monkeypatch.setattr(device, "_SERIAL_NUMBER", str(self.serial))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_the_machine_is_told_by_a_digest_that_does_not_show_its_id(machine: Machine) -> None:
    machine.id.write_text(f"{MACHINE}\n")
    told = machine_digest()
    assert re.fullmatch(r"[0-9a-f]{16}", told)
    assert told == machine_digest()
    assert told not in MACHINE
    machine.id.write_text("f" * 32)
    assert machine_digest() != told


def test_a_memory_card_in_another_board_is_another_machine(machine: Machine) -> None:
    machine.id.write_text(MACHINE)
    told = [machine_digest()]
    for serial in (b"100000001\0", b"100000002\0", b"caf\xe9\0"):
        machine.serial.write_bytes(serial)
        told.append(machine_digest())
    assert len(set(told)) == 4


def test_an_older_place_of_the_id_will_do_and_the_newer_one_goes_first(machine: Machine) -> None:
    machine.old_id.write_text(MACHINE)
    told = machine_digest()
    assert told != "0" * 16
    machine.id.write_text("uninitialized\n")
    assert machine_digest() == told
    machine.id.write_text(MACHINE)
    machine.old_id.write_text("f" * 32)
    assert machine_digest() == told


@pytest.mark.parametrize("text", [None, "", "uninitialized", MACHINE.upper(), MACHINE[:-1]])
def test_a_system_that_has_no_id_is_told_by_zeros(machine: Machine, text: str | None) -> None:
    """As many containers: there, each data folder is a device."""
    machine.serial.write_text("100000001")
    if text is not None:
        machine.id.write_text(text)
    assert machine_digest() == "0" * 16


def test_without_a_word_the_machine_at_hand_is_meant(data: Path, machine: Machine) -> None:
    machine.id.write_text(MACHINE)
    made = device_id(str(data))
    assert files(data) == [f"device-{machine_digest()}"]
    machine.id.write_text("f" * 32)
    assert device_id(str(data)) != made
    machine.id.write_text(MACHINE)
    assert device_id(str(data)) == made


# -- the setting --------------------------------------------------------------------------------------


def test_the_setting_pins_the_id_and_nothing_is_written(make_session: Any, root: Path, data: Path) -> None:
    session = make_session(root, device="my-laptop")
    session.data = str(data)
    assert session.device == "my-laptop"
    assert not data.exists()


def test_without_the_setting_the_id_of_the_data_folder_is_taken_once(make_session: Any, root: Path, data: Path) -> None:
    session = make_session(root)
    session.data = str(data)
    assert not data.exists(), "a scan needs none"
    made = session.device
    assert made == device_id(str(data))
    shutil.rmtree(data)
    assert session.device == made, "one run is one device"
    assert not data.exists()


@pytest.mark.parametrize("name", ["with space", "a/b", "x" * 65, "über", "..\n"])
def test_a_setting_that_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="device"):
        make_settings({"device": name}, {}, {})
