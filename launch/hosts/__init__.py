"""Processes of one run: how they find one another, and end together."""
