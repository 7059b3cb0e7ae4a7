"""Names made harmless: on a terminal, and in a key of the target."""

from __future__ import annotations

import os
import shlex
import unicodedata

_UNSAFE_ON_TERMINAL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def display(text: str) -> str:
    r"""`text` as it may be shown: anything but plain printable characters is escaped.

    Controls, escape sequences, line breaks, bidirectional marks and bytes that are not UTF-8 come out as
    `\\n`, `\\x1b`, `\\u202e`, so that a name can neither break a line nor pass for another.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) not in _UNSAFE_ON_TERMINAL:
        return character
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or character.encode("unicode_escape").decode("ascii")


def typed(text: str) -> str:
    r"""`text` as one word of a command that can be typed, or copied, into bash or zsh.

    What cannot be shown stands as `$'a\nb'`: both shells read the bytes of a name from that. (bash manual, ANSI-C
    Quoting)
    """
    if display(text) == text:
        return shlex.quote(text)
    return "$'" + "".join(_as_typed(character) for character in text) + "'"


def _as_typed(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if display(character) == character:
        return character
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or "".join(
        f"\\x{byte:02x}" for byte in os.fsencode(character)
    )
