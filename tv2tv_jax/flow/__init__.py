"""The mathematics of flow matching: pure functions, no parameters."""
