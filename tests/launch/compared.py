"""A comparison that is small."""

import dataclasses

from configs import comparison
from configs import doom_compare
from tv2tv_jax import config as config_lib


def config(**changes) -> comparison.Comparison:
  """That of some minutes, with some fields of others."""
  values = doom_compare.get_config('minutes')
  config = config_lib.from_config_dict(comparison.Comparison, values)
  return dataclasses.replace(config, **changes)
