"""The programs that record, inspect and tokenize say in a line what is so."""

from PIL import Image
import pytest

from data_pipelines.prepare import record as record_lib
from launch import inspect_dataset
from tests.data_pipelines import tiny_latents
from tests.data_pipelines import tiny_source
from tests.launch import programs


def test_record_then_inspect_and_tokenize(tmp_path):
  out, model = tmp_path / 'film', tmp_path / 'words.model'
  record = ('launch.record', f'--out={out}', '--minutes=0.1', '--maps=duel')
  done = programs.run(*record)
  assert done.returncode == 0, done.stderr
  assert '2 takes, 258 frames' in done.stdout
  assert 'already recorded' in programs.run(*record).stdout
  before = {path: path.read_bytes() for path in out.iterdir()}
  sheet = tmp_path / 'pictures' / 'sheet.png'
  done = programs.run('launch.record', 'inspect', out, f'--sheet={sheet}')
  assert done.returncode == 0, done.stderr
  for line in (
    'train: 1 takes of 1 origins, 129 frames, 0.002 hours',
    'test: 1 takes of 1 origins, 129 frames, 0.002 hours',
    'sizes: 64x48',
    'frames/s: 17.5',
    'licences: Freedoom (BSD-3-Clause), ViZDoom scenarios (MIT)',
    f'sheet: {sheet}',
  ):
    assert line in done.stdout.splitlines()
  assert 'prompt: 2 texts, 1 different, over 100% of the time' in done.stdout
  assert before == {path: path.read_bytes() for path in out.iterdir()}
  with Image.open(sheet) as picture:
    assert len(picture.getcolors(2**24)) > 500, 'no film on it'
  tokenize = ('launch.tokenize', f'--records={out}', f'--out={model}')
  done = programs.run(*tokenize)
  assert done.returncode == 0, done.stderr
  assert 'already learned' in programs.run(*tokenize).stdout


def test_what_is_said_and_what_was_dropped_is_counted(tmp_path):
  (tmp_path / 'desk').mkdir()
  source = tiny_source.Tiny(desk=str(tmp_path / 'desk'))
  record_lib.record(source, tmp_path / 'film', processes=1)
  told = inspect_dataset.report(tmp_path / 'film', tmp_path / 'sheet.png')
  for line in (
    'train: 4 takes of 3 origins, 36 frames, 0.001 hours',
    'test: 2 takes of 1 origins, 18 frames, 0.001 hours',
    'prompt: 6 texts, 1 different, over 100% of the time, 60.0 a minute',
    'caption: 6 texts, 6 different, over 75% of the time, 60.0 a minute',
    'dropped: 1 still',
    'cut at ends of takes: 8 frames',
  ):
    assert line in told.splitlines()


def test_latents_are_described_too(tmp_path):
  out, sheet = tmp_path / 'latents', tmp_path / 'sheet.png'
  tiny_latents.work(out)
  tiny_latents.job(out).join()
  told = inspect_dataset.report(out, sheet).splitlines()
  for line in (
    'train: 27 clips',
    'test: 1 clips',
    'latents of a clip: 3',
    'latent, height x width x channels: 2x4x2',
    'stored as float16, at 17.5 frames/s',
    'VAE vae-1, tokenizer words-1',
  ):
    assert line in told
  words = (
    'words before 100% of the chunks, 1.5 tokens where there are any, 2 at'
  )
  assert any(line.startswith(words) for line in told)
  with Image.open(sheet) as picture:
    assert picture.height > picture.width / 3


@pytest.mark.parametrize(
  ('arguments', 'named'),
  [
    (['--source=quake'], "source 'quake' is unknown; choose from vizdoom"),
    (['--size=7x7'], "size '7x7' is unknown"),
    (['--colour=red'], 'source vizdoom has no --colour; it has --minutes'),
    (['--minutes=soon'], '--minutes=soon'),
  ],
)
def test_a_bad_flag_ends_in_one_line(tmp_path, arguments, named):
  out = tmp_path / 'film'
  done = programs.run('launch.record', f'--out={out}', *arguments)
  assert named in programs.error(done)
  assert not out.exists()


def test_what_is_missing_is_named(tmp_path):
  done = programs.run('launch.record')
  assert '--out is missing' in programs.error(done)
  done = programs.run('launch.record', 'inspect', tmp_path)
  assert f'{tmp_path}: no dataset here' in programs.error(done)
