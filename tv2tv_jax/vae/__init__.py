"""The causal video VAE: 1 + 4n frames to 1 + n latents and back."""
