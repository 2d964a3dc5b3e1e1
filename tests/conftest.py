"""Eight devices on one CPU, and shapes checked at every call."""

import atexit
import gc
from importlib import metadata
import os
import shutil
import tempfile

# No accelerator, and patience where few cores play many devices. Most programs
# run once: XLA's passes for fast ones took six times as long as all the rest.
# What tests start inherits it. Versions after 0.10 have one kind of emitter.
os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = ' '.join(
  [
    '--xla_cpu_collective_call_terminate_timeout_seconds=240',
    '--xla_backend_optimization_level=0',
    '--xla_cpu_use_fusion_emitters=false'
    if metadata.version('jax').startswith('0.10.')
    else '',
    os.environ.get('XLA_FLAGS', ''),
  ]
)

# What one process has compiled serves the others of this run, and the programs
# that tests start; the next run begins anew.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  compiled = tempfile.mkdtemp(prefix='tv2tv-compiled-')
  atexit.register(shutil.rmtree, compiled, ignore_errors=True)
  os.environ['JAX_COMPILATION_CACHE_DIR'] = compiled
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'

import hypothesis
import jax
import jaxtyping
import pytest

# Before anything of the package is imported: it rewrites what it imports.
jaxtyping.install_import_hook('tv2tv_jax', 'beartype.beartype')
jax.config.update('jax_num_cpu_devices', 8)
# No test fails for being slow, nor for what another run has found.
hypothesis.settings.register_profile('tests', deadline=None, database=None)
hypothesis.settings.load_profile('tests')
# What jax traces is a great many objects and hardly any garbage: to look for
# it as often as Python does took a tenth of the time.
gc.set_threshold(100_000, 20, 100)


def pytest_collection_modifyitems(items):
  """Files with slow tests come first: none is left when all else is done."""
  slow = {item.path for item in items if item.get_closest_marker('slow')}
  items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
  """What has been imported stays: it need not be looked at again."""
  gc.collect()
  gc.freeze()


@pytest.fixture
def mesh(request):
  """The mesh (2, 2, 2), set; another shape by indirect parametrization."""
  from tv2tv_jax import sharding  # After the hook.

  with jax.set_mesh(sharding.make_mesh(getattr(request, 'param', (2, 2, 2)))):
    yield jax.sharding.get_mesh()
