"""Records and streams: what is on disk, and how batches come of it."""
