"""Training: objective, step, loop, checkpoints and metrics."""
