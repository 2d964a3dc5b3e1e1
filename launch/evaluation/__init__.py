"""Evaluation: a table for each checkpoint of a run, or for finished stories."""
