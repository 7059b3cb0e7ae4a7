"""What each task does, in order: from the settings to the last line and the exit code."""
