"""Rows are endless, fixed by their seed, and the same for any hosts."""

import itertools
import sys

from absl import flags
import numpy as np
import pytest

from data_pipelines import corpus
from data_pipelines import latents
from data_pipelines import stories as stories_lib
from data_pipelines import stream as stream_lib
from tests.data_pipelines import tiny_stories
from tv2tv_jax.interleave import story as story_lib

_LENGTHS = [3, 5, 9, 4, 4, 30, 2, 7, 9, 1, 18, 3, 6]


@pytest.fixture(scope='module')
def encoded(tmp_path_factory):
  """Two datasets, one of a single clip length."""
  out = tmp_path_factory.mktemp('encoded')
  held_out = tiny_stories.clips([5, 2, 9, 20, 3])
  return [
    tiny_stories.write(out / name, tiny_stories.clips(lengths), held_out)
    for name, lengths in (('one', _LENGTHS), ('two', [9] * 5))
  ]


def _stories(directories, share=stream_lib.ALL, makers=latents.ANY, **config):
  return corpus.Corpus(
    directories,
    stories_lib.StoriesConfig(**{'batch': 4, 'text_length': 60, **config}),
    special=tiny_stories.SPECIAL,
    span=3,
    fingerprints=makers,
    share=share,
    with_ids=True,
  )


def _global(streams) -> np.ndarray:
  """Which latents the next batch of all hosts holds."""
  return np.concatenate([next(stream)['ids'] for stream in streams])


def _equal(one, two):
  assert one.keys() == two.keys()
  return all(np.array_equal(one[name], two[name]) for name in one)


_RUNS = [
  dict(directories=slice(1)),
  dict(directories=slice(1), pack=True),
  dict(directories=slice(2), pack=True, weights=(0.7, 0.3)),
  dict(directories=slice(2), chunks=4, slots=(9, 6), text_length=40),
]


@pytest.mark.parametrize('run', _RUNS)
def test_hosts_change_no_batch_and_a_run_goes_on_on_any_number(encoded, run):
  """Through packing, mixing and the ends of several epochs."""
  config = {'chunks': 9, **run}
  directories = encoded[config.pop('directories')]
  weights = config.pop('weights', ())

  def streams(hosts, drawn=0):
    found = [
      _stories(directories, stream_lib.Share(host, hosts), **config).train(
        seed=5, weights=weights
      )
      for host in range(hosts)
    ]
    for stream in found:
      stream.set_state({'batches': drawn})
    return found

  count = 24
  whole = [_global(streams_) for streams_ in [streams(1)] for _ in range(count)]
  assert len({batch.tobytes() for batch in whole}) == count
  for hosts in (2, 4):
    for batch, mine in zip(whole, itertools.repeat(streams(hosts))):
      np.testing.assert_array_equal(_global(mine), batch)
  hosts = itertools.cycle([4, 1, 2])
  for stop in range(0, count, 5):
    mine = streams(next(hosts), stop)
    assert all(s.get_state() == {'batches': stop} for s in mine)
    for batch in whole[stop : stop + 3]:
      np.testing.assert_array_equal(_global(mine), batch)
    states = {tuple(stream.get_state().items()) for stream in mine}
    assert len(states) == 1


@pytest.mark.parametrize('pack', [False, True])
def test_an_epoch_has_every_clip_once(encoded, pack):
  """Through its end: every clip once and then once again, and no row less."""
  stories = _stories(
    encoded[:1], batch=1, pack=pack, chunks=30, text_length=200
  )
  stream = stories.train(seed=0)
  ids = [next(stream)['ids'][0] for _ in range(200)]
  latents_seen = [tuple(i) for row in ids for i in row[:, 1:] if i[0] >= 0]
  epoch = sum(_LENGTHS)
  assert len(latents_seen) > 3 * epoch
  for begin in range(0, 3 * epoch, epoch):
    # Rows of an epoch hold whole clips: no clip is cut by where it ends.
    assert sorted(latents_seen[begin : begin + epoch]) == [
      (clip, i) for clip, n in enumerate(_LENGTHS) for i in range(n)
    ]


def test_a_stream_goes_on_after_the_last_batch_that_was_drawn(encoded):
  one = _stories(encoded, pack=True).train(seed=2)
  drawn = [next(one) for _ in range(6)]
  for at in range(6):
    two = _stories(encoded, pack=True).train(seed=2)
    two.set_state({'batches': at})
    assert _equal(next(two), drawn[at])
  one.set_state({'batches': 1})
  assert _equal(next(one), drawn[1])


def test_seeds_are_other_orders(encoded):
  one, two = (_global([_stories(encoded).train(seed=s)]) for s in (0, 1))
  assert not np.array_equal(one, two)


@pytest.mark.parametrize('weights', [(0.25, 0.75), (9.0, 1.0)])
def test_datasets_have_their_share_of_the_rows_at_any_time(encoded, weights):
  stream = _stories(encoded, batch=1).train(seed=0, weights=weights)
  source = np.array([next(stream)['ids'][0, 0, 0] for _ in range(40)])
  share = weights[1] / sum(weights)
  assert abs(np.cumsum(source) - share * np.arange(1, 41)).max() <= 1


def test_datasets_without_weights_are_mixed_by_their_rows(encoded):
  stream = _stories(encoded, batch=1).train(seed=0)
  rows = 11 + 3 + 2, 5  # Of 30 latents three windows, of 18 two.
  source = [next(stream)['ids'][0, 0, 0] for _ in range(sum(rows))]
  assert sum(source) == rows[1]


