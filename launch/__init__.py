"""Programs: the only place with flags."""
