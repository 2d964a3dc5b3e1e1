"""A converted folder is there whole or not at all, and in little memory."""

import subprocess
import sys

import numpy as np

from tests.interop import folders
from tests.launch import programs


def _convert(source, out, *flags):
  return programs.run('launch.convert', 'llama', source, f'--out={out}', *flags)


def _files(folder):
  return {p for p in folder.rglob('*') if p.is_file()}


def test_a_finished_conversion_is_left_and_another_refused(tmp_path):
  source, out = folders.write(tmp_path / 'source'), tmp_path / 'out'
  (tmp_path / '.out.partial' / 'weights').mkdir(parents=True)  # Interrupted.
  assert _convert(source, out).returncode == 0
  before = {path: path.stat().st_mtime_ns for path in _files(out)}
  done = _convert(source, out)
  assert done.returncode == 0
  assert 'is there already' in done.stdout
  assert 'delete it' in programs.error(
    _convert(source, out, '--dtype=source', f'--out={source}')
  )
  folders.write(source)
  assert 'not made of these files' in programs.error(_convert(source, out))
  assert {path: path.stat().st_mtime_ns for path in _files(out)} == before
  assert {path.name for path in tmp_path.iterdir()} == {'source', 'out'}


def test_what_cannot_be_read_is_one_line(tmp_path):
  source, out = folders.write(tmp_path / 'source'), tmp_path / 'out'
  assert 'llama SRC' in programs.error(
    programs.run('launch.convert', '--out=a')
  )
  done = programs.run('launch.convert', 'gpt', source, f'--out={out}')
  assert "'gpt " in programs.error(done)
  assert 'no such folder' in programs.error(_convert(tmp_path / 'none', out))
  path = source / 'model.safetensors'
  path.write_bytes(path.read_bytes()[:-1])
  assert 'model.safetensors: no safe' in programs.error(_convert(source, out))
  assert {path.name for path in tmp_path.iterdir()} == {'source'}


def test_a_full_disk_leaves_nothing(tmp_path):
  _hollow(tmp_path / 'source')
  command = (
    f'ulimit -f 4096; exec {sys.executable} -m launch.convert llama '
    f'{tmp_path}/source --out={tmp_path}/out'
  )
  done = subprocess.run(
    ['bash', '-c', command], capture_output=True, text=True, check=False
  )
  assert 'File too large' in programs.error(done)
  assert 'Traceback' not in done.stderr
  assert {path.name for path in tmp_path.iterdir()} == {'source'}


def _hollow(folder):
  """Some 200 MB of zeros, of which the disk holds the headers."""
  sizes = dict(
    vocab_size=8192, hidden_size=2048, intermediate_size=2816,
    num_attention_heads=16, num_key_value_heads=4, head_dim=128,
  )  # fmt: skip
  folders.write(folder, **sizes)
  (folder / 'model.safetensors').unlink()
  wide = {12: 2048, 20: 2816, 24: 8192}
  shapes = {
    name: tuple(wide[size] for size in held.shape)
    for name, held in folders.tensors().items()
  }
  for name in shapes:
    if 'k_proj' in name or 'v_proj' in name:
      shapes[name] = (512, 2048)
    elif 'q_proj' in name or 'o_proj' in name:
      shapes[name] = (2048, 2048)
  folders.hollow(folder / 'model.safetensors', shapes)
  return {name: 2 * int(np.prod(shape)) for name, shape in shapes.items()}


_MEASURED = """
import atexit
from launch import convert, run
from tests import memory

base = memory.held()
atexit.register(lambda: print(memory.peak() - base))
run.app(convert.main, mesh='none', arguments=2)
"""


def test_memory_holds_a_layer(tmp_path):
  sizes = _hollow(tmp_path / 'source')
  command = [sys.executable, '-c', _MEASURED, 'llama', tmp_path / 'source']
  done = subprocess.run(
    [*command, f'--out={tmp_path}/out'],
    capture_output=True,
    text=True,
    check=True,
  )
  peak = int(done.stdout.splitlines()[-1])
  layer = sum(n for name, n in sizes.items() if '.layers.0.' in name)
  assert sum(sizes.values()) > 3 * layer
  assert peak < 1.2 * max(sizes.values()) + layer
