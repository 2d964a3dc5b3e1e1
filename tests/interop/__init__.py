"""Tests of `tv2tv_jax.interop`."""
