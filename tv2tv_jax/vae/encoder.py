"""Frames to the parameters of a Gaussian over latents."""

from collections.abc import Sequence

from flax import nnx
import jax
from jaxtyping import Array, Float

from tv2tv_jax.nn import conv
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet
from tv2tv_jax.vae import config as config_lib
from tv2tv_jax.vae import fold

# One array per causal convolution, in the order in which they run.
Past = tuple[Float[Array, 'B _ _ _ _'], ...]


class Encoder(nnx.Module):
  """Levels of packing and causal residual blocks, from frames to latents."""

  def __init__(self, config: config_lib.VaeConfig, *, rngs: nnx.Rngs):
    self.config = config
    stems, blocks, width = [], [], config.channels
    for size, out, depth in zip(
      config.encoder_folds,
      config.encoder_widths,
      config.encoder_depths,
      strict=True,
    ):
      packed = width * size[0] * size[1] * size[2]
      stems.append(conv.Conv2d(packed, out, (1, 1), rngs=rngs))
      blocks.append(level_blocks(config, out, depth, rngs))
      width = out
    self.stems = nnx.List(stems)
    self.blocks = nnx.List(blocks)
    self.norm = norm.RmsNorm(width)
    self.out = conv.Conv2d(
      width, 2 * config.latent_channels, rngs=rngs, scale=0.1
    )

  def __call__(
    self, frames: Float[Array, 'B T Y X C'], past: Past | None = None
  ) -> tuple[Float[Array, 'B N V U K'], Past]:
    """Means and log-variances side by side in `2 Z` channels, and the past."""
    begins, x, new = past is None, frames, []
    for size, stem, blocks in zip(
      self.config.encoder_folds, self.stems, self.blocks, strict=True
    ):
      x = stem(fold.fold(x, size, begins))
      x = run_blocks(blocks, x, past, new)
    return self.out(jax.nn.silu(self.norm(x))), tuple(new)


def level_blocks(
  config: config_lib.VaeConfig, width: int, depth: int, rngs: nnx.Rngs
) -> Sequence[resnet.CausalResidualBlock]:
  """The residual blocks of one level."""
  return nnx.List(
    resnet.CausalResidualBlock(
      width, config.taps, rngs=rngs, lowering=config.lowering
    )
    for _ in range(depth)
  )


def run_blocks(
  blocks: Sequence[resnet.CausalResidualBlock],
  x: Float[Array, 'B T Y X D'],
  past: Past | None,
  new: list[Float[Array, 'B _ _ _ _']],
) -> Float[Array, 'B T Y X D']:
  """Runs a level's blocks; reads `past` at, and appends to, `new`."""
  for block in blocks:
    x, kept = block(x, None if past is None else past[len(new)])
    new.append(kept)
  return x
