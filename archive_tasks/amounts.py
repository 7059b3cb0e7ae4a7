"""Amounts for people: `2 files, 40 MB`, `$0.40`."""

from __future__ import annotations

import humanize


def size_text(size: int | None) -> str:
    """Bytes for people, in units of 1,000; nothing when unknown."""
    return (
        "" if size is None else humanize.naturalsize(size, format="%.1f").replace(" Bytes", " B").replace(" Byte", " B")
    )


def amount_text(files: int, size: int | None) -> str:
    """`2 files, 40.0 MB`."""
    return f"{count_text(files, 'file')}, {size_text(size)}"


def count_text(number: int, one: str, many: str | None = None) -> str:
    """`1 file`, `1,204 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def dollars_text(dollars: float) -> str:
    """`$0.40`, `$0.0004`, `nothing`."""
    if dollars < 0.000005:
        return "nothing"
    return f"${dollars:,.2f}" if dollars >= 0.01 else f"${dollars:.4f}".rstrip("0")
