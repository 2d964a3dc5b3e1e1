r"""Encodes recorded takes, once, into the latents that TV2TV learns from.

  python -m launch.encode --vae FOLDER --tokenizer FILE --records DIR --out DIR

Clips begin at every multiple of `--stride` frames of a take, each with a
one-frame latent of its own, and go on for `--chunks` latents of four frames.
A take that is shorter has none. With `--chunks 0` each take is one clip, as
long as it is. `--vae` is the finished workdir of
launch.train_vae or a converted VAE; `--tokenizer` makes the token ids that are
stored beside the words.

Work is done in pieces of `--takes` takes. Run the command again to go on after
an interruption: pieces that are whole are kept. The dataset appears under its
name when it is whole; one that is there is left as it is.

Several hosts that see one file system share the work: start the command on
each with the same flags, `--hosts H`, and its own `--host` from 0 to H - 1.
Each takes every H-th piece, and whichever ends last joins them. Hosts need not
start together nor know of one another, so nothing else is to be set up, and
`jax.distributed` least of all: each process encodes on its local devices. What
a lost host left undone, the command without `--hosts` does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import pathlib
from typing import Any

from absl import flags
import jax
import numpy as np
import tqdm

from data_pipelines import latents as latents_data
from data_pipelines import records
from data_pipelines import tokenize
from data_pipelines.prepare import encoding
from launch import clips as clips_lib
from launch import run as run_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import stream as stream_lib

_VAE = flags.DEFINE_string('vae', None, 'Folder of the VAE.')
_TOKENIZER = flags.DEFINE_string(
  'tokenizer', None, 'Tokenizer of the words: a file, or its folder.'
)
_RECORDS = flags.DEFINE_string('records', None, 'Dataset of takes.')
_OUT = flags.DEFINE_string('out', None, 'Folder of the dataset of latents.')
_CHUNKS = flags.DEFINE_integer(
  'chunks',
  16,
  'Latents of a clip after its first; 0: a take is a clip.',
  lower_bound=0,
)
_STRIDE = flags.DEFINE_integer(
  'stride',
  16,
  'Frames from clip to clip, a multiple of 4: words change on that grid.',
  lower_bound=1,
)
_DTYPE = flags.DEFINE_enum(
  'dtype', 'float16', [*latents_data.DTYPES], 'How latents are stored.'
)
_BATCH = flags.DEFINE_integer('batch', 16, 'Clips at once.', lower_bound=1)
_PIECE = flags.DEFINE_integer(
  'piece',
  16,
  'Latents at once: clips stream through the VAE, so that long ones need no '
  'more memory.',
  lower_bound=1,
)
_TAKES = flags.DEFINE_integer(
  'takes', 16, 'Takes of a piece of work.', lower_bound=1
)
_HOSTS = flags.DEFINE_integer(
  'hosts', 1, 'Hosts that share the work.', lower_bound=1
)
_HOST = flags.DEFINE_integer('host', 0, 'Which of them this is.')
flags.mark_flags_as_required(['vae', 'tokenizer', 'records', 'out'])


def main(_) -> None:
  """Encodes this host's share, and joins all of it if nothing is missing."""
  # Takes to learn from are needed; others need not be there.
  splits = dict.fromkeys(('train', *records.splits(_RECORDS.value)))
  takes = {split: records.Takes(_RECORDS.value, split) for split in splits}
  vae = pathlib.Path(_VAE.value)
  metadata = _metadata(vae, takes)
  job = encoding.Job(
    _OUT.value,
    metadata,
    _recipe(metadata),
    {split: len(those) for split, those in takes.items()},
    _TAKES.value,
  )
  mine = encoding.share(job.pieces, _HOST.value, _HOSTS.value)
  already = 'is there already, ' if job.is_finished() else ''
  job.begin()
  missing = set(job.missing())
  left = [piece for piece in mine if piece in missing]
  if left:
    with jax.set_mesh(_local_mesh()):
      encode = encoder(vae, metadata)
      ids_of = tokenize.load(_TOKENIZER.value).encode
      for piece, some in _watched(mine, left, takes):
        job.write(piece, _clips(some, encode, ids_of, metadata))
  missing = job.missing()
  if missing:
    print(
      f'{job.out}: this share is done; other hosts have {len(missing)} of '
      f'{len(job.pieces)} pieces to make, and the last of them joins all'
    )
    return
  counts = job.join()
  most = '' if _CHUNKS.value else 'up to '
  print(
    f'{job.out}: {already}{counts.clips} clips of {most}{metadata.chunks} '
    f'latents; {counts.short} of {counts.takes} takes were too short'
  )


def _metadata(
  vae: pathlib.Path, takes: Mapping[str, records.Takes]
) -> latents_data.Metadata:
  """What the latents will be; refuses takes that the VAE cannot encode."""
  run = workdir_lib.read(vae, train_vae.VaeRun)
  statistics, fingerprint = latents_lib.load(vae / 'latents.json')
  step, rows, columns = run.vae.stride
  if _STRIDE.value % step:
    raise ValueError(
      f'--stride is {_STRIDE.value}: give a multiple of {step} frames'
    )
  if not len(takes['train']):
    raise ValueError(f'{_RECORDS.value}: split train is empty')
  first = takes['train'][0]
  if first.height % rows or first.width % columns:
    raise ValueError(
      f'{_RECORDS.value}: frames of {first.width}x{first.height} (width x '
      f'height), of which {vae} encodes multiples of {columns}x{rows} only; '
      'record another size'
    )
  return latents_data.Metadata(
    fingerprint=fingerprint,
    tokenizer=tokenize.fingerprint(_TOKENIZER.value),
    dtype=_DTYPE.value,
    mean=tuple(map(float, statistics.mean)),
    std=tuple(map(float, statistics.std)),
    rate=float(first.rate),
    chunk_frames=step,
    chunks=1 + _longest(takes, step),
  )


