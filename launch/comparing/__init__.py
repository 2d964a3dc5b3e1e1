"""The comparison: stages, what is asked of every model, and the page."""
