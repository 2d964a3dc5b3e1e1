"""VAEs small enough to test every law on."""

import functools

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.vae import cosmos
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import vae as vae_lib
from tv2tv_jax.vae import wan

FOLDS = folds.FoldsConfig(
  encoder_folds=((4, 8, 8),),
  encoder_widths=(16,),
  encoder_depths=(2,),
  decoder_folds=((1, 1, 1), (2, 2, 2), (2, 4, 4)),
  decoder_widths=(12, 16, 8),
  decoder_depths=(1, 0, 1),
)
PYRAMID = folds.FoldsConfig(
  encoder_folds=((1, 2, 2), (2, 2, 2), (2, 2, 2)),
  encoder_widths=(8, 12, 16),
  encoder_depths=(1, 1, 1),
  decoder_folds=((2, 2, 2), (2, 2, 2), (1, 2, 2)),
  decoder_widths=(16, 12, 8),
  decoder_depths=(1, 1, 1),
  taps=3,
  linear_path=False,
)
# One convolution each is the fastest to compile; tests/nn holds that all
# lowerings agree.
WAN = wan.WanConfig(
  width=8,
  decoder_width=12,
  multiples=(1, 1, 2, 2),
  blocks=1,
  lowering='volume',
)
COSMOS = cosmos.CosmosConfig(
  encoder_widths=(8, 8, 12, 16),
  decoder_widths=(8, 8, 12, 16),
  blocks=1,
  resolution=64,
  attention_resolutions=(16,),
  lowering='volume',
)
# Tests run a program once or twice: it need not be a fast one.
jit = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)
FAMILIES = {'folds': FOLDS, 'pyramid': PYRAMID, 'wan': WAN, 'cosmos': COSMOS}


def new(config: vae_lib.VaeConfig, seed: int = 0) -> vae_lib.Vae:
  """A VAE whose every number shows, drawn by NumPy: nothing to compile."""
  rng = np.random.default_rng(seed)
  make = functools.partial(vae_lib.Vae, config)
  abstract = jax.eval_shape(lambda: make(rngs=nnx.Rngs(0)))

  def draw(path, leaf):
    numbers = rng.normal(size=leaf.shape).astype(np.float32)
    kind = jax.tree_util.keystr(path)
    if 'kernel' in kind:
      numbers *= np.prod(leaf.shape[:-1]) ** -0.5
    else:
      numbers = ('scale' in kind) + 0.1 * numbers
    return sharding.place(jnp.asarray(numbers))

  return jax.tree_util.tree_map_with_path(draw, abstract)
