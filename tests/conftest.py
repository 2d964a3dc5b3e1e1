"""Eight devices on one CPU, and shapes checked at every call."""

from importlib import metadata
import os

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


@pytest.fixture
def mesh(request):
  """The mesh (2, 2, 2), set; another shape by indirect parametrization."""
  from tv2tv_jax import sharding  # After the hook.

  with jax.set_mesh(sharding.make_mesh(getattr(request, 'param', (2, 2, 2)))):
    yield jax.sharding.get_mesh()
