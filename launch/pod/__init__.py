"""What a compiled step will take of a slice of chips, without the slice."""
