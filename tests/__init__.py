"""What is true of tv2tv_jax; the folders mirror its rooms."""
