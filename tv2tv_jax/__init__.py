"""TV2TV in JAX: one model that writes and films."""
