"""What several tests of stories are told in."""

import pytest

from tv2tv_jax.mot import past


@pytest.fixture(scope='module')
def small_blocks():
  """So small that a short story fills several of them."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(past, 'BLOCK', 8)
    yield
