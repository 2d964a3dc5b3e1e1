"""Ten seconds and more of real game, filmed once a session."""

import pytest

from data_pipelines.prepare import record
from data_pipelines.sources import vizdoom

SOURCE = vizdoom.Vizdoom(minutes=0.6, seed=7)


@pytest.fixture(scope='session')
def recording(tmp_path_factory):
  """A directory with a small recording of three maps."""
  out = tmp_path_factory.mktemp('film') / 'doom'
  record.record(SOURCE, out, processes=1)
  return out
