"""The inverse dynamics model of a workdir: trained there once, read again.

`launch.witness` trains it on a recording. What it was trained on lies beside
its checkpoints, so that films are read without the recording, and film that it
cannot read is named.
"""

from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

from flax import nnx

from data_pipelines import records
from launch import witness
from launch.stories import fields
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import digest
from tv2tv_jax.train import leader
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib

NAME = 'reader.json'
# Whatever the machine: figures of one model are held against another's.
_STEPS = 900
_TRAIN = dataclasses.replace(
  witness.TRAIN, steps=_STEPS, save_every=_STEPS // 3, minutes=None
)
_KINDS = {
  'controls': list,
  'rate': float,
  'chunk_frames': int,
  'height': int,
  'width': int,
}


class Reader(NamedTuple):
  """What reads controls off film.

  Attributes:
    model: the net.
    names: of the controls of the recording that it learned from.
    rate: frames a second of it.
    fingerprint: of all numbers of the model.
  """

  model: inverse_dynamics.InverseDynamics
  names: tuple[str, ...]
  rate: float
  fingerprint: str

  def check(self, film: Mapping[str, Any], where: str) -> None:
    """ValueError if it cannot read film of a story's rate, chunks and size."""
    config = self.model.config
    own = {
      'rate': self.rate,
      'chunk_frames': config.chunk_frames,
      'size': [config.height, config.width],
    }
    for field, value in own.items():
      if film[field] != value:
        raise ValueError(
          f'{where}: {field} is {film[field]}, the inverse dynamics model '
          f'reads {value}: train one on such film'
        )


def trained(workdir: pathlib.Path, dataset: str, vae: str) -> Reader:
  """The reader of a workdir, trained there first where there is none.

  Args:
    workdir: of the inverse dynamics model.
    dataset: recorded takes; '': it must be trained.
    vae: folder of the VAE whose copies it learns to read, too; likewise.

  Raises:
    ValueError: it is not there, and cannot be trained for want of these.
  """
  if not (workdir / NAME).exists():
    if not dataset or not vae:
      raise ValueError(
        f'--witness {workdir}: no {NAME} there; it is trained where --records '
        'and --vae are given'
      )
    folder = vae_folder.restored(pathlib.Path(vae))
    model = witness.train(dataset, folder, workdir, _TRAIN)
    leader.does(functools.partial(_keep, workdir, dataset, model))
  return restored(workdir)


def restored(workdir: pathlib.Path) -> Reader:
  """The reader of a workdir.

  Raises:
    ValueError: none is there, or one of another shape than it says.
  """
  path = workdir / NAME
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ValueError(f'{path}: no reader ({error.strerror})') from None
  values = fields.whole(fields.parsed(data, str(path)), _KINDS, str(path))
  config = inverse_dynamics.InverseDynamicsConfig(
    chunk_frames=values['chunk_frames'],
    height=values['height'],
    width=values['width'],
  )
  model = checkpoint.restore_model(
    workdir,
    lambda key: inverse_dynamics.InverseDynamics(config, rngs=nnx.Rngs(key)),
  )
  names = tuple(map(str, values['controls']))
  return Reader(model, names, values['rate'], fingerprint(model))


def fingerprint(model: nnx.Module) -> str:
  """Names a model by all its numbers."""
  numbers = digest.digests(checkpoint.named(model))
  return hashlib.sha256(repr(sorted(numbers.items())).encode()).hexdigest()[:16]


def _keep(
  workdir: pathlib.Path, dataset: str, model: inverse_dynamics.InverseDynamics
) -> None:
  """Writes what a model was trained on."""
  take, config = records.Takes(dataset, 'train')[0], model.config
  values = {
    'controls': list(take.control_names),
    'rate': take.rate,
    'chunk_frames': config.chunk_frames,
    'height': config.height,
    'width': config.width,
  }
  workdir_lib.write_whole(workdir / NAME, json.dumps(values, indent=2) + '\n')
