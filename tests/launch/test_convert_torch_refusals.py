"""What cannot be converted is named, and leaves nothing behind."""

import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as numpy_file

from launch.conversion import job
from launch.conversion import plan as plan_lib
from tests.interop import folders
from tests.launch import programs
from tests.launch import workdirs


def _convert(kind, source, out, **asked):
  return job.convert(kind, source, out, plan_lib.Asked(**asked))


def _refused(kind, source, **asked):
  """What is said of a conversion of which nothing is left."""
  before = {path.name for path in source.parent.iterdir()}
  with pytest.raises((ValueError, OSError)) as error:
    _convert(kind, source, source.parent / 'out', **asked)
  assert {path.name for path in source.parent.iterdir()} == before
  assert '\n' not in str(error.value)
  return str(error.value)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A workdir, and what it became."""
  folder = tmp_path_factory.mktemp('made')
  workdir = workdirs.write(folder / 'run', parts=('ema',))
  _convert('to-pytorch', workdir, folder / 'there', most=40_000)
  return workdir, folder / 'there'


def _copy(source, place):
  """A copy, to be broken."""
  for path in source.rglob('*'):
    if path.is_file():
      into = place / path.relative_to(source)
      into.parent.mkdir(parents=True, exist_ok=True)
      into.write_bytes(path.read_bytes())
  return place


@pytest.fixture
def there(made, tmp_path):
  return _copy(made[1], tmp_path / 'there')


@pytest.fixture
def workdir(made, tmp_path):
  return _copy(made[0], tmp_path / 'run')


def _changed(folder, change):
  """Writes the file of a tensor again, changed; returns the tensor's name."""
  path = sorted(folder.glob('model-*.safetensors'))[2]
  held = numpy_file.load_file(path)
  name = next(iter(held))
  change(held, name)
  numpy_file.save_file(held, path)
  return name


def _config(folder, change):
  """Writes config.json again, changed."""
  path = folder / 'config.json'
  values = json.loads(path.read_text())
  change(values)
  path.write_text(json.dumps(values))


def test_a_folder_that_is_none_is_said(tmp_path):
  (tmp_path / 'empty').mkdir()
  assert 'no such folder' in _refused('from-pytorch', tmp_path / 'none')
  assert 'no config.json' in _refused('from-pytorch', tmp_path / 'empty')
  assert 'is it a workdir?' in _refused('to-pytorch', tmp_path / 'empty')


def test_another_architecture_is_named(tmp_path):
  llama = folders.write(tmp_path / 'llama')
  assert "model_type is 'llama'" in _refused('from-pytorch', llama)


def test_a_missing_shard_is_named(there):
  lost = sorted(there.glob('model-*.safetensors'))[1]
  lost.unlink()
  assert f'no {lost.name} there' in _refused('from-pytorch', there)


def test_a_shard_cut_short_is_named(there):
  path = sorted(there.glob('model-*.safetensors'))[1]
  path.write_bytes(path.read_bytes()[:-7])
  assert f'{path}: no safetensors' in _refused('from-pytorch', there)


def test_a_tensor_of_another_shape_is_named(there):
  def change(held, name):
    held[name] = np.concatenate([held[name], held[name][:1]])

  name = _changed(there, change)
  assert f'{name} is [' in _refused('from-pytorch', there)


def test_a_tensor_of_another_name_is_named(there):
  def change(held, name):
    held[f'{name}.other'] = held.pop(name)

  name = _changed(there, change)
  index = there / 'model.safetensors.index.json'
  assert f'{name}.other is in' in _refused('from-pytorch', there)
  index.write_text(index.read_text().replace(f'"{name}"', f'"{name}.other"'))
  said = _refused('from-pytorch', there)
  assert f'missing {name}; not known {name}.other' in said


@pytest.mark.parametrize('dtype', ['float64', 'int32'])
def test_numbers_that_we_lack_are_named(there, dtype):
  def change(held, name):
    held[name] = held[name].astype(dtype)

  name = _changed(there, change)
  assert f'{name} is {dtype[0].upper()}' in _refused('from-pytorch', there)


def test_half_precision_is_exact(there, tmp_path):
  def change(held, name):
    for each in held:
      held[each] = held[each].astype(np.float16)
    held[name] = held[name].astype(jnp.bfloat16)

  _changed(there, change)
  assert 'tensors of' in _convert('from-pytorch', there, tmp_path / 'out')


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    (lambda v: v.pop('tv2tv_jax'), 'tv2tv_jax is None, no mapping'),
    (lambda v: v['tv2tv_jax'].update(step=0), 'step is 0, not a positive'),
    (lambda v: v['tv2tv_jax'].pop('latents'), 'latents is None, no mapping'),
    (lambda v: v['model'].update(vocabulary=9), 'model.vocabulary is 9, was'),
    (lambda v: v['model'].update(wings=2), 'model.wings is no field'),
    (lambda v: v['vae'].update(taps=3), 'vae.taps is 3, was 2 in tv2tv_jax'),
    (lambda v: v['vae'].update(family='x'), "vae.family is 'x'; choose one"),
    (lambda v: v['statistics'].pop('std'), "statistics: KeyError('std')"),
    (lambda v: v['statistics'].update(std=[1.0]), 'are [4] and [1], not one'),
    (lambda v: v.update(statistics=None), 'statistics is None, no mapping'),
  ],
)
def test_a_config_that_was_changed_is_named(there, change, said):
  _config(there, change)
  found = _refused('from-pytorch', there)
  assert said in found
  assert str(there / 'config.json') in found