def test_windows_that_begin_with_the_single_frame_have_their_share(encoded):
  stream = _stories(encoded[:1], batch=20, chunks=2, start_share=0.4).train(
    seed=0
  )
  ids = np.concatenate([next(stream)['ids'][:, 0] for _ in range(20)])
  long = ids[ids[:, 1] == 5]
  assert len(long) > 100
  assert abs((long[:, 2] == 0).mean() - (0.4 + 0.6 / 29)) < 0.12
  assert len(set(long[:, 2])) > 20


@pytest.mark.parametrize('pack', [False, True])
@pytest.mark.parametrize('hosts', [1, 2, 4])
def test_evaluation_counts_every_latent_once(encoded, pack, hosts):
  batches = [
    list(
      _stories(
        encoded, stream_lib.Share(host, hosts), pack=pack, chunks=9
      ).held_out()
    )
    for host in range(hosts)
  ]
  assert len({len(each) for each in batches}) == 1
  ids = np.concatenate([b['ids'] for each in batches for b in each])
  assert len(ids) % 4 == 0
  seen = sorted(tuple(i) for i in ids.reshape(-1, 3).tolist() if i[0] >= 0)
  clips = [(source, clip) for source in range(2) for clip in range(5)]
  assert seen == [
    (source, clip, i)
    for source, clip in clips
    for i in range([5, 2, 9, 20, 3][clip])
  ]
  one = list(_stories(encoded, pack=pack, chunks=9).held_out())
  together = [
    np.concatenate([part['ids'] for part in parts])
    for parts in zip(*batches, strict=True)
  ]
  np.testing.assert_array_equal(together, [batch['ids'] for batch in one])
  filled = ids[(ids < 0).all((1, 2))]
  rows = np.concatenate([b['story'] for each in batches for b in each])
  assert ((rows == story_lib.NOBODY).all(1)).sum() == len(filled)


def test_a_part_of_an_evaluation_is_spread_over_the_split(encoded):
  stories = _stories(encoded, batch=2, chunks=9)
  (one, two) = stories.held_out(3)
  ids = np.concatenate([one['ids'], two['ids']])[:, 0]
  assert ids.tolist() == [[0, 0, 0], [0, 4, 0], [1, 4, 0], [-1, -1, -1]]
  assert _equal(next(iter(stories.held_out(3))), one)  # Each time anew.


@pytest.fixture
def parsed_flags():
  """Grain looks at its flags when it starts processes."""
  parsed = flags.FLAGS.is_parsed()
  flags.FLAGS.mark_as_parsed()
  yield
  if not parsed:
    flags.FLAGS.unparse_flags()


def test_processes_that_read_ahead_change_no_batch(encoded, parsed_flags):
  one = _stories(encoded[:1], pack=True).train(seed=3)
  two = _stories(encoded[:1], pack=True, workers=2).train(seed=3)
  for stream in (one, two):
    stream.set_state({'batches': 3})
  for _ in range(4):
    assert _equal(next(one), next(two))
  assert one.get_state() == two.get_state()
  two.close()


def test_what_is_left_out_is_counted(encoded):
  stories = _stories(encoded[:1], text_length=20, oversize='leave_out')
  left_out = stories.train(seed=0).left_out
  assert 0 < left_out < len(_LENGTHS)
  with pytest.raises(ValueError, match=r'raise data\.text_length'):
    _stories(encoded, text_length=20).train(seed=0)


def test_stories_are_for_those_who_made_them(encoded, tmp_path):
  makers = latents.Fingerprints('vae-1', 'words-1')
  assert next(_stories(encoded, makers=makers).train(seed=0))
  for name, named in (
    ('vae', 'by the VAE vae-1, not by other; encode again'),
    ('tokenizer', 'tokenizer words-1, not by other; encode'),
  ):
    others = makers._replace(**{name: 'other'})
    with pytest.raises(ValueError, match=named):
      _stories(encoded, makers=others).train(seed=0)


@pytest.mark.parametrize(
  'share,named',
  [
    (stream_lib.Share(0, 3), 'host 0 of 3: batches of 4 rows'),
    (stream_lib.Share(2, 2), 'host 2 of 2'),
  ],
)
def test_shares_that_are_not_equal_are_refused(encoded, share, named):
  with pytest.raises(ValueError, match=named):
    _stories(encoded, share).train(seed=0)


def test_mixtures_that_do_not_fit_are_refused(encoded, tmp_path, monkeypatch):
  for weights in ((1.0,), (1.0, 0.0)):
    with pytest.raises(ValueError, match='give one above 0 for each'):
      _stories(encoded).train(seed=0, weights=weights)
  monkeypatch.setattr(
    tiny_stories, 'METADATA', tiny_stories.METADATA._replace(rate=8.0)
  )
  slow = tiny_stories.clips([3])
  other = tiny_stories.write(tmp_path / 'slow', slow, slow)
  with pytest.raises(ValueError, match=r'rate is 8\.0, that of .* is 16\.0'):
    _stories([*encoded, other]).train(seed=0)


def test_a_host_of_a_layout_has_the_rows_that_its_devices_hold():
  assert stream_lib.Share.of(range(4), 4) == stream_lib.ALL
  assert stream_lib.Share.of(range(4, 6), 8) == (2, 4)


def test_streams_need_no_end(encoded):
  stream = _stories(encoded, pack=True).train(seed=0)
  stream.set_state({'batches': sys.maxsize // 2**20})
  assert next(stream)
