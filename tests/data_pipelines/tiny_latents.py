"""Clips of latents that need no VAE, and a job that makes them."""

import os
import pathlib
import signal
import time

import numpy as np

from data_pipelines import latents
from data_pipelines.prepare import dataset
from data_pipelines.prepare import encoding

METADATA = latents.Metadata(
  fingerprint='vae-1',
  tokenizer='words-1',
  dtype='float16',
  mean=(0.0, 0.0),
  std=(1.0, 1.0),
  rate=17.5,
  chunk_frames=4,
  chunks=3,
)
TAKES = {'train': 11, 'test': 2}


def clip(seed: int = 0, **fields) -> latents.Clip:
  """A clip of noise; any field may be given."""
  rng = np.random.default_rng(seed)
  given = {
    'latents': rng.standard_normal((3, 2, 4, 2)).astype(np.float32),
    'words': ('', 'turn left', 'ä'),
    'prompt': 'doom',
    'start': 0.0,
    'ended': False,
    'take': f'take-{seed}',
    'word_ids': ((), (7, 8), (9,)),
    'prompt_ids': (5, 2**30),
  }
  return latents.Clip(**{**given, **fields})


def job(out: pathlib.Path, metadata=METADATA, **recipe) -> encoding.Job:
  """Pieces of two takes."""
  return encoding.Job(out, metadata, {'vae': 'vae-1', **recipe}, TAKES, 2)


def clips_of(piece: encoding.Piece):
  """The clips of a piece: take `n` has `n` of them, or up to 3."""
  for take in piece.takes:
    for number in range(min(take, 3)):
      seed = 10 * take + number + (1000 if piece.split == 'test' else 0)
      yield clip(seed, start=float(number), take=f'take-{take}')


def work(out: pathlib.Path, host: int = 0, hosts: int = 1) -> int:
  """Makes one host's share; how many of its pieces were left to make."""
  job_ = job(out)
  job_.begin()
  missing = set(job_.missing())
  left = [p for p in encoding.share(job_.pieces, host, hosts) if p in missing]
  for piece in left:
    job_.write(piece, clips_of(piece))
  return len(left)


def end(out: pathlib.Path, log: pathlib.Path, ready) -> None:
  """Joins when others do too; whoever does it writes its number to `log`."""
  finish = dataset.finish

  def logged(*args, **kwargs):
    with log.open('a') as file:
      file.write(f'{os.getpid()}\n')
    time.sleep(0.5)  # Long enough for the others to be there.
    finish(*args, **kwargs)

  dataset.finish = logged
  ready.wait()
  assert job(out).join() == COUNTS


def die(out: pathlib.Path) -> None:
  """Is killed while it joins."""
  dataset.finish = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
  job(out).join()


# Of 11 takes with 0, 1, 2, 3, 3, ... clips and 2 with 0 and 1.
COUNTS = encoding.Counts(takes=13, short=2, clips=1 + 2 + 8 * 3 + 1)
