"""Eight devices on one CPU, and shapes checked at every call."""

import os

# No accelerator, and patience where few cores play many devices.
os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = ' '.join(
  [
    os.environ.get('XLA_FLAGS', ''),
    '--xla_cpu_collective_call_terminate_timeout_seconds=240',
  ]
)

import jax
import jaxtyping
import pytest

# Before anything of the package is imported: it rewrites what it imports.
jaxtyping.install_import_hook('tv2tv_jax', 'beartype.beartype')
jax.config.update('jax_num_cpu_devices', 8)


@pytest.fixture
def mesh(request):
  """The mesh (2, 2, 2), set; another shape by indirect parametrization."""
  from tv2tv_jax import sharding  # After the hook.

  with jax.set_mesh(sharding.make_mesh(getattr(request, 'param', (2, 2, 2)))):
    yield jax.sharding.get_mesh()
