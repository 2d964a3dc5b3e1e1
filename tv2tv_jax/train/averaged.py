"""Of a checkpoint the averaged weights alone: all that inference reads.

What is written is a checkpoint like any other, but for the parts that it lacks:
`checkpoint.restore_model` reads it, and no run goes on from it.
"""

import json
import pathlib

import jax
import jax.numpy as jnp

from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint

_PART = 'ema'
# Orbax asks whether these files are there, and writes its own path into them.
_COMMITTED = 'commit_success.txt'


def write(workdir: pathlib.Path, step: int, place: pathlib.Path) -> None:
  """Gives `place` a checkpoint with the averaged weights of one of `workdir`.

  They are the same numbers, bit for bit, with the same digests. Nothing that is
  written says where it was written. They pass through this host's memory: no
  mesh may be set.

  Raises:
    NoCheckpointError: the checkpoint is not whole.
  """
  folder = workdir.absolute() / checkpoint.FOLDER / str(step)
  try:
    contents = bundle.read_contents(folder)
    wanted = {_PART: _abstract(contents)}
    weights = bundle.read(folder, wanted, contents)
  except bundle.DamagedError as error:
    raise checkpoint.NoCheckpointError(
      f'{folder}: not whole: {error}'
    ) from None
  rest = {'data': {}, 'fingerprints': contents['fingerprints']}
  copy = place.absolute() / checkpoint.FOLDER / str(step)
  bundle.write(copy, weights, bundle.contents(weights, **rest))
  for path in copy.rglob(_COMMITTED):
    path.write_text('whole\n')


def _abstract(contents: bundle.Contents) -> dict[str, jax.ShapeDtypeStruct]:
  """What the averaged weights are like, on one processor of this host."""
  host = jax.sharding.SingleDeviceSharding(jax.local_devices(backend='cpu')[0])
  found = {}
  for name, array in contents['arrays'].items():
    part, _, own = name.partition('.')
    if part == _PART:
      kind, _, shape = array['type'].partition('[')
      found[own] = jax.ShapeDtypeStruct(
        json.loads(f'[{shape}'), jnp.dtype(kind), sharding=host
      )
  return found
