"""Archives -> files."""
