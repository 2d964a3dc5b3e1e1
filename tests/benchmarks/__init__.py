"""Measurements beside other systems: never part of the test suite."""
