"""A run is followed from another job, whose figures nothing else changes."""

import dataclasses
import itertools
import shutil
import subprocess
import sys
import types

import jax
import pytest

from launch.evaluation import job as evaluation
from launch.evaluation import tables
from launch.evaluation import watch
from tests import ports
from tests.launch import watched
from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import metrics

_CLIPS = 3


def _watchers(workdir):
  """Two processes of one job that follow a run."""
  command = [sys.executable, '-m', 'launch.evaluate', f'--workdir={workdir}']
  command += ['--watch', '--poll=0.1', '--timeout=240', f'--clips={_CLIPS}']
  command += [
    f'--coordinator=localhost:{ports.free()}',
    '--processes=2',
    '--batch=4',
  ]
  return [
    subprocess.Popen(
      [*command, f'--process={number}'],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in range(2)
  ]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Sources, and a run on them that was followed from its beginning."""
  folder = watched.sources(tmp_path_factory.mktemp('watch'))
  watchers = _watchers(folder / 'model')
  try:
    # Not before they have seen that there is nothing.
    said = [watchers[0].stdout.readline()]
    while said[-1] and 'no such folder yet' not in said[-1]:
      said.append(watchers[0].stdout.readline())
    watched.train(folder, folder / 'model')
    for watcher in watchers:
      out, error = watcher.communicate(timeout=240)
      assert watcher.returncode == 0, error
      said.append(out)
  finally:
    for watcher in watchers:
      watcher.kill()
  (folder / 'said').write_text(''.join(said))
  return folder


def _tables(folder):
  return {each['step']: each for each in tables.read(folder)}


def _figures(table):
  """All that is the same however it was come by."""
  return {
    f'{section}/{name}': value
    for section in ('losses', 'counts', 'perplexity', 'pictures')
    for name, value in table[section].items()
  }


def test_a_run_is_followed_from_before_it_begins(folder):
  said = (folder / 'said').read_text()
  assert 'no such folder yet; waiting for a run to begin' in said
  assert f'step {watched.STEPS}: text ' in said
  found = folder / 'model' / 'evaluations'
  assert [*_tables(found)] == checkpoint.finished(folder / 'model') == [2, 4]
  for step in (2, 4):
    assert f'\n| {step} | ' in (found / 'overview.md').read_text()
    assert (found / f'{step}.png').stat().st_size > 1000
    assert '| video/t0 | ' in (found / f'{step}.md').read_text()
  assert (found / 'curves.png').stat().st_size > 1000


def test_losses_are_those_that_the_trainer_tells(folder):
  """On one device, with three rows at once."""
  records = metrics.read(folder / 'model' / 'metrics.jsonl')
  for step, table in _tables(folder / 'model' / 'evaluations').items():
    (told,) = (
      record
      for record in records
      if record['step'] == step and 'held_out/text' in record
    )
    wanted = {
      name.removeprefix('held_out/'): value
      for name, value in told.items()
      if name.startswith('held_out/')
    }
    assert table['losses'] == pytest.approx(wanted, rel=1e-6)


def test_neither_batch_nor_devices_nor_processes_change_a_figure(folder):
  """One process and eight rows at once; the watchers were two, with four."""
  wanted = _figures(_tables(folder / 'model' / 'evaluations')[4])
  assert {'losses/video/t0', 'pictures/psnr', 'counts/text'} <= wanted.keys()
  settings = evaluation.Settings(clips=_CLIPS)
  with jax.set_mesh(sharding.make_mesh((1, 2, 2, 2))):
    job = evaluation.Evaluation(folder / 'model', settings, batch=8)
    table = job.of(4).table
  assert table['rows'] == 8
  assert _figures(table) == pytest.approx(wanted, rel=1e-6)
  # Three more chunks of four frames, beside what the first stands still at.
  curves = _tables(folder / 'model' / 'evaluations')[4]['curves']
  for name in ('psnr', 'ms_ssim', 'still/ssim'):
    assert len(curves[name]) == 12
    assert table['curves'][name] == pytest.approx(curves[name], rel=1e-6)


def test_what_has_a_table_is_not_looked_at_again(folder, capsys):
  workdir = folder / 'model'
  out = workdir / 'evaluations'

  def contents():
    return {path: path.stat().st_mtime_ns for path in workdir.rglob('*')}

  before = contents()
  steps = watch.steps(
    workdir, watch.Patience(), lambda step: tables.done(out, step)
  )
  settings = evaluation.Settings(clips=_CLIPS)
  evaluation.evaluate(workdir, out, settings, steps, lenient=True)
  assert contents() == before
  assert capsys.readouterr().out == f'{out}: 2 checkpoints\n'


def test_a_checkpoint_that_is_gone_is_said_and_left_out(
  folder, tmp_path, capsys
):
  workdir, settings = folder / 'model', evaluation.Settings(clips=0)
  evaluation.evaluate(workdir, tmp_path, settings, [3], lenient=True)
  said = 'step 3 is left out: the run deleted it before it was read'
  assert said in capsys.readouterr().out
  assert tables.read(tmp_path) == []
  with pytest.raises(checkpoint.NoCheckpointError, match='step 3'):
    evaluation.evaluate(workdir, tmp_path, settings, [3])


def test_a_damaged_checkpoint_is_said_and_left_out(folder, tmp_path, capsys):
  workdir = tmp_path / 'model'
  shutil.copytree(folder / 'model', workdir, symlinks=True)
  held = list((workdir / 'checkpoints').rglob('*/d/*'))
  for path in held:
    path.write_bytes(b'')
  settings = evaluation.Settings(clips=0)
  evaluation.evaluate(workdir, tmp_path / 'out', settings, [4], lenient=True)
  assert held
  assert 'step 4 is left out: ' in (said := capsys.readouterr().out)
  assert 'deleted' not in said


def test_tables_of_other_settings_are_not_mixed(folder):
  workdir = folder / 'model'
  settings = evaluation.Settings(part='model', clips=_CLIPS)
  with pytest.raises(ValueError, match=r"config\.part is 'model', was 'ema'"):
    evaluation.evaluate(workdir, workdir / 'evaluations', settings, [4])


@pytest.mark.parametrize(
  'name,changes,complaint',
  [
    ('nowhere', {}, r'nowhere is none of launch\.train: .* no config\.json'),
    ('vae', {}, r'vae is none of launch\.train: .*is no field'),
    ('model', {'latents': 'away'}, "its latents 'away' are not there"),
    ('model', {'latents': 'model'}, 'no dataset of latents'),
    ('model', {'split': 'dev'}, 'dev'),
  ],
)
def test_what_does_not_fit_is_named(
  folder, monkeypatch, name, changes, complaint
):
  monkeypatch.chdir(folder)
  settings = dataclasses.replace(evaluation.Settings(clips=0), **changes)
  with pytest.raises(ValueError, match=complaint):
    evaluation.Evaluation(folder / name, settings)


def test_latents_of_another_vae_are_refused(folder, tmp_path):
  for name in ('config.json', 'tokenizer.model'):
    (tmp_path / name).symlink_to(folder / 'model' / name)
  (tmp_path / 'vae').mkdir()
  text = (folder / 'vae' / 'latents.json').read_text()
  (tmp_path / 'vae' / 'latents.json').write_text(text.replace('chance', 'it'))
  with pytest.raises(ValueError, match='by the VAE chance, not by it'):
    evaluation.Evaluation(tmp_path, evaluation.Settings(clips=0))


def test_a_mesh_that_parts_rows_unevenly_is_refused(folder):
  mesh = sharding.make_mesh((1, 1, 1, 3), devices=jax.devices()[:3])
  complaint = r'config\.data\.text_length is 40, which 3 devices along context'
  with jax.set_mesh(mesh), pytest.raises(ValueError, match=complaint):
    evaluation.Evaluation(folder / 'model', evaluation.Settings())


@pytest.fixture
def followed(tmp_path, monkeypatch):
  """Follows a run whose checkpoints are others at every look."""

  def follow(*looks, over=True, done=(), **patience):
    left = list(looks)

    def finished(_):
      if len(left) > 1:
        return left.pop(0)
      if over:
        (tmp_path / watch.REPORT).touch()
      return left[0]

    seconds = itertools.count()
    clock = types.SimpleNamespace(
      monotonic=lambda: next(seconds), sleep=lambda _: None
    )
    monkeypatch.setattr(checkpoint, 'finished', finished)
    monkeypatch.setattr(watch, 'time', clock)
    steps = watch.steps(
      tmp_path, watch.Patience(**patience), lambda step: step in done
    )
    return [*steps]

  return follow


def test_all_checkpoints_are_visited_in_order(followed):
  assert followed([], [2], [2, 4, 6], [4, 6, 8]) == [2, 4, 6, 8]


def test_what_is_deleted_before_its_turn_is_passed_over(followed):
  assert followed([2, 4], [6, 8]) == [2, 6, 8]


def test_some_are_visited_and_the_last(followed):
  assert followed([2, 4, 6, 8, 10], every=4) == [4, 8, 10]


def test_what_is_done_is_passed_over(followed):
  assert followed([2, 4, 6], done=(2, 6)) == [4]


def test_a_run_from_which_nothing_comes_is_given_up(followed, capsys):
  assert followed([2], over=False, timeout=10) == [2]
  told = capsys.readouterr().out.splitlines()
  assert [line.partition(': ')[2] for line in told] == [
    'waiting for its next checkpoint',
    'no new checkpoint within --timeout=10 seconds; run again to go on',
  ]


def test_a_run_that_never_begins_is_an_error(followed):
  complaint = 'no checkpoint within --timeout=10 seconds'
  with pytest.raises(ValueError, match=complaint):
    followed([], over=False, timeout=10)
