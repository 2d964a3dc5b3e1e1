"""The golden table of a preset: every parameter's name, shape, dtype, layout.

  python -m tests.tv2tv.golden

writes the tables anew into `tests/golden`; look at the difference before you
keep it. Nothing is computed: 8b takes seconds.
"""

import pathlib

from flax import nnx
import jax

from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.tv2tv import presets

FOLDER = pathlib.Path(__file__).parents[1] / 'golden'
MESH = (2, 2, 2)


def parameters(name: str) -> dict[str, jax.ShapeDtypeStruct]:
  """The parameters of a preset by name, under the mesh that is set."""
  config = presets.preset(name)
  abstract = sharding.abstract(
    lambda key: model_lib.Tv2tv(config, rngs=nnx.Rngs(key)), jax.random.key(0)
  )
  return checkpoint.named(abstract)


def table(name: str) -> str:
  """One line for each parameter."""
  return ''.join(
    f'{key} {"x".join(map(str, leaf.shape))} {leaf.dtype} '
    f'{tuple(leaf.sharding.spec)}\n'
    for key, leaf in sorted(parameters(name).items())
  )


if __name__ == '__main__':
  jax.config.update('jax_num_cpu_devices', 8)
  FOLDER.mkdir(exist_ok=True)
  with jax.set_mesh(sharding.make_mesh(MESH)):
    for preset in presets.names():
      (FOLDER / f'{preset}.txt').write_text(table(preset))
