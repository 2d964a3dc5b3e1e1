"""Latents to frames."""

from flax import nnx
import jax
from jaxtyping import Array, Float

from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import norm
from tv2tv_jax.vae import config as config_lib
from tv2tv_jax.vae import encoder
from tv2tv_jax.vae import fold


class Decoder(nnx.Module):
  """Levels of causal residual blocks and unpacking, from latents to frames."""

  def __init__(self, config: config_lib.VaeConfig, *, rngs: nnx.Rngs):
    self.config = config
    first, *rest = config.decoder_widths
    self.stem = causal_conv.CausalConv3d(
      config.latent_channels,
      first,
      (config.taps, 3, 3),
      rngs=rngs,
      lowering=config.lowering,
    )
    self.blocks = nnx.List(
      encoder.level_blocks(config, width, depth, rngs)
      for width, depth in zip(
        config.decoder_widths, config.decoder_depths, strict=True
      )
    )
    self.norms = nnx.List(norm.RmsNorm(w) for w in config.decoder_widths)
    *inner, (t, y, x) = config.decoder_folds
    self.heads = nnx.List(
      conv.Conv2d(width, out * a * b * c, (1, 1), rngs=rngs)
      for width, out, (a, b, c) in zip(
        config.decoder_widths, rest, inner, strict=False
      )
    )
    self.out = conv.Conv2d(
      config.decoder_widths[-1],
      config.channels * t * y * x,
      rngs=rngs,
      scale=0.03 if config.linear_path else 1.0,
    )

  def __call__(
    self,
    latents: Float[Array, 'B N V U Z'],
    past: encoder.Past | None = None,
  ) -> tuple[Float[Array, 'B T Y X C'], encoder.Past]:
    """The frames and the past; `past=None` begins a clip."""
    begins, new = past is None, []
    x, kept = self.stem(latents, None if past is None else past[0])
    new.append(kept)
    heads = [*self.heads, self.out]
    for size, blocks, scale, head in zip(
      self.config.decoder_folds, self.blocks, self.norms, heads, strict=True
    ):
      x = encoder.run_blocks(blocks, x, past, new)
      x = head(jax.nn.silu(scale(x)))
      x = fold.unfold(x, size, begins)
    return x, tuple(new)
