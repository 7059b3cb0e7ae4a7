"""Amounts for people: `2 files, 40 MB`, `$0.40`."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB", "ZB")


def size_text(size: int | None) -> str:
    """Bytes for people, in units of 1,000: `999 B`, `1.5 MB`; nothing when unknown."""
    if size is None:
        return ""
    if size < 1000:
        return f"{size} B"
    # 999,960 bytes are 1.0 MB, and not 1000.0 kB.
    power, unit = next((n, unit) for n, unit in enumerate(_UNITS, start=1) if size < 999.95 * 1000**n or unit == "ZB")
    return f"{size / 1000**power:.1f} {unit}"


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
