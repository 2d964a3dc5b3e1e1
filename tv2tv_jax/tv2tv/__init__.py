"""The TV2TV model: tokens and frame chunks in, words and velocities out."""
