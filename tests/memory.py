"""Memory of the process that asks, as Linux counts it.

`ru_maxrss` would not do for what a test starts: after exec it begins where
the parent's was, and a parent that has compiled much is larger than its child.
"""

import pathlib


def held() -> int:
  """The memory that this process holds, bytes."""
  return _field('VmRSS')


def peak() -> int:
  """The most memory that this process has held since it began, bytes.

  It began with its own program, at exec, or where `forget` was called.
  """
  return _field('VmHWM')


def forget() -> None:
  """Lets the peak begin anew, at what is held now."""
  pathlib.Path('/proc/self/clear_refs').write_text('5')


def _field(name: str) -> int:
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  line = next(line for line in lines if line.startswith(f'{name}:'))
  return int(line.split()[1]) * 1024  # of `kB`
