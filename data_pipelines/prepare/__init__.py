"""Corpus to ArrayRecord, once."""
