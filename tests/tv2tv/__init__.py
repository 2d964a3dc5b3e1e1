"""Tests of tv2tv_jax/tv2tv."""
