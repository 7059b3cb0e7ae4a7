"""The tasks: one file each, with what the task does on one page."""
