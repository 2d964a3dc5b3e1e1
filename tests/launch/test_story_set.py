"""Figures of finished stories: whoever looks at them, and however often."""

import json
import shutil

import numpy as np
import pytest

from launch import story_folder
from launch.evaluation import reader as reader_lib
from launch.evaluation import story_set
from launch.evaluation.told import films
from launch.stories import batch
from tests.launch import programs
from tests.launch import told


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Finished stories."""
  return told.stories(tmp_path_factory.mktemp('told') / 'stories')


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
  """Recorded film of the same kind."""
  return told.recorded(tmp_path_factory.mktemp('film') / 'walls')


@pytest.fixture(scope='module')
def net():
  """Compiled once."""
  return told.net()


@pytest.fixture(scope='module')
def new_judges(dataset, net, tmp_path_factory):
  """Makes what looks at stories, with a reader of chance."""
  witness = str(tmp_path_factory.mktemp('chance'))

  def new():
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(reader_lib, 'trained', lambda *_: told.reader_of(net))
      settings = story_set.Settings(records=dataset, witness=witness)
      return story_set.Judges(settings)

  return new


@pytest.fixture(scope='module')
def judges(new_judges):
  """The same for many folders."""
  return new_judges()


@pytest.fixture(scope='module')
def whole(folder, judges, tmp_path_factory):
  """What one host makes of the stories at once."""
  out = tmp_path_factory.mktemp('whole')
  return out, judges.evaluated(folder, out)


def _bytes(out):
  """What a report is."""
  names = story_set.REPORT, story_set.TABLE, story_set.PAGE
  return {name: (out / name).read_bytes() for name in names}


@pytest.fixture
def copy(folder, tmp_path):
  """Stories that may be spoilt."""
  return shutil.copytree(folder, tmp_path / 'stories')


def test_hosts_stops_and_reruns_change_no_byte(
  folder, whole, judges, new_judges, monkeypatch, tmp_path
):
  wanted = _bytes(whole[0])
  shares = [batch.Share(host=host, hosts=2) for host in range(2)]
  parts, frames = tmp_path / 'parts', films.frames

  def meanwhile(*args):
    """The other host begins and ends while this one looks."""
    monkeypatch.setattr(films, 'frames', frames)
    assert judges.evaluated(folder, tmp_path, shares[1]) is None
    assert len(list(parts.iterdir())) == 4
    assert not (tmp_path / story_set.REPORT).exists()
    return frames(*args)

  monkeypatch.setattr(films, 'frames', meanwhile)
  assert judges.evaluated(folder, tmp_path, shares[0]).report
  assert _bytes(tmp_path) == wanted
  # As a kill would leave it: a part missing, one cut short, no report.
  (parts / '0-turn.npz').unlink()
  cut = parts / '1-turn.npz'
  cut.write_bytes(cut.read_bytes()[:500])
  (tmp_path / story_set.REPORT).unlink()
  kept = (parts / '0-attack.npz').stat().st_mtime_ns
  new_judges().evaluated(folder, tmp_path)
  assert _bytes(tmp_path) == wanted
  assert (parts / '0-attack.npz').stat().st_mtime_ns == kept


def test_a_part_of_another_story_or_reader_is_made_again(
  copy, judges, monkeypatch, tmp_path
):
  out = tmp_path / 'out'
  first = judges.evaluated(copy, out).report
  shutil.rmtree(copy / '0-turn')
  told.write(copy, '0-turn', {1: 'turn left'}, seed=0)
  second = judges.evaluated(copy, out)
  assert len(second.trials) == len(first['obedience']['trials']) - 1
  net = told.net(1)
  monkeypatch.setattr(reader_lib, 'trained', lambda *_: told.reader_of(net))
  other = story_set.evaluated(copy, out, story_set.Settings(witness='other'))
  assert (other.parts[0].features != second.parts[0].features).any()


def test_every_figure_is_there(whole):
  out, report = whole[0], whole[1].report
  assert report['told'] == 8 and not report['failed']
  assert report['frames'] == 8 * 25 and report['size'] == [16, 24]
  distance = report['frechet']['real']['inverse dynamics']
  # Two takes of the split have as many chunks as eight stories.
  assert distance['samples'] == distance['real_samples'] == 48
  assert distance['width'] == 6 and len(distance['times']) == 4
  assert distance['real_to_real'] > 0 and distance['distance'] > 0
  assert report['reader']['chunks'] == 48
  assert set(report['reader']['heads']['turn']) == {'classes', 'real'}
  rows = {row['instruction']: row for row in report['obedience']['rows']}
  assert rows['turn left']['ceiling']['trials'] > 0
  assert rows['turn left']['ceiling_free']['trials'] > 0
  assert 0 <= report['reader']['heads']['turn']['real']['calibration_error'] < 1
  assert np.load(out / 'real.npz')['features'].shape == (48, 6)
  assert ', '.join(rows) == 'turn left, turn right, attack, move forward, all'
  # 36 chunks that nobody put words before, each with its own.
  assert report['wording']['free chunks'] == 48 - 8 - 6 - 4
  assert report['wording']['of them written before'] == 30
  page = (out / story_set.PAGE).read_text()
  for text in ('brightness of a frame', '0-nothing: hall', 'told nothing:'):
    assert text in page
  # Both pictures of a chunk that was told something show it.
  assert page.count('cell told') > 20
  assert 'src="http' not in page and 'href=' not in page


def test_motion_is_seen_where_it_was_told(whole):
  """The wall moves as told, by chunks whose pixels nothing has learned."""
  trials = {(t['story'], t['chunk']): t for t in whole[1].trials}
  for (story, _), trial in trials.items():
    turned = trial['word'].startswith('turn')
    assert trial['moved'] is (True if turned else None)
    twin = trial['twin']
    assert twin['story'] == story[0] + '-nothing'
    assert twin['moved'] is (False if turned else None)
    # Of a story told to move forward in the same chunks alone.
    assert (trial['apart'] is None) == (trial['word'] != 'attack')
  assert trials['0-turn', 1]['chunks'] == 2
  assert trials['0-turn', 4]['seconds'] == (1 + 3 * 4) / 8


def test_what_failed_is_named_and_the_others_are_as_without_it(
  folder, copy, judges, tmp_path
):
  film = copy / '0-turn' / story_folder.FILM
  film.write_bytes(film.read_bytes()[:-600])
  (copy / '1-turn' / story_folder.FILM).unlink()
  told.change(copy, '1-attack', frames=29)
  (copy / '0-attack' / story_folder.RECORD).write_text('{')
  (copy / '.2-never.failed.json').write_text(
    json.dumps({'id': '2-never', 'error': 'no memory'})
  )
  names = [path.name for path in folder.iterdir()] + ['3-gone']
  (copy / batch.SUMMARY).write_text(
    ''.join(json.dumps({'id': name}) + '\n' for name in names)
  )
  done = judges.evaluated(copy, tmp_path / 'out')
  failed = {each['id']: each['error'] for each in done.failed}
  assert [*failed] == [
    '0-attack', '0-turn', '1-attack', '1-turn', '2-never', '3-gone'
  ]  # fmt: skip
  assert failed['0-attack'].startswith('0-attack/story.json: no JSON')
  assert failed['0-turn'].startswith('0-turn/story.mp4: ')
  assert failed['1-attack'] == (
    '1-attack/story.mp4: has 25 frames, story.json says 29'
  )
  assert failed['1-turn'] == '1-turn/story.mp4: is missing'
  assert failed['2-never'] == 'was not told: no memory'
  assert failed['3-gone'] == 'was not told: it is gone'
  report = (tmp_path / 'out' / story_set.TABLE).read_text()
  assert '4 stories, 100 frames' in report and '6 failed' in report
  assert all(f'- {name}: {failed[name]}' in report for name in failed)
  page = tmp_path / 'out' / story_set.PAGE
  assert '6 could not be looked at' in page.read_text()
  for name in failed:  # The same four alone.
    shutil.rmtree(copy / name, ignore_errors=True)
  (copy / '.2-never.failed.json').unlink()
  (copy / batch.SUMMARY).unlink()
  alone = judges.evaluated(copy, tmp_path / 'alone').report
  assert {**done.report, 'failed': []} == alone


def test_a_film_that_was_mended_is_looked_at_again(
  folder, copy, judges, whole, tmp_path
):
  film = copy / '0-turn' / story_folder.FILM
  film.write_bytes(b'no film')
  assert judges.evaluated(copy, tmp_path / 'out').failed
  shutil.copy(folder / '0-turn' / story_folder.FILM, film)
  judges.evaluated(copy, tmp_path / 'out')
  assert _bytes(tmp_path / 'out') == _bytes(whole[0])


@pytest.mark.parametrize(
  'fields,complaint',
  [
    ({'rate': 9.0}, 'rate of 0-attack is 8.0, of 1-turn 9.0'),
    ({'size': [8, 12]}, r'size of 0-attack is \[16, 24\], of 1-turn \[8, 12\]'),
  ],
)
def test_stories_that_are_not_alike_are_named(
  copy, judges, tmp_path, fields, complaint
):
  told.change(copy, '1-turn', **fields)
  with pytest.raises(ValueError, match=f'not alike: {complaint}'):
    judges.evaluated(copy, tmp_path / 'out')
  assert not (tmp_path / 'out').exists()


def test_a_story_whose_film_is_of_another_size_or_rate_failed(copy, tmp_path):
  for path in copy.iterdir():
    if path.name != '0-turn':
      shutil.rmtree(path)
  for fields, complaint in (
    ({'rate': 9.0}, 'has 8 frames a second, story.json says 9'),
    ({'size': [10, 24]}, 'pictures of 120x80 are no story of 24x10'),
  ):
    told.change(copy, '0-turn', **{'rate': 8.0, 'size': [16, 24], **fields})
    done = story_set.evaluated(copy, tmp_path / 'out', story_set.Settings())
    assert complaint in done.failed[0]['error'] and not done.parts


def test_film_of_another_kind_is_refused(folder, dataset, net, monkeypatch):
  slow = told.reader_of(net)._replace(rate=4.0)
  monkeypatch.setattr(reader_lib, 'trained', lambda *_: slow)
  with pytest.raises(ValueError, match=r'rate is 8.*the inverse dynamics mod'):
    story_set.evaluated(folder, folder, story_set.Settings(witness='slow'))


def test_pairs_of_folders(folder, copy, tmp_path):
  """A story is its own original; and what is in one folder alone is named."""
  settings = story_set.Settings(against=str(copy))
  shutil.rmtree(copy / '0-turn')
  told.write(copy, '0-turn', {}, seed=0)
  done = story_set.evaluated(folder, tmp_path / 'out', settings)
  mean = done.report['likeness']
  assert mean['ssim']['curve'][0] == mean['ms_ssim']['curve'][0] == 1.0
  curve = mean['psnr']['curve']
  assert curve[0] == pytest.approx(99.0) and curve[-1] < 98
  by_name = {part.name: part.likeness['psnr'] for part in done.parts}
  assert by_name['1-turn'].min() > 98.9 and by_name['0-turn'][-1] < 50
  (copy / '1-turn' / story_folder.FILM).write_bytes(b'')
  again = story_set.evaluated(folder, tmp_path / 'out', settings)
  assert [each['id'] for each in again.report['against_failed']] == ['1-turn']
  assert not again.failed and not again.parts[-1].likeness
  shutil.rmtree(copy / '1-turn')
  told.write(copy, 'more')
  with pytest.raises(ValueError) as caught:
    story_set.evaluated(folder, tmp_path / 'out', settings)
  assert str(caught.value) == (
    f'{folder} has 8 stories, {copy} 8; they are paired by name, and there '
    f'are 1 in {folder} alone (1-turn) and 1 in {copy} alone (more)'
  )


def test_frames_come_back_from_a_film_near_what_they_were(folder):
  """At the middle of each square of a film five times as large."""
  every = {each.name: each for each in films.stories(folder)}
  frames = films.frames(folder, every['1-nothing'])
  (again,) = films.as_stored([told.film([''] * 6, seed=1)], told.RATE)
  np.testing.assert_array_equal(frames, again)
  error = frames.astype('f4') - told.film([''] * 6, seed=1)
  assert np.abs(error).mean() < 12  # Of noise, which no codec keeps.


def test_the_program_tells_failures_and_refuses_what_it_has_no_use_for(
  copy, tmp_path
):
  (copy / '0-turn' / story_folder.FILM).unlink()
  where = f'--stories={copy}', f'--out={tmp_path / "out"}'
  done = programs.run('launch.evaluate', *where)
  assert '7 stories, 175 frames' in done.stdout
  assert programs.error(done) == (
    f'error: {copy}: 1 stories failed: 0-turn: 0-turn/story.mp4: is missing'
  )
  assert (tmp_path / 'out' / story_set.REPORT).exists()
  refused = programs.run('launch.evaluate', *where, '--clips=3')
  assert programs.error(refused) == (
    'error: --stories has no use for --clips: leave it out'
  )
