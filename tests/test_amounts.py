"""Amounts as people read them."""

from __future__ import annotations

import pytest

from archive_tasks.amounts import amount_text, count_text, dollars_text, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (1051, "1.1 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (20_500_000, "20.5 MB"),
        (5_000_000_000, "5.0 GB"),
        (8 << 40, "8.8 TB"),
        ((1 << 63) - 1, "9.2 EB"),
        (10**27, "1000000.0 ZB"),
    ],
)
def test_a_size_has_one_decimal_and_the_unit_that_keeps_it_below_a_thousand(size: int | None, text: str) -> None:
    assert size_text(size) == text


def test_numbers_are_grouped_and_their_nouns_agree() -> None:
    assert count_text(1, "file") == "1 file"
    assert count_text(1204, "file") == "1,204 files"
    assert count_text(0, "stays", "stay") == "0 stay"
    assert amount_text(2, 40_000_000) == "2 files, 40.0 MB"


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0, "nothing"),
        (0.000004, "nothing"),
        (0.0004, "$0.0004"),
        (0.0023, "$0.0023"),
        (0.4, "$0.40"),
        (1234.5, "$1,234.50"),
    ],
)
def test_a_price_shows_what_is_below_a_cent(dollars: float, text: str) -> None:
    assert dollars_text(dollars) == text
