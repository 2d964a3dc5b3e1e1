"""Processes for tests that end them, measure them or join them."""

import multiprocessing
import os
import pathlib

import pytest


@pytest.fixture(scope='session')
def processes():
  """Makes processes that have imported all they need, but begun nothing."""
  context = multiprocessing.get_context('forkserver')
  names = ('victim', 'heavy', 'pair')
  context.set_forkserver_preload([f'tests.train.{name}' for name in names])
  root = str(pathlib.Path(__file__).parents[2])
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('PYTHONPATH', root, prepend=os.pathsep)
    yield context


@pytest.fixture
def run_process(processes):
  """Runs a function in a process of its own; gives its exit code."""

  def run(target, *args):
    process = processes.Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode

  return run
