"""Layers that every model of the house is built from."""
