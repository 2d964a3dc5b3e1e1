"""People as judges: a blinded page of pairs, and what their answers come to."""
