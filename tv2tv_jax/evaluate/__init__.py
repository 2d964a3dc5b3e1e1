"""What a film is worth: its pictures, its motion, and whether it obeys."""
