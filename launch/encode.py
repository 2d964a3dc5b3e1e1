r"""Encodes recorded takes into the latents that TV2TV learns from.

  python -m launch.encode --vae WORKDIR --records DIR --out DIR

Clips begin at every multiple of `--stride` frames of a take, each with a
one-frame latent of its own, and go on for `--chunks` latents of four frames.
`--vae` is the finished workdir of launch.train_vae. The dataset appears under
its name when it is whole; one that is there is left as it is.
"""

from collections.abc import Callable, Iterator
import pathlib

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from data_pipelines import latents as records_lib
from data_pipelines import records
from launch import clips as clips_lib
from launch import run as run_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import vae as vae_lib

_VAE = flags.DEFINE_string('vae', None, 'Workdir of launch.train_vae.')
_RECORDS = flags.DEFINE_string('records', None, 'Dataset of takes.')
_OUT = flags.DEFINE_string('out', None, 'Folder of the dataset of latents.')
_CHUNKS = flags.DEFINE_integer(
  'chunks', 16, 'Latents of a clip after its first.', lower_bound=1
)
_STRIDE = flags.DEFINE_integer(
  'stride',
  16,
  'Frames from clip to clip, a multiple of 4: words change on that grid.',
  lower_bound=1,
)
_BATCH = flags.DEFINE_integer('batch', 16, 'Clips at once.', lower_bound=1)
_PIECE = flags.DEFINE_integer(
  'piece',
  16,
  'Latents at once: clips stream through in pieces, so that long ones need no '
  'more memory.',
  lower_bound=1,
)
flags.mark_flags_as_required(['vae', 'records', 'out'])


def main(_) -> None:
  """Encodes both splits."""
  workdir = pathlib.Path(_VAE.value)
  run = workdir_lib.read(workdir, train_vae.VaeRun)
  statistics, fingerprint = latents_lib.load(workdir / 'latents.json')
  step = run.vae.stride[0]
  if _STRIDE.value % step:
    raise ValueError(
      f'--stride is {_STRIDE.value}: give a multiple of {step} frames'
    )
  splits = {
    split: records.Takes(_RECORDS.value, split) for split in records.SPLITS
  }
  metadata = records_lib.Metadata(
    fingerprint=fingerprint,
    mean=tuple(map(float, statistics.mean)),
    std=tuple(map(float, statistics.std)),
    rate=float(splits['train'][0].rate),
    chunk_frames=step,
  )
  if records_lib.is_written(_OUT.value, metadata):
    length = len(records_lib.Clips(_OUT.value, 'train')[0].latents)
    if length != 1 + _CHUNKS.value:
      raise ValueError(
        f'{_OUT.value}: holds clips of {length} latents, --chunks='
        f'{_CHUNKS.value} makes {1 + _CHUNKS.value}: choose another --out'
      )
    print(f'{_OUT.value}: is there already')
    return
  model = vae_folder.restored(workdir)
  encode = encoder(model, statistics, step, _PIECE.value)
  count = 0
  with records_lib.write_latents(_OUT.value, metadata) as write:
    for split, takes in splits.items():
      for clip in _encoded(takes, encode, step, split):
        write(split, clip)
        count += 1
  print(f'{_OUT.value}: {count} clips of {1 + _CHUNKS.value} latents')


def encoder(
  model: vae_lib.Vae,
  statistics: latents_lib.LatentStatistics,
  step: int,
  piece: int,
) -> Callable[[np.ndarray], np.ndarray]:
  """Clips uint8 [B, 1 + step * n, Y, X, 3] to normalised latents float16.

  They stream through the VAE `piece` latents at a time.
  """

  @jax.jit
  def advance(model, frames, past):
    gaussian, past = model.encode(train_vae.pixels(frames), past)
    latents = latents_lib.normalise(gaussian.mean, statistics)
    return latents.astype(jnp.float16), past

  def encode(frames: np.ndarray) -> np.ndarray:
    edges = [0, *range(1 + step * piece, frames.shape[1], step * piece)]
    parts, past = [], None
    for begin, end in zip(edges, [*edges[1:], frames.shape[1]], strict=True):
      batch = sharding.put_batch(frames[:, begin:end])
      part, past = advance(model, batch, past)
      parts.append(part)
    return np.concatenate(jax.device_get(parts), axis=1)

  return encode


def _encoded(
  takes: records.Takes,
  encode: Callable[[np.ndarray], np.ndarray],
  step: int,
  split: str,
) -> Iterator[records_lib.Clip]:
  """The clips of a split."""
  length = 1 + step * _CHUNKS.value
  with tqdm.tqdm(
    total=len(takes), desc=f'encode {split}', unit='take', dynamic_ncols=True
  ) as bar:
    seen = None
    for clips in clips_lib.every(
      takes, length=length, stride=_STRIDE.value, batch=_BATCH.value
    ):
      latents = encode(clips.frames)
      for take, start, values in zip(
        clips.takes, clips.starts, latents, strict=False
      ):
        if take is not seen:
          seen = take
          bar.update()
        yield records_lib.Clip(
          latents=values,
          words=take.words(start, _CHUNKS.value, step),
          prompt=take.prompt,
          start=start / take.rate,
          ended=take.ended and start + length == take.frame_count,
          take=take.take,
        )


if __name__ == '__main__':
  run_lib.app(main)
