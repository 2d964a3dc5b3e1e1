"""Values only: each file states its command and what to expect of it."""
