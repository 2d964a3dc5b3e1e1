"""What a story depends on besides its script and its start."""

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax

from launch import storyteller as storyteller_lib
from launch.stories import fields
from tv2tv_jax.sample import settings as settings_lib


def of(teller: storyteller_lib.Storyteller) -> dict[str, dict[str, Any]]:
  """What is compiled in, the weights, and what computes; for JSON."""
  own = settings_lib.Settings._fields
  fixed = {k: v for k, v in vars(teller.config).items() if k not in own}
  return {
    'sample': fixed,
    'checkpoint': dict(teller.checkpoint),
    'software': {
      'jax': metadata.version('jax'),
      'jaxlib': metadata.version('jaxlib'),
      'platform': jax.default_backend(),
      'device': _device(),
      'mesh': teller.mesh,
    },
  }


def differences(
  record: Mapping[str, Any], teller: storyteller_lib.Storyteller
) -> list[str]:
  """A line for each of these that is another now than in a record."""
  lines = []
  for name, values in of(teller).items():
    then = record[name]
    for field in sorted({*values, *then}):
      now, was = values.get(field), then.get(field)
      if now != was:
        lines.append(
          f'{name}.{field} is {fields.shown(now)}, was {fields.shown(was)}'
        )
  return lines


def _device() -> str:
  """What computes: processors differ in how they round."""
  kind = jax.devices()[0].device_kind
  if kind != 'cpu':
    return kind
  try:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
      line = next(line for line in file if line.startswith('model name'))
  except (OSError, StopIteration):
    return kind
  return line.partition(':')[2].strip()
