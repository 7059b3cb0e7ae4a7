"""A store in use: which it is, what it really does, how it is written to, and what it shows."""
