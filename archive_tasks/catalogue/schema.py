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
    """
create table archives_4 (
    manifest text primary key, id text not null, run integer references runs, item blob not null, root blob not null,
    scope text not null, files integer not null, bytes integer not null, created text not null, seen text not null,
    host text not null, storage_class text not null, manifest_size integer not null, device text not null,
    number integer not null, replaces text not null, data text not null, proof blob not null) without rowid;
insert into archives_4
    select manifest, id, run, item, root, scope, files, bytes, created, seen, host, storage_class, manifest_size,
    '', 0, '', '', x'' from archives;
create table receipts_4 (
    manifest text primary key, manifest_sha256 text not null, proven_by text not null, proven_at text not null)
    without rowid;
insert into receipts_4
    select a.manifest, r.manifest_sha256, r.proven_by, r.proven_at
    from receipts r join archives a on a.id = r.archive_id;
create table indexed_4 (manifest text primary key, blocks integer not null) without rowid;
insert into indexed_4 select a.manifest, i.blocks from indexed i join archives a on a.id = i.archive_id;
create table blocks_4 (
    id integer primary key, manifest text not null, number integer not null, names blob not null,
    lines blob not null, proof blob not null);
insert into blocks_4
    select b.id, a.manifest, b.number, b.names, b.lines, b.proof from blocks b join archives a on a.id = b.archive_id;
create table restores_4 (
    manifest text not null, destination blob not null, started text not null,
    primary key (manifest, destination)) without rowid;
insert into restores_4
    select a.manifest, r.destination, r.started from restores r join archives a on a.id = r.archive_id;
drop table receipts;
drop table indexed;
drop table blocks;
drop table restores;
drop table thaws;
drop table attempts;
drop table archives;
alter table archives_4 rename to archives;
alter table receipts_4 rename to receipts;
alter table indexed_4 rename to indexed;
alter table blocks_4 rename to blocks;
alter table restores_4 rename to restores;
create index archive_of_item on archives (item);
create unique index block_of_archive on blocks (manifest, number);
create table objects (
    manifest text primary key, data text not null, number integer not null, list blob not null) without rowid;
create index objects_below on objects (data);
create table attempts (
    device text not null, root blob not null, item blob not null, archive_id text not null, prefix text not null,
    how text not null, started text not null, manifest text not null,
    primary key (device, root, item, archive_id)) without rowid;
alter table runs add column device text not null default '';
""",
)
"""Each brings the schema from one version to the next; what was written is never changed.

From the fourth version on, an archive is named by the key of its manifest, and what was known by archive id is known
by that. Interrupted attempts of an older version are left to `prune`.
"""
COLUMNS_OF_3 = (
    *("id", "run", "item", "root", "scope", "manifest", "files", "bytes", "created", "seen"),
    *("host", "storage_class", "manifest_size"),
)
"""Of archives in the third version, in the order that their proofs follow from."""
SCHEMA_VERSION = len(MIGRATIONS)
