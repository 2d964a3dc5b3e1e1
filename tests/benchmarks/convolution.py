r"""A causal 3 x 3 x 3 convolution in every lowering, beside PyTorch.

  python -m tests.benchmarks.convolution [--dtype bfloat16] [--backward]
      [--topology v5p:2x2x1]

For each shape of the VAEs: GFLOP/s by the count of a plain convolution, minima
of runs in turn. PyTorch's layouts are NCDHW and, where it has it,
channels_last_3d; it runs on a GPU where JAX does.

With `--topology` nothing runs: one chip's program is compiled for that TPU, on
any machine that has libtpu (`pip install -e .[tpu]`), and what its compiler
expects of the time is given instead.
"""

import argparse
import math
import os

from flax import nnx
import jax
from jax.experimental import topologies
import jax.numpy as jnp
import numpy as np
import torch

from tests.benchmarks import rounds
from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv

# frames, rows, columns, inputs, outputs
_SMALL = (
  (17, 64, 64, 3, 32),
  (17, 64, 64, 32, 32),
  (17, 32, 32, 64, 64),
  (9, 16, 16, 128, 128),
  (5, 8, 8, 128, 128),
  (17, 64, 64, 32, 3),
)
_LARGE = (
  (17, 256, 448, 96, 96),
  (17, 128, 224, 192, 192),
  (9, 64, 112, 384, 384),
  (5, 32, 56, 384, 384),
  (17, 256, 448, 96, 3),
)
_LOWERINGS = ('volume', 'planes', 'winograd')


def _program(shape, lowering, backward):
  """Our layer, and what is run of it."""
  *_, inputs, outputs = shape
  layer = causal_conv.CausalConv3d(
    inputs,
    outputs,
    rngs=nnx.Rngs(0),
    config=causal_conv.ConvConfig(lowering=lowering),
  )

  def loss(layer, x):
    return jnp.mean(jnp.square(layer(x)[0].astype(jnp.float32)))

  run = jax.grad(loss, argnums=(0, 1)) if backward else lambda f, x: f(x)[0]
  return layer, run


def _ours(shape, lowering, dtype, backward):
  """A run of our layer, compiled."""
  layer, run = _program(shape, lowering, backward)
  x = jax.random.normal(jax.random.key(0), (1, *shape[:-1]), dtype)
  run = jax.jit(run, compiler_options=conv.compiler_options())
  return lambda: jax.block_until_ready(run(layer, x))


def _expected(shape, lowering, dtype, backward, chip):
  """Seconds of it on a chip, by the estimate of the chip's compiler."""
  layer, run = _program(shape, lowering, backward)
  x = jax.ShapeDtypeStruct((1, *shape[:-1]), dtype)
  layer, x = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=chip),
    (layer, x),
  )
  cost = jax.jit(run).lower(layer, x).compile().cost_analysis()
  return cost['optimal_seconds']


def _estimate(flags) -> None:
  """Prints what a TPU's compiler expects of each lowering."""
  chip, name = flags.topology.partition(':')[0], flags.topology
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('TPU_ACCELERATOR_TYPE', f'{chip}-8')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
  described = topologies.get_topology_desc(platform='tpu', topology_name=name)
  device = jax.sharding.SingleDeviceSharding(described.devices[0])
  print(f'{"shape":26}', *(f'{name:>13}' for name in _LOWERINGS))
  for shape in _LARGE:
    seconds = [
      _expected(shape, name, flags.dtype, flags.backward, device)
      for name in _LOWERINGS
    ]
    size = 'x'.join(map(str, shape))
    print(f'{size:26}', *(f'{1e3 * s:10.2f} ms' for s in seconds), flush=True)


def _theirs(shape, dtype, backward, layout):
  """The same of PyTorch, with the past before the clip."""
  frames, rows, columns, inputs, outputs = shape
  device = 'cuda' if jax.default_backend() == 'gpu' else 'cpu'
  kind = getattr(torch, dtype)
  layer = torch.nn.Conv3d(inputs, outputs, 3, padding=(0, 1, 1))
  layer = layer.to(device, kind, memory_format=layout)
  x = torch.randn(1, inputs, frames + 2, rows, columns, device=device)
  x = x.to(kind, memory_format=layout).requires_grad_(backward)

  def run():
    with torch.set_grad_enabled(backward):
      y = layer(x)
      if backward:
        y.float().square().mean().backward()
    if device == 'cuda':
      torch.cuda.synchronize()

  return run


def main() -> None:
  """Measures, prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--dtype', default='float32')
  parser.add_argument('--backward', action='store_true')
  parser.add_argument('--topology', help='of a TPU, such as v5p:2x2x1')
  flags = parser.parse_args()
  what = 'forward and backward' if flags.backward else 'forward'
  if flags.topology:
    where = f'{flags.topology}, as its compiler expects (jax {jax.__version__})'
    print(f'{where}; {flags.dtype}, {what}')
    _estimate(flags)
    return
  torch.set_num_threads(os.cpu_count())
  print(f'{rounds.machine()}; {flags.dtype}, {what}, GFLOP/s')
  layouts = {
    'torch': torch.contiguous_format,
    'channels_last': torch.channels_last_3d,
  }
  print(f'{"shape":26}', *(f'{n:>13}' for n in (*_LOWERINGS, *layouts)))
  shapes = _SMALL if jax.default_backend() == 'cpu' else _LARGE
  for shape in shapes:
    dtype, backward = flags.dtype, flags.backward
    runs = {n: _ours(shape, n, dtype, backward) for n in _LOWERINGS}
    for name, layout in layouts.items():
      runs[name] = _theirs(shape, dtype, backward, layout)
    times = rounds.timed(flags.rounds, 3, **runs)
    operations = 54 * math.prod(shape) * (3 if backward else 1)
    rates = [operations / min(times[name]) / 1e9 for name in runs]
    size = 'x'.join(map(str, shape))
    print(f'{size:26}', *(f'{np.round(rate):13.0f}' for rate in rates))


if __name__ == '__main__':
  main()
