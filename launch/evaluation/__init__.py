"""The evaluation job: a table for each checkpoint of a run."""
