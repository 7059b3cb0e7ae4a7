"""Names that programs stumble over, and trees deeper than any path can say."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

SINGLE_BYTES = [os.fsdecode(bytes([byte])) for byte in range(1, 256) if byte not in b"/."]
_PIECES = [
    *[
        "\n",
        "\r",
        "\t",
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\x7f",
        "\x9b2J",
        "\u202e",
        "\u2066",
        "\u200f",
        "\ufeff",
        "\u2028",
    ],
    *[
        "'",
        '"',
        "`id`",
        "$(id)",
        ";",
        "|",
        "&",
        "*",
        "?",
        "[a]",
        "\\",
        "%00",
        "%2e%2e",
        "..",
        "-rf",
        "~",
        "#",
        ":",
        " ",
        "=1+1",
    ],
    *[
        "<b>",
        "[bold]",
        "{x}",
        "e\u0301",
        "\xe9",
        "\u212b",
        "\ufb01",
        "ß",
        "İ",
        "ſ",
        "K",
        "写真",
        "📷",
        "\u0600",
        "a",
        "B",
        "con",
    ],
    *map(os.fsdecode, [b"\xe9", b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8"]),
]
_PAIRS = ["\xe9", "e\u0301", "Case", "case", "CASE", "\u212b", "\xc5", "A\u030a", " lead", "trail ", "dot.", "..."]
_LONGEST = 255


def generated(number: int, *, seed: int) -> list[str]:
    """So many different names, always the same ones: pairs that look alike, and pieces in any order up to 255 bytes."""
    dice = random.Random(seed)
    names = dict.fromkeys(_PAIRS)
    while len(names) < number:
        most = dice.choice([8, 30, _LONGEST])
        raw = b""
        while len(raw) < most and (not raw or dice.random() < (0.99 if most == _LONGEST else 0.7)):
            raw += os.fsencode(dice.choice(_PIECES))
        name = os.fsdecode(raw[:most])
        if name.strip("."):
            names[name] = None
    return list(names)


def make_chain(top: Path, depth: int, *, name: str) -> None:
    """Folders one in the other, each with a file that says how deep it is."""
    fd = os.open(top, os.O_RDONLY)
    for level in range(depth):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        os.close(fd)
        fd = below
        file = os.open("file", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd)
        os.write(file, b"%d" % level)
        os.close(file)
        os.utime("file", ns=(1, 1), dir_fd=fd)
    os.close(fd)


def read_chain(top: Path, *, name: str) -> Iterator[bytes]:
    """What the files of such a chain say, from the top."""
    fd = os.open(top, os.O_RDONLY)
    while name in os.listdir(fd):
        below = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
        os.close(fd)
        fd = below
        file = os.open("file", os.O_RDONLY, dir_fd=fd)
        yield os.read(file, 100)
        os.close(file)
    os.close(fd)


def remove_chain(top: Path, *, name: str) -> None:
    """Remove such a chain, which no tool can that goes by paths: the top goes, and what was below takes its place."""
    quarantine = top / f"{name}.aside"
    while (top / name).exists():
        (top / name / "file").unlink(missing_ok=True)
        if (top / name / name).exists():
            (top / name / name).rename(quarantine)
        (top / name).rmdir()
        if quarantine.exists():
            quarantine.rename(top / name)
