"""Bits that flip, for tests of what notices them."""

from __future__ import annotations

from collections.abc import Iterator


def flipped(data: bytes, position: int) -> bytes:
    """`data` with the bit at `position` turned over."""
    rotten = bytearray(data)
    rotten[position // 8] ^= 1 << position % 8
    return bytes(rotten)


def positions(bits: int, number: int) -> Iterator[int]:
    """`number` different positions, spread over all of it; each bit of a byte comes as often as the others."""
    assert number <= bits
    return (index * bits // number for index in range(number))
