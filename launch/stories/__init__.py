"""Telling stories from the command line: what is asked, and what is kept."""
