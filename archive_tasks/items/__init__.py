"""One item, entry by entry."""
