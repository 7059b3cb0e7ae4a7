"""Plan -> archives."""
