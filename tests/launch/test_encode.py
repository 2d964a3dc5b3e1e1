"""Takes become latents: stopped, shared out, or at once, to the same bytes."""

import json
import pathlib
import subprocess
import sys
import time

from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import latents
from data_pipelines import records
from data_pipelines import tokenize
from data_pipelines.prepare import dataset
from data_pipelines.prepare import record
from data_pipelines.sources import vizdoom
from tests.launch import programs
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import latents as latents_lib

_STATISTICS = latents_lib.LatentStatistics(
  np.linspace(-1, 1, 16, dtype=np.float32), np.full(16, 0.5, np.float32)
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A film of five takes, one of them short, and what encodes it."""
  folder = tmp_path_factory.mktemp('encode')
  source = vizdoom.Vizdoom(minutes=0.5, seed=1, maps=('duel',))
  record.record(source, folder / 'whole', processes=1)
  _cut(folder / 'whole', folder / 'film')
  texts = ['doom duel', 'turn left, move forward, attack']
  tokenize.train_tokenizer(texts, folder / 'words.model')
  tokenize.train_tokenizer(texts[:1], folder / 'others.model')
  _write_vae(folder / 'vae')
  return folder


def _write_vae(folder: pathlib.Path) -> None:
  """A VAE as training leaves it behind, but of chance."""
  run = train_vae.VaeRun(
    vae=folds.FoldsConfig(
      encoder_widths=(16,),
      encoder_depths=(1,),
      decoder_folds=((4, 8, 8),),
      decoder_widths=(16,),
      decoder_depths=(0,),
    )
  )
  workdir_lib.claim(folder, run)
  trainee = train_vae.Trainee(run, rngs=nnx.Rngs(0))
  step, zero = jnp.int32(1), jnp.zeros(())
  state = state_lib.TrainState(step, zero, step, trainee, trainee, (zero,))
  data = grain.MapDataset.range(1).to_iter_dataset()
  with checkpoint.Checkpoints(folder, every=1, keep=1) as checkpoints:
    feed = feed_lib.Feed(feed_lib.data(iter(data)))
    checkpoints.save(state, feed, step=1, last=True)
  latents_lib.save(folder / 'latents.json', _STATISTICS, 'chance')


def _cut(source: pathlib.Path, out: pathlib.Path, **change) -> None:
  """The dataset with its second take cut to 17 frames, and changed."""
  dataset.begin(out, {'cut': 17, **{k: str(v) for k, v in change.items()}})
  pieces = {}
  for split in records.SPLITS:
    raw = records.open_split(source, split)
    takes = [dict(raw[index]) for index in range(len(raw))]
    if split == 'train':
      for name in ('controls', 'states'):
        row = len(takes[1][name]) // takes[1]['frame_count']
        takes[1][name] = takes[1][name][: 17 * row]
      seconds = 17 / float(change.get('rate', 17.5))
      segments = [
        segment | {'end': min(segment['end'], seconds)}
        for segment in json.loads(takes[1]['segments'])
        if segment['start'] < seconds
      ]
      takes[1] |= {
        'frame_count': 17,
        'segments': json.dumps(segments),
        **change,
      }
    pieces[split] = [dataset.partial(out) / f'{split}.array_record']
    dataset.write_piece(pieces[split][0], records.features(), takes)
  dataset.finish(
    out,
    'film',
    records.features(),
    pieces,
    version=records.VERSION,
    description='Film.',
    extra={},
  )


def _arguments(folder, out, *flags):
  return (
    'launch.encode',
    f'--vae={folder}/vae',
    f'--tokenizer={folder}/words.model',
    f'--records={folder}/film',
    f'--out={out}',
    '--chunks=8',
    '--stride=4',
    '--batch=2',
    '--takes=1',
    *flags,
  )


def _started(*arguments):
  return subprocess.Popen(
    [sys.executable, '-m', *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
  )


@pytest.fixture(scope='module')
def whole(folder):
  """What one host makes without a stop."""
  done = programs.run(*_arguments(folder, folder / 'latents'))
  assert done.returncode == 0, done.stderr
  assert '5/5' in done.stderr
  lines = '100 clips of 9 latents; 1 of 5 takes were too short'
  assert done.stdout == f'{folder / "latents"}: {lines}\n'
  return folder / 'latents'


def test_latents_are_of_their_frames(folder, whole):
  tokenizer = tokenize.load(folder / 'words.model')
  name = tokenize.fingerprint(folder / 'words.model')
  takes = records.Takes(folder / 'film', 'train')
  clips = latents.Clips(whole, 'train', 'chance', name)
  starts = [round(clip.start * 17.5) for clip in clips]
  assert starts == 3 * [4 * at for at in range(25)]
  vae = vae_folder.restored(folder / 'vae')
  encode = jax.jit(lambda frames: vae.encode(train_vae.pixels(frames))[0].mean)
  for index in (0, 1, 24, 25, 74):
    clip, start = clips[index], starts[index]
    take = takes[(0, 2, 3)[index // 25]]
    assert clip.take == take.take and clip.prompt == take.prompt
    assert clip.words == take.words(start, 8)
    ids = [tuple(tokenizer.encode(text)) for text in clip.words]
    assert clip.word_ids == tuple(ids)
    assert clip.prompt_ids == tuple(tokenizer.encode('doom duel'))
    assert clip.ended == (take.ended and start == 96)
    means = encode(take.frames(start, start + 33)[None])[0]
    wanted = (np.asarray(means) - _STATISTICS.mean) / _STATISTICS.std
    assert wanted.std() > 0.3
    np.testing.assert_allclose(clip.latents, wanted, rtol=1e-3, atol=1e-3)


def test_stops_and_hosts_change_no_byte(folder, whole, tmp_path):
  out = tmp_path / 'latents'
  stopped = _started(*_arguments(folder, out))
  partial = dataset.partial(out)
  while not list(partial.glob('*-?????.json')):
    assert stopped.poll() is None, 'it ended before it could be stopped'
    time.sleep(0.001)
  stopped.kill()
  stopped.wait()
  marks = {path: path.stat().st_mtime_ns for path in partial.glob('*-*.json')}
  assert marks and not out.exists()

  second = programs.run(*_arguments(folder, out, '--hosts=3', '--host=1'))
  assert second.returncode == 0, second.stderr
  assert 'this share is done; other hosts have' in second.stdout
  assert all(path.stat().st_mtime_ns == at for path, at in marks.items())
  others = [
    _started(*_arguments(folder, out, '--hosts=3', f'--host={host}'))
    for host in (0, 2)
  ]
  said = [host.communicate()[0] for host in others]
  assert [host.returncode for host in others] == [0, 0]
  assert any('100 clips of 9 latents' in each for each in said)
  assert not partial.exists()
  files = {path.name: path.read_bytes() for path in whole.iterdir()}
  assert files == {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_take_may_be_a_clip(folder, tmp_path):
  out = tmp_path / 'latents'
  done = programs.run(*_arguments(folder, out, '--chunks=0', '--takes=4'))
  assert done.returncode == 0, done.stderr
  assert '5 clips of up to 33 latents; 0 of 5 takes' in done.stdout
  clips = latents.Clips(out, 'train')
  takes = records.Takes(folder / 'film', 'train')
  assert [len(clip.latents) for clip in clips] == [33, 5, 33, 33]
  vae = vae_folder.restored(folder / 'vae')
  for clip, take in zip(clips, takes, strict=True):
    assert clip.words == take.words(0, len(clip.latents) - 1)
    assert clip.ended == take.ended
  means = vae.encode(train_vae.pixels(takes[1].frames()[None]))[0].mean[0]
  wanted = (np.asarray(means) - _STATISTICS.mean) / _STATISTICS.std
  np.testing.assert_allclose(clips[1].latents, wanted, rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_named(folder, whole, tmp_path):
  """Nothing is begun, and what is there stays."""
  other = tmp_path / 'vae'
  other.mkdir()
  config = json.loads((folder / 'vae/config.json').read_text())
  for side in ('encoder', 'decoder'):
    config['vae'][f'{side}_folds'] = [[4, 9, 8]]
  (other / 'config.json').write_text(json.dumps(config))
  (other / 'latents.json').write_bytes(
    (folder / 'vae/latents.json').read_bytes()
  )
  _cut(folder / 'whole', tmp_path / 'mixed', rate=np.float32(30.0))
  out = tmp_path / 'out'
  for place, flag, named in (
    (out, '--chunks=40', '161 frames of --chunks=40, the longest has 129'),
    (out, '--stride=6', '--stride is 6: give a multiple of 4'),
    (
      out,
      f'--vae={other}',
      f'{folder}/film: frames of 64x48 (width x height), of which {other} '
      'encodes multiples of 8x9 only',
    ),
    (whole, f'--tokenizer={folder}/others.model', 'was made with tokenizer = '),
    (whole, '--chunks=9', 'was made with chunks = 8, not 9'),
  ):
    error = programs.error(programs.run(*_arguments(folder, place, flag)))
    assert named in error
  assert not out.exists()
  assert not dataset.partial(out).exists()
  mixed = programs.run(*_arguments(folder, out, f'--records={tmp_path}/mixed'))
  assert 'train record 1: rate is 30.0, that of' in programs.error(mixed)
  assert not out.exists()
