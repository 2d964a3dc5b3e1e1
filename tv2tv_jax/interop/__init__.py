"""Weights of others, under our names."""
