"""Root -> plan."""
