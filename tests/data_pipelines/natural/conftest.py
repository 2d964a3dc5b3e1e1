"""A server of the chat API, and nothing that leads away from it."""

import pytest

from tests.data_pipelines.natural import server as server_lib


@pytest.fixture
def server(monkeypatch):
  """A well-behaved server on this machine."""
  monkeypatch.setenv('NO_PROXY', '127.0.0.1')
  monkeypatch.setenv('no_proxy', '127.0.0.1')
  with server_lib.running() as told:
    yield told
