"""Our parameters under the names of `modeling_tv2tv.py`, and PyTorch's axes.

Towers have Llama's names, a module for each layer; all else has ours, with
`weight` for kernel and scale. A matrix is `[out, in]` there, a kernel
`[out, in, ...]`. The VAE stands beside the model, its names begin with `vae.`.
"""

from flax import nnx
import jax

from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import llama
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import vae as vae_lib

VAE = 'vae'  # What the names of its tensors begin with.
_ENDS = {
  'embedding': ('embed_tokens.weight', 'V D->VD'),
  'head.kernel': ('lm_head.weight', 'V D->DV'),
}
_TOWERS = ('text', 'video')
_STACK = 'transformer.blocks'
# Of kernels: convolutions of clips and of pictures; attention; matrices.
_KERNELS = {
  5: 'O I T Y X->TYXIO',
  4: 'O I Y X->YXIO',
  3: 'KH C->CKH',
  2: 'O I->IO',
}
_OUTPUT = 'C KH->KHC'
_PLAIN = 'ABCD'


def model(config: model_lib.ModelConfig) -> list[leaf_lib.Leaf]:
  """Every tensor of the model, in the order of its modules."""
  born = jax.eval_shape(lambda: model_lib.Tv2tv(config, rngs=nnx.Rngs(0)))
  shapes = leaf_lib.shapes(born)
  leaves = {
    name: leaf_lib.Leaf(there, name, axes, shapes[name])
    for name, (there, axes) in _ENDS.items()
    if name in shapes
  }
  found = [leaves.pop('embedding')]
  for name in _TOWERS:
    found += llama.tower(name, f'{_STACK}.{name}', config.towers)
    norm = f'transformer.{name}_norm.scale'
    found.append(
      leaf_lib.Leaf(f'{name}.norm.weight', norm, 'D->D', shapes[norm])
    )
  found += [
    _named_as_here(name, shape)
    for name, shape in shapes.items()
    if name.startswith('frames.')
  ]
  return [*found, *leaves.values()]


def vae(config: vae_lib.VaeConfig) -> list[leaf_lib.Leaf]:
  """Every tensor of the VAE; their names here are those of the VAE alone."""
  born = jax.eval_shape(lambda: vae_lib.Vae(config, rngs=nnx.Rngs(0)))
  leaves = (
    _named_as_here(name, shape) for name, shape in leaf_lib.shapes(born).items()
  )
  return [leaf._replace(source=f'{VAE}.{leaf.source}') for leaf in leaves]


def _named_as_here(name: str, shape: tuple[int, ...]) -> leaf_lib.Leaf:
  """A parameter outside the towers."""
  module, _, own = name.rpartition('.')
  if own == 'kernel':
    axes = _KERNELS[len(shape)]
    if len(shape) == 3 and module.endswith('.output'):
      axes = _OUTPUT
  else:
    plain = _PLAIN[: len(shape)]
    axes = f'{" ".join(plain)}->{plain}'
  there = {'kernel': 'weight', 'scale': 'weight'}.get(own, own)
  return leaf_lib.Leaf(f'{module}.{there}', name, axes, shape)
