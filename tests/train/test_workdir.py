"""A workdir belongs to one configuration, but for what changes no result."""

import dataclasses

import pytest

from configs import doom
from configs import schema
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import vae
from tv2tv_jax.train import workdir as workdir_lib


def _run() -> schema.StoryRun:
  return config_lib.from_config_dict(schema.StoryRun, doom.get_config())


def _with(config, path, value):
  """The configuration with another value of `config.a.b`."""
  name, _, rest = path.partition('.')
  if rest:
    value = _with(getattr(config, name), rest, value)
  return dataclasses.replace(config, **{name: value})


@pytest.mark.parametrize(
  'path', sorted(name.removeprefix('config.') for name in workdir_lib.FREE)
)
def test_what_changes_no_result_may_differ(tmp_path, path):
  """From then on the workdir says what it is now."""
  workdir_lib.claim(tmp_path, _run())
  values = {'model.towers.remat': 'layer', 'train.watchdog_seconds': 7.0}
  other = _with(_run(), path, values.get(path, 7))
  assert other != _run()
  workdir_lib.claim(tmp_path, other)
  assert workdir_lib.read(tmp_path, schema.StoryRun) == other


@pytest.mark.parametrize(
  'path', ['train.seed', 'train.steps', 'model.vocabulary']
)
def test_what_changes_the_result_may_not(tmp_path, path):
  workdir_lib.claim(tmp_path, _run())
  other = _with(_run(), path, 7)
  with pytest.raises(ValueError, match=rf'config\.{path} is 7, was'):
    workdir_lib.claim(tmp_path, other)
  assert workdir_lib.read(tmp_path, schema.StoryRun) == _run()


@pytest.mark.parametrize('begun', [False, True])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, begun):
  """Before anything is trained, also where a run would go on."""
  workdir = tmp_path / 'file' / 'run'
  if begun:
    workdir_lib.claim(workdir, vae.VaeRun())

    def full(*_):
      raise OSError(28, 'No space left on device')

    monkeypatch.setattr(workdir_lib, 'write_whole', full)
  else:
    (tmp_path / 'file').write_text('')
  with pytest.raises(ValueError, match=r'file/run cannot be written \(No'):
    workdir_lib.claim(workdir, vae.VaeRun())
