"""The care of a target: verify, repair, prune."""
