"""A catalogue of an older version becomes one of this version, in one transaction."""

from __future__ import annotations

from archive_tasks.catalogue.rows import ARCHIVE_COLUMNS, RECEIPT_COLUMNS, Write, proof_of, proof_of_block
from archive_tasks.catalogue.schema import COLUMNS_OF_3, MIGRATIONS, SCHEMA_VERSION

_BEFORE_MANIFEST_KEYS = 3


def upgrade(write: Write, version: int) -> None:
    """Bring the schema, and the proofs of what is in it, from `version` to this one.

    Raises:
        ValueError: what it holds is not what was written.
    """
    if version == _BEFORE_MANIFEST_KEYS:
        _check_rows_of_3(write)
        _check_blocks_of_3(write)
    for statement in ";".join(MIGRATIONS[version:]).split(";"):
        write(statement)
    _prove_archives(write)
    _prove_blocks(write)
    write(f"pragma user_version = {SCHEMA_VERSION}")


def _check_rows_of_3(write: Write) -> None:
    columns = (
        ", ".join(f"a.{name}" for name in COLUMNS_OF_3) + ", " + ", ".join(f"r.{name}" for name in RECEIPT_COLUMNS)
    )
    query = f"select {columns}, a.proof from archives a left join receipts r on r.archive_id = a.id"  # noqa: S608 - constants
    for *row, proof in write(query).fetchall():
        if proof_of(*row) != proof:
            raise ValueError("what it says of an archive is not what was written")


def _check_blocks_of_3(write: Write) -> None:
    """Blocks of archives that were never recorded count for nothing, and are not taken over."""
    for archive_id, number, lines, proof in write("select archive_id, number, lines, proof from blocks"):
        if not isinstance(lines, bytes) or proof_of_block(archive_id, number, lines) != proof:
            raise ValueError("what it keeps of an archive's entries is not what was written")


def _prove_archives(write: Write) -> None:
    columns = (
        ", ".join(f"a.{name}" for name in ARCHIVE_COLUMNS) + ", " + ", ".join(f"r.{name}" for name in RECEIPT_COLUMNS)
    )
    query = f"select {columns} from archives a left join receipts r on r.manifest = a.manifest"  # noqa: S608 - constants
    for row in write(query).fetchall():
        write("update archives set proof = ? where manifest = ?", (proof_of(*row), row[0]))


def _prove_blocks(write: Write) -> None:
    for number_of_row, manifest, number, lines in write("select id, manifest, number, lines from blocks").fetchall():
        write("update blocks set proof = ? where id = ?", (proof_of_block(manifest, number, lines), number_of_row))
