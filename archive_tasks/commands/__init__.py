"""The tasks: one file each, with its flags. What a task does is in `flows`."""