def _longest(takes: Mapping[str, records.Takes], step: int) -> int:
  """Chunks of the longest clip; refuses takes that are all too short."""
  chunks = _CHUNKS.value
  length = 1 + step * max(1, chunks)
  if chunks and any(take.frame_count >= length for take in takes['train']):
    return chunks
  splits = ['train'] if chunks else [*takes]
  longest = max(take.frame_count for split in splits for take in takes[split])
  if longest < length:
    raise ValueError(
      f'{_RECORDS.value}: no take of split {" or ".join(splits)} has the '
      f'{length} frames of --chunks={chunks}, the longest has {longest}'
    )
  return (longest - 1) // step


def _recipe(metadata: latents_data.Metadata) -> dict[str, Any]:
  """All that the content depends on, named as the flags are."""
  return {
    'vae': metadata.fingerprint,
    'mean': list(metadata.mean),
    'std': list(metadata.std),
    'tokenizer': metadata.tokenizer,
    'records': encoding.fingerprint(_RECORDS.value),
    **{flag.name: flag.value for flag in (_CHUNKS, _STRIDE, _DTYPE)},
    # Arrays of another shape may be rounded another way.
    **{flag.name: flag.value for flag in (_BATCH, _PIECE, _TAKES)},
  }


def _local_mesh() -> jax.sharding.Mesh:
  """The devices of this process, which clips are split over."""
  devices = jax.local_devices()
  if _BATCH.value % len(devices):
    raise ValueError(
      f'--batch is {_BATCH.value}: give a multiple of the {len(devices)} '
      'devices of this host'
    )
  return sharding.make_mesh(devices=devices)


def encoder(
  folder: pathlib.Path, metadata: latents_data.Metadata
) -> Callable[[np.ndarray], np.ndarray]:
  """Clips uint8 [B, 1 + 4n, Y, X, 3] to normalised latents float32."""
  # Short clips would only fill up a longer piece.
  piece = min(_PIECE.value, metadata.chunks - 1)
  stream = stream_lib.Stream(vae_folder.restored(folder), piece=piece)
  statistics = latents_lib.LatentStatistics(
    np.array(metadata.mean, np.float32), np.array(metadata.std, np.float32)
  )
  return lambda frames: latents_lib.normalise(stream.means(frames), statistics)


def _watched(
  mine: Sequence[encoding.Piece],
  left: Sequence[encoding.Piece],
  takes: Mapping[str, records.Takes],
) -> Iterator[tuple[encoding.Piece, Iterator[records.Take]]]:
  """The pieces that are left with their takes, while a bar counts these."""
  total, to_do = (sum(len(p.takes) for p in some) for some in (mine, left))
  first = takes['train'][0]

  def some(piece, bar):
    for take in map(takes[piece.split].__getitem__, piece.takes):
      _check_alike(take, first)
      yield take
      bar.update()

  with tqdm.tqdm(
    total=total,
    initial=total - to_do,
    desc='encode',
    unit='take',
    dynamic_ncols=True,
  ) as bar:
    for piece in left:
      yield piece, some(piece, bar)


def _check_alike(take: records.Take, first: records.Take) -> None:
  """One dataset has one size and one rate."""
  for name in ('height', 'width', 'rate'):
    value, wanted = getattr(take, name), getattr(first, name)
    if value != wanted:
      raise ValueError(
        f'{take.where}: {name} is {value}, that of {first.where} is {wanted}'
      )


def _clips(
  takes: Iterator[records.Take],
  encode: Callable[[np.ndarray], np.ndarray],
  ids_of: Callable[[str], Sequence[int]],
  metadata: latents_data.Metadata,
) -> Iterator[latents_data.Clip]:
  """The clips of some takes."""
  step, batch = metadata.chunk_frames, _BATCH.value
  if _CHUNKS.value:
    length, stride = 1 + step * _CHUNKS.value, _STRIDE.value
    some = clips_lib.every(takes, length=length, stride=stride, batch=batch)
  else:
    some = clips_lib.whole(takes, step=step, batch=batch)
  for clips in some:
    latents = encode(clips.frames)
    for take, start, values in zip(
      clips.takes, clips.starts, latents, strict=False
    ):
      chunks = _CHUNKS.value or (take.frame_count - 1) // step
      length = 1 + step * chunks
      words = take.words(start, chunks, step)
      yield latents_data.Clip(
        latents=values[: 1 + chunks],
        words=words,
        prompt=take.prompt,
        start=start / take.rate,
        ended=take.ended and start + length == take.frame_count,
        take=take.take,
        word_ids=tuple(tuple(ids_of(text)) for text in words),
        prompt_ids=tuple(ids_of(take.prompt)),
      )


if __name__ == '__main__':
  run_lib.app(main, mesh='none')  # It has one of this host's devices alone.
