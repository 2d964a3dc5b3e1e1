"""What does not fit a run is said before anything is loaded."""

import dataclasses

from absl import flags
from absl.testing import flagsaver
import jax
import pytest

from configs import doom
from configs import schema
from launch import train
from launch import train_vae
from launch import training
from tests.launch import programs
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding


def _run(**changes) -> schema.StoryRun:
  """The run of the demo, with other fields of its data."""
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  return dataclasses.replace(run, data=dataclasses.replace(run.data, **changes))


@pytest.fixture(autouse=True)
def parsed():
  """Flags as if none had been given."""
  with flagsaver.flagsaver():
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    yield


@pytest.mark.parametrize(
  'shape,changes,parts,complaint',
  [
    (
      (2, 4),
      {'batch': 12},
      1,
      r'data\.batch is 12, which 8 devices along data',
    ),
    ((2, 4), {'batch': 8}, 2, r'in 2 parts .*accumulate.*multiple of 16'),
    (
      (2, 1, 1, 4),
      {'text_length': 30},
      1,
      r'text_length is 30, which 4 .*cont',
    ),
    ((1, 1, 2, 4), {'chunks': 9}, 1, r'data\.chunks is 9, .*multiple of 4'),
  ],
)
def test_rows_and_tokens_are_shared_out_evenly(
  shape, changes, parts, complaint
):
  fitting = dict(batch=16, text_length=32, chunks=8)
  with jax.set_mesh(sharding.make_mesh(shape)):
    train._check_layout(_run(**fitting))
    run = _run(**fitting | changes)
    accumulating = dataclasses.replace(run.train, accumulate=parts)
    with pytest.raises(ValueError, match=complaint):
      train._check_layout(dataclasses.replace(run, train=accumulating))


def test_without_a_mesh_any_batch_fits():
  train._check_layout(_run(batch=3))


def test_what_a_model_is_like_is_told_by_field():
  """But for how it is computed."""
  found = training.fields(_run().model, 'config.model')
  assert found['config.model.towers.width'] == '128'
  assert found['config.model.dtype'] == "'float32'"
  assert 'config.model.towers.remat' not in found


@pytest.mark.parametrize('steps', [['4'], ['3', '2'], ['0', '2'], ['a', 'b']])
def test_steps_to_trace_are_two_numbers_in_order(steps):
  complaint = f'--profile_steps={",".join(steps)}:'
  with (
    flagsaver.flagsaver(profile_steps=steps),
    pytest.raises(ValueError, match=complaint),
  ):
    training.extras()


def test_steps_to_trace_are_read():
  with flagsaver.flagsaver(profile_steps=['10', '14']):
    assert training.extras()['profile'] == (10, 14)
  assert training.extras() == {'profile': None, 'board': None}


def test_a_missing_package_is_named(monkeypatch):
  def missing(name):
    raise ModuleNotFoundError(name='tensorboardX')

  monkeypatch.setattr(training.importlib, 'import_module', missing)
  with (
    flagsaver.flagsaver(tensorboard=True),
    pytest.raises(ValueError, match=r"tensorboardX: pip install -e '\.\["),
  ):
    training.extras()


@pytest.mark.parametrize('program', [train, train_vae])
def test_help_tells_of_the_flags(program):
  name = program.__name__
  text = programs.run(name, '--help').stdout
  for flag in ('profile_steps', 'tensorboard', 'reset_data', 'workdir'):
    assert f'--[no]{flag}' in text or f'--{flag}' in text
