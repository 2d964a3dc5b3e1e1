"""A run goes on after the last batch it used, with the data it was begun on."""

import json
import pathlib

import jax
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.train import feed as feed_lib

_WHERE = pathlib.Path('workdir')


class _Count:
  """Batches of numbers, from 0 on."""

  def __init__(self):
    self.drawn = 0

  def __next__(self):
    self.drawn += 1
    return {'x': np.full(8, self.drawn - 1, np.float32)}

  def get_state(self):
    return {'drawn': self.drawn}

  def set_state(self, state):
    self.drawn = state['drawn']


def _feed(recipe=None, reset=False, batches=None):
  data = feed_lib.Data(batches or _Count(), recipe or {'seed': 1}, reset)
  return feed_lib.Feed(data)


def _number(feed):
  return int(next(feed)['x'][0])


def test_what_is_on_its_way_is_not_used_yet():
  batches = _Count()
  feed = _feed(batches=batches)
  assert feed.saved()['state'] == {'drawn': 0}
  for step in range(3):
    assert _number(feed) == step
    feed.fetch()
    feed.fetch()  # It is on its way.
    assert batches.drawn == step + 2
    assert feed.saved()['state'] == {'drawn': step + 1}
    again = _feed()
    again.restore(json.loads(json.dumps(feed.saved())), _WHERE)
    assert again.saved() == feed.saved()
    assert _number(again) == step + 1


def test_a_batch_is_on_its_devices(mesh):
  feed = _feed()
  feed.fetch()
  batch = next(feed)['x']
  assert isinstance(batch, jax.Array)
  assert batch.sharding.spec == sharding.spec('batch')


@pytest.mark.parametrize('reset', [False, True])
def test_data_of_the_same_recipe_go_on(reset):
  """Also where it was allowed to be another: it is given at every restart."""
  feed = _feed({'a': (1, 2)})
  _number(feed), _number(feed)
  again = _feed({'a': (1, 2)}, reset)
  again.restore(json.loads(json.dumps(feed.saved())), _WHERE)
  assert _number(again) == 2


def test_other_data_are_refused_by_name_or_begin_anew(capsys):
  feed = _feed({'latents': ['one'], 'seed': 1, 'old': 0})
  _number(feed)
  other = {'latents': ['two'], 'seed': 1, 'new': None, 'batch': 4}
  with pytest.raises(ValueError) as caught:
    _feed(other).restore(feed.saved(), _WHERE)
  said = str(caught.value)
  assert said.startswith('workdir: its checkpoint was trained on other data: ')
  assert "latents is ['two'], was ['one']" in said and '--reset_data' in said
  assert 'batch is 4, was None' in said and 'old is None, was 0' in said
  assert 'seed' not in said
  again = _feed(other, reset=True)
  again.restore(feed.saved(), _WHERE)
  assert _number(again) == 0
  assert 'THE DATA BEGIN ANEW' in ''.join(capsys.readouterr())


def test_batches_alone_are_data():
  batches = _Count()
  data = feed_lib.data(batches)
  assert data == feed_lib.Data(batches) and feed_lib.data(data) is data
