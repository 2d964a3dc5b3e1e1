"""A release tells what its run would tell, and nothing of its machine."""

import json
import shutil

import numpy as np
import pytest

from launch import card as card_lib
from launch import figures
from launch import packing
from launch import storyteller as storyteller_lib
from tests.launch import finished_run
from tests.launch import programs
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import telling as telling_lib

_CONFIGS = card_lib.Configs(vae='configs/doom_vae.py', story='configs/doom.py')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """The workdir of a run."""
  return finished_run.make(tmp_path_factory.mktemp('sources'))


@pytest.fixture(scope='module')
def terms(run):
  """Those of a release of it."""
  file = run.parent / 'free.txt'
  file.write_text('Free for all\n\nand for ever.\n')
  return packing.Terms('A film', file, _CONFIGS)


@pytest.fixture(scope='module')
def release(run, terms, tmp_path_factory):
  """One of it, moved since."""
  place = tmp_path_factory.mktemp('made')
  packing.pack(run, place / 'out/doom', terms)
  return (place / 'out/doom').rename(place / 'moved')


def _frames(workdir):
  """Of a short story."""
  teller = storyteller_lib.Storyteller(workdir)
  start = storyteller_lib.kept_start(workdir, 1)
  telling = teller.begin(start, 'a film', 3)
  events = []
  ask = roll_lib.Ask(teller.encode('attack'))
  (telling,) = teller.teller.advance([telling], [ask], events.append)
  teller.teller.wait()
  filmed = [e.frames for e in events if isinstance(e, telling_lib.Filmed)]
  return np.concatenate(filmed), teller.words(telling.roll)


def test_stories_are_the_runs_own_bit_for_bit(run, release):
  (frames, words), (again, said) = map(_frames, (run, release))
  assert words == said == ['', 'attack']
  assert len(frames) == 5
  np.testing.assert_array_equal(frames, again)


def test_no_file_names_a_folder_of_the_machine(run, release):
  for path in release.rglob('*'):
    if path.is_file():
      data = path.read_bytes()
      for folder in (run.parent, release.parent):
        assert str(folder).encode() not in data, path


def test_there_is_what_stories_need_and_no_more(release):
  parts = {path.name for path in release.glob('checkpoints/7/*/')}
  assert parts == {'ema', 'contents'}
  assert {path.name for path in release.glob('vae/checkpoints/7/*/')} == parts
  losses = figures.losses('TV2TV', release)
  assert losses['steps'] == 500 and losses['last']['held_out/video'] == 0.75
  assert 90 < len(losses['curves']['loss']) <= 120
  text = (release / 'metrics.jsonl').read_text()
  assert 'pace/' not in text


def test_the_card_tells_what_it_is(release):
  card = card_lib.read(release)
  assert card['checkpoint']['step'] == finished_run.STEPS
  assert card['data']['hours'] == 0.1 and card['data']['takes'] == 3
  text = (release / 'CARD.md').read_text()
  assert text.startswith('# A film\n')
  for said in (
    'Free for all (`LICENSE`)',
    '12.3 dB',
    'video 0.750, perplexity of words 1.000',
    '1,234 parameters, 7 steps',
    'vizdoom`, maps duel, hall |',
    card['checkpoint']['fingerprint'],
    '--source=vizdoom --minutes=0.5 --maps=duel,hall',
    '--config.sample.steps=2',
    "'--config.vae.encoder_widths=(8,)'",
  ):
    assert said in text
  assert 'obey' not in text
  assert (release / 'LICENSE').read_text().endswith('and for ever.\n')


def test_the_table_of_obedience_is_on_the_card(run, terms, tmp_path):
  count = {'hits': 19, 'trials': 20, 'low': 0.76, 'high': 0.99}
  names = ('obeyed', 'moved', 'apart', 'twins')
  names += ('ceiling', 'ceiling_moved', 'ceiling_apart')
  row = {'instruction': 'turn left', **dict.fromkeys(names, count)}
  report = {
    'obedience': {'rows': [row], 'turns': {}, 'window_seconds': 0.9},
    'losses': {'model': {'steps': finished_run.STEPS}},
  }
  path = tmp_path / 'report.json'
  path.write_text(json.dumps(report))
  packing.pack(run, tmp_path / 'doom', terms._replace(report=path))
  text = (tmp_path / 'doom/CARD.md').read_text()
  assert 'turn left   19/20 [76-99%]' in text
  # A report of the run as it was earlier is none of this checkpoint.
  report['losses']['model']['steps'] = 6
  path.write_text(json.dumps(report))
  with pytest.raises(ValueError, match='of a run of 6 steps, this one has 7'):
    packing.pack(run, tmp_path / 'doom', terms._replace(report=path))
  assert (tmp_path / 'doom/CARD.md').read_text() == text


def test_too_much_is_not_written_and_its_largest_part_is_named(
  run, terms, tmp_path
):
  with pytest.raises(ValueError, match=r'=0\.1; .*: vae/checkpoints 0'):
    packing.pack(run, tmp_path / 'doom', terms._replace(megabytes=0.1))
  assert not [*tmp_path.iterdir()]


def test_what_is_no_release_stays(run, terms, tmp_path):
  (tmp_path / 'doom').mkdir()
  (tmp_path / 'doom/diary.txt').write_text('dear')
  with pytest.raises(ValueError, match='there is something else'):
    packing.pack(run, tmp_path / 'doom', terms)
  assert (tmp_path / 'doom/diary.txt').read_text() == 'dear'


def test_a_run_that_goes_on_is_not_released(run, terms, tmp_path):
  copy = tmp_path / 'run'
  shutil.copytree(run, copy)
  (copy / 'report.json').unlink()
  with pytest.raises(ValueError, match='not finished'):
    packing.pack(copy, tmp_path / 'doom', terms)


def test_a_recording_that_is_gone_must_be_given(run, terms, tmp_path):
  away = terms._replace(records=tmp_path / 'away')
  with pytest.raises(ValueError, match='give it by --records'):
    packing.pack(run, tmp_path / 'doom', away)


def test_a_workdir_without_a_card_is_no_release(run):
  with pytest.raises(ValueError, match=r'card\.json: no card'):
    card_lib.read(run)


def test_the_program_refuses_in_one_line(run, tmp_path):
  done = programs.run(
    'launch.release', f'--workdir={run}', f'--out={tmp_path / "doom"}',
    f'--license={tmp_path / "none.txt"}',
  )  # fmt: skip
  assert 'none.txt' in programs.error(done)
