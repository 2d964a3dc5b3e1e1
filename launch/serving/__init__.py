"""The studio: stories asked for, queued, filmed side by side and forked."""
