"""Whether devices can share rows, and tokens of rows, out evenly."""

from tv2tv_jax import sharding


def check(name: str, count: int, axis: str, parts: int = 1) -> None:
  """ValueError unless devices and parts of a batch can share something out.

  Args:
    name: of what the config calls it.
    count: rows, or tokens of a row.
    axis: the logical axis that they lie along.
    parts: that each device takes one after another.
  """
  devices = sharding.devices_along(axis)
  wanted = devices * parts
  if count % wanted:
    names = sharding.RULES[axis]
    names = (names,) if isinstance(names, str) else names
    shared = f'{devices} devices along {" x ".join(names)}'
    taken = f', in {parts} parts (config.train.accumulate)' if parts > 1 else ''
    raise ValueError(
      f'{name} is {count}, which {shared} cannot share out evenly{taken}: give '
      f'a multiple of {wanted}, or another --mesh'
    )
