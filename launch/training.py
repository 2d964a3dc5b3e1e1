"""What programs that train have in common: their flags, and checks of a run."""

import dataclasses
import importlib
from typing import Any

from absl import flags
from ml_collections import config_flags

from tv2tv_jax.train import profile
from tv2tv_jax.train import workdir as workdir_lib

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File of the configuration.', lock_config=True
)
WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
RESET_DATA = flags.DEFINE_bool(
  'reset_data', False, 'Go on with other data, from their start.'
)
_PROFILE = flags.DEFINE_list(
  'profile_steps', None, 'FIRST,LAST: steps to trace into profile/, for xprof.'
)
_TENSORBOARD = flags.DEFINE_bool(
  'tensorboard', False, 'Draw the metrics into tensorboard/, too.'
)
flags.mark_flags_as_required(['config', 'workdir'])


def extras() -> dict[str, Any]:
  """What flags ask of a run, as extras of `loop.train`.

  Raises:
    ValueError: no steps to trace, or a package that is missing.
  """
  return {'profile': _profile(), 'board': _board()}


def _profile() -> profile.Steps | None:
  """The steps to trace."""
  if not _PROFILE.value:
    return None
  try:
    first, last = map(int, _PROFILE.value)
  except ValueError:
    first, last = 0, 0
  if not 1 <= first <= last:
    raise ValueError(
      f'--profile_steps={",".join(_PROFILE.value)}: give the first step to '
      'trace and the last, as in --profile_steps=10,14'
    )
  return profile.Steps(first, last)


def _board() -> Any:
  """What opens the curves of TensorBoard."""
  if not _TENSORBOARD.value:
    return None
  try:
    return importlib.import_module('tv2tv_jax.train.tensorboard').board
  except ModuleNotFoundError as error:
    raise ValueError(
      f'--tensorboard needs the package {error.name}: '
      "pip install -e '.[tensorboard]'"
    ) from None


def fields(config: Any, where: str) -> dict[str, str]:
  """The fields of a dataclass by name, but for those that change no result."""
  found = {}
  for field in dataclasses.fields(config):
    path, value = f'{where}.{field.name}', getattr(config, field.name)
    if dataclasses.is_dataclass(value):
      found |= fields(value, path)
    elif path not in workdir_lib.FREE:
      found[path] = repr(value)
  return found
