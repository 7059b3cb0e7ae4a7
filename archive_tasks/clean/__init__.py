"""Proven archives -> free space."""