def test_a_lost_tokenizer_is_named(there):
  (there / 'tokenizer.model').unlink()
  assert 'holds no tokenizer.json or' in _refused('from-pytorch', there)


def test_what_pytorch_saves_again_is_read(there, tmp_path):
  """`save_pretrained` writes one file, other fields, and no report."""
  held = {}
  for path in there.glob('model-*.safetensors'):
    held |= numpy_file.load_file(path)
    path.unlink()
  for name in ('model.safetensors.index.json', 'report.json'):
    (there / name).unlink()
  numpy_file.save_file(held, there / 'model.safetensors')
  _config(there, lambda values: values.update(dtype='float32', use_cache=True))
  assert 'tensors of' in _convert('from-pytorch', there, tmp_path / 'out')


def test_a_workdir_without_a_checkpoint_is_said(workdir):
  (workdir / 'checkpoints').rename(workdir / 'none')
  assert 'no checkpoint there' in _refused('to-pytorch', workdir)


def test_a_damaged_checkpoint_is_said(workdir):
  held = workdir.joinpath('checkpoints').rglob('d/*')
  path = max(held, key=lambda path: path.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 64
  path.write_bytes(data)
  said = _refused('to-pytorch', workdir)
  assert 'damaged: ' in said
  assert 'not what was saved' in said


def test_a_checkpoint_of_another_model_is_said(workdir):
  def change(values):
    values['model']['towers'] |= {'hidden': 50, 'depth': 3}

  _config(workdir, change)
  said = _refused('to-pytorch', workdir)
  name = 'transformer.blocks.text.feed_forward.gate.kernel'
  assert f'{name} is [2, 32, 48], not [3, 32, 50]' in said


def test_averaged_weights_that_are_not_there_are_said(tmp_path):
  workdir = workdirs.write(tmp_path / 'run', parts=('model',))
  assert 'has no part ema' in _refused('to-pytorch', workdir, ema=True)


def test_a_lost_vae_is_named(workdir):
  (workdir / 'vae' / 'weights').rename(workdir / 'vae' / 'gone')
  assert f'{workdir}/vae: no checkpoint' in _refused('to-pytorch', workdir)
  (workdir / 'vae' / 'latents.json').unlink()
  assert 'latents.json does not exist' in _refused('to-pytorch', workdir)


def test_parts_that_are_none_of_others_say_why(workdir):
  said = _refused('to-pytorch', workdir, part='text')
  assert 'towers.query_key_norm is True, a Llama has False' in said
  _config(workdir, lambda values: values['model']['towers'].update(window=9))
  said = _refused('to-pytorch', workdir, part='text')
  assert 'towers.window is 9, a Llama has 0' in said
  said = _refused('to-pytorch', workdir, part='vae')
  assert "of the family 'folds'; diffusers has 'wan' and 'cosmos'" in said


@pytest.mark.parametrize('kind', ['to-pytorch', 'from-pytorch'])
def test_an_interrupt_leaves_nothing(made, tmp_path, monkeypatch, kind):
  def interrupt(*_):
    raise KeyboardInterrupt

  source = made[kind == 'from-pytorch']
  monkeypatch.setattr('launch.conversion.filling._line', interrupt)
  (tmp_path / '.out.partial' / 'killed').mkdir(parents=True)
  with pytest.raises(KeyboardInterrupt):
    _convert(kind, source, tmp_path / 'out')
  assert not list(tmp_path.iterdir())


def test_the_program_says_it_in_one_line(made, tmp_path):
  workdir, there = made

  def run(*arguments):
    return programs.run('launch.convert', *arguments)

  done = run('to-pytorch', workdir, f'--out={tmp_path}/out', '--dtype=bf16')
  assert done.returncode == 0, done.stderr
  assert 'B/s]' in done.stderr
  done = run('to-pytorch', workdir, f'--out={tmp_path}/out', '--dtype=bf16')
  assert 'is there already' in done.stdout
  done = run('to-pytorch', workdir, f'--out={tmp_path}/out')
  assert 'not made of these files' in programs.error(done)
  done = run('from-pytorch', there, f'--out={tmp_path}/a', '--dtype=bf16')
  assert '--dtype is none of `from-pytorch`' in programs.error(done)
  done = run('llama', there, f'--out={tmp_path}/a', '--part=text')
  assert '--part is of `to-pytorch`' in programs.error(done)
  done = run(
    'to-pytorch', workdir, f'--out={tmp_path}/a', '--max_shard_size=9 apples'
  )
  assert "--max_shard_size: '9 apples' is no size" in programs.error(done)
  done = run('to-pytorch', workdir, f'--out={tmp_path}/a', '--dtype=float16')
  assert 'float16' in programs.error(done)
  assert {path.name for path in tmp_path.iterdir()} == {'out'}


@pytest.mark.parametrize('kind', ['to-pytorch', 'from-pytorch'])
def test_a_full_disk_leaves_nothing(made, tmp_path, kind):
  source = made[kind == 'from-pytorch']
  command = (
    f'ulimit -f 20; exec {sys.executable} -m launch.convert {kind} {source} '
    f'--out={tmp_path}/out'
  )
  done = subprocess.run(
    ['bash', '-c', command], capture_output=True, text=True, check=False
  )
  assert 'File too large' in programs.error(done)
  assert 'Traceback' not in done.stderr
  assert not list(tmp_path.iterdir())
