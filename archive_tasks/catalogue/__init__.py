"""This machine's memory of what was archived, in SQLite. It can be made again from the target."""
