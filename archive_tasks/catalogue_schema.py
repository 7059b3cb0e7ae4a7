"""The tables of the catalogue, and how those of an older version become them."""

from __future__ import annotations

MIGRATIONS = (
    """
create table facts (name text primary key, value text not null) without rowid;
create table runs (
    id integer primary key, started text not null, ended text, root blob not null, outcome text);
create table archives (
    id text primary key, run integer references runs, item blob not null, root blob not null,
    scope text not null, manifest text not null, files integer not null, bytes integer not null,
    created text not null, seen text not null) without rowid;
create table receipts (
    archive_id text primary key references archives, manifest_sha256 text not null,
    proven_by text not null, proven_at text not null) without rowid;
create table attempts (archive_id text primary key, prefix text not null, started text not null) without rowid;
create table journal (number integer primary key, at text not null, what text not null, details text not null);
""",
    """
alter table archives add column host text not null default '';
alter table archives add column storage_class text not null default '';
alter table archives add column manifest_size integer not null default 0;
alter table attempts add column how text not null default '';
create table blocks (
    id integer primary key, archive_id text not null, number integer not null, names blob not null,
    lines blob not null);
create unique index block_of_archive on blocks (archive_id, number);
create table indexed (archive_id text primary key references archives) without rowid;
create table thaws (
    key text primary key, tier text not null, days integer not null, requested text not null) without rowid;
create table restores (
    archive_id text not null, destination blob not null, started text not null,
    primary key (archive_id, destination)) without rowid;
""",
    """
alter table archives add column proof blob not null default x'';
delete from blocks;
delete from indexed;
alter table blocks add column proof blob not null default x'';
alter table indexed add column blocks integer not null default 0;
""",
)
"""Each brings the schema from one version to the next; what was written is never changed."""
SCHEMA_VERSION = len(MIGRATIONS)
