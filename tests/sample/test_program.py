"""Programs have what they need of a model, and no more."""

import gc

import jax
import pytest

from tests import tiny
from tests.sample import stories
from tv2tv_jax.sample import program
from tv2tv_jax.sample import rollout


def _bytes(tree):
  return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def test_matrices_are_kept_as_products_use_them(monkeypatch):
  """To the bit the film of weights that are cast whenever they are used."""
  model = tiny.model(dtype='bfloat16')
  told = []
  for prepared in (program.prepared, lambda model: model):
    monkeypatch.setattr(program, 'prepared', prepared)
    engine = rollout.Engine(model, tiny.Numbers(), stories.CONFIG)
    rolls = stories.told(engine, stories.begin(engine, [0]), 3)
    told.append(stories.free(engine, rolls, 4)[0])
  stories.same(*told)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_large_matrices_take_half_the_memory(dtype):
  model = tiny.model(dtype=dtype)
  towers, coder = model.transformer, model.frames
  prepared = program.prepared(model)
  half = 0.5 if dtype == 'bfloat16' else 1
  assert _bytes(prepared.embedding) == half * _bytes(model.embedding)
  assert _bytes(prepared.frames) == _bytes(coder)
  norms = sum(
    leaf.nbytes
    for path, leaf in jax.tree_util.tree_leaves_with_path(towers)
    if 'scale' in jax.tree_util.keystr(path)
  )
  matrices = _bytes(towers) - norms
  assert _bytes(prepared.transformer) == norms + half * matrices
  # What is prepared stays as it was.
  assert _bytes(model.transformer) == norms + matrices


def test_an_engine_does_not_hold_what_it_was_made_of():
  def held():
    gc.collect()
    return sum(array.nbytes for array in jax.live_arrays())

  before = held()
  model = tiny.model(dtype='bfloat16')
  whole, less = held() - before, _bytes(program.prepared(model))
  engine = rollout.Engine(model, tiny.Numbers(), stories.CONFIG)
  del model
  assert less <= held() - before < whole
  assert engine.lanes == stories.CONFIG.lanes
