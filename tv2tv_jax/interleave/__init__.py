"""Stories, and who may look at whom in them."""
