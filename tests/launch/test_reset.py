"""A workdir takes other data where it is told to, and nothing else."""

import dataclasses

import pytest

from configs import doom
from configs import schema
from launch import train
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import workdir as workdir_lib


def _run() -> schema.StoryRun:
  return config_lib.from_config_dict(schema.StoryRun, doom.get_config())


def _with_data(run, **changes):
  return dataclasses.replace(run, data=dataclasses.replace(run.data, **changes))


def test_other_data_are_taken_where_they_may_be(tmp_path):
  workdir_lib.claim(tmp_path, _run())
  other = _with_data(_run(), pack=True)
  sources = dataclasses.replace(
    other.sources, latents='a,b', weights=(1.0, 2.0)
  )
  other = dataclasses.replace(other, sources=sources)
  with pytest.raises(
    ValueError, match=r'config\.data\.pack is True, was False'
  ):
    workdir_lib.claim(tmp_path, other)
  train._reset(other, tmp_path)
  workdir_lib.claim(tmp_path, other)
  assert workdir_lib.read(tmp_path, schema.StoryRun) == other


@pytest.mark.parametrize('name', ['vae', 'tokenizer'])
def test_nothing_else_is_taken(tmp_path, name):
  workdir_lib.claim(tmp_path, _run())
  before = (tmp_path / 'config.json').read_bytes()
  other = _with_data(_run(), chunks=5)
  sources = dataclasses.replace(other.sources, **{name: 'other'})
  other = dataclasses.replace(other, sources=sources)
  train._reset(other, tmp_path)
  assert (tmp_path / 'config.json').read_bytes() == before
  with pytest.raises(ValueError, match=f"sources.{name} is 'other'"):
    workdir_lib.claim(tmp_path, other)


def test_a_new_workdir_needs_no_reset(tmp_path):
  train._reset(_run(), tmp_path)
  assert not any(tmp_path.iterdir())
