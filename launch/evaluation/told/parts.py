"""What is known of a story by its film alone: a file for each, made once.

A file, OUT/parts/NAME.npz, is for the bytes of the story and for what looked at
it; where one of these is another now, it is made again. All figures of a folder
are made of these files, in the order of names: they do not depend on which host
made which file, nor on how often it was stopped.
"""

from collections.abc import Mapping
import contextlib
import io
import json
import pathlib
from typing import Any, NamedTuple
import zipfile

from jaxtyping import Float, UInt8
import numpy as np

from data_pipelines.prepare import dataset
from launch.evaluation import reader as reader_lib
from launch.evaluation.told import films
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import drift
from tv2tv_jax.evaluate import flicker
from tv2tv_jax.evaluate import i3d as i3d_lib
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.evaluate import motion
from tv2tv_jax.evaluate import pictures

FOLDER = 'parts'
CLIP = 16  # frames that I3D looks at together, as FVD is most often reported
_VERSION = 1  # of a file; another one is made again
_REACH = 8  # pixels that a scene may move from frame to frame
_CELL = 8  # pixels of a square that flickers
_CLIPS = 4  # that I3D looks at side by side

Frames = UInt8[np.ndarray, 'T Y X 3']


class I3d(NamedTuple):
  """The I3D network, and the digest of its file."""

  model: i3d_lib.I3d
  fingerprint: str


class Eyes(NamedTuple):
  """What looks at films; None: nobody does."""

  reader: reader_lib.Reader | None
  i3d: I3d | None

  def key(self, digest: str, original: str) -> dict[str, Any]:
    """All that a part depends on, for stories of these digests."""
    return {
      'version': _VERSION,
      'story': digest,
      'original': original,
      'reader': self.reader and self.reader.fingerprint,
      'i3d': self.i3d and self.i3d.fingerprint,
    }


class Part(NamedTuple):
  """What is known of a story.

  Attributes:
    name: of its folder.
    record: its story.json.
    beliefs: log-probabilities of each head for every filmed chunk; the first
      of them is chunk 1. None are there without a reader; likewise below.
    features: of every filmed chunk, of the reader.
    i3d: of clips of `CLIP` frames one after another, the start left out.
    travel: pixels by which the scene moved right, from frame to frame.
    changes: mean absolute differences from frame to frame, in gray levels.
    undone: how much of each change the next one takes back.
    statistics: of each frame, by their names in `drift.STATISTICS`.
    likeness: to the original of a frame: psnr, ssim and ms_ssim.
  """

  name: str
  record: Mapping[str, Any]
  beliefs: Mapping[str, Float[np.ndarray, 'N _']]
  features: Float[np.ndarray, 'N F']
  i3d: Float[np.ndarray, 'K G']
  travel: Float[np.ndarray, 'S']
  changes: Float[np.ndarray, 'S']
  undone: Float[np.ndarray, 'R']
  statistics: Mapping[str, Float[np.ndarray, 'T']]
  likeness: Mapping[str, Float[np.ndarray, 'T']]


def seen(
  told: films.Told, frames: Frames, eyes: Eyes, original: Frames | None
) -> Part:
  """What is known of a story.

  Args:
    told: the story.
    frames: of it.
    eyes: look at it.
    original: what it should be; it may be of another length.
  """
  beliefs, features = read(eyes, frames)
  likeness = {}
  if original is not None:
    count = min(len(frames), len(original))
    pairs = frames[:count], original[:count]
    likeness = {
      'psnr': pictures.psnr(*pairs),
      'ssim': pictures.ssim(*pairs),
      'ms_ssim': pictures.ms_ssim(*pairs),
    }
  reach = min(_REACH, frames.shape[2] // 3)
  cell = min(_CELL, *frames.shape[1:3])
  return Part(
    name=told.name,
    record=told.record,
    beliefs=beliefs,
    features=features,
    i3d=of_clips(eyes, frames),
    travel=motion.shifts(frames[None], reach)[0],
    changes=flicker.changes(frames),
    undone=flicker.undone(frames, cell),
    statistics=drift.statistics(frames),
    likeness=likeness,
  )


def read(
  eyes: Eyes, frames: Frames
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Beliefs and features of every chunk of a film, by the reader."""
  if eyes.reader is None:
    return {}, np.zeros((0, 0), np.float32)
  model = eyes.reader.model
  (chunks,) = controls.chunks(frames[None], model.config.chunk_frames)
  beliefs = inverse_dynamics.read(model, chunks)
  return beliefs, inverse_dynamics.features(model, chunks)


def of_clips(eyes: Eyes, frames: Frames) -> np.ndarray:
  """What I3D makes of the clips of a film that follow its first frame."""
  count = (len(frames) - 1) // CLIP
  if eyes.i3d is None or not count:
    return np.zeros((0, 0), np.float32)
  clips = frames[1 : 1 + count * CLIP]
  clips = clips.reshape(count, CLIP, *frames.shape[1:])
  return i3d_lib.features(eyes.i3d.model, clips, _CLIPS)


def save(
  out: pathlib.Path, part: Part | films.Failed, key: Mapping[str, Any]
) -> None:
  """Writes a part, or why there is none."""
  (out / FOLDER).mkdir(parents=True, exist_ok=True)
  failure = out / FOLDER / f'{part.name}.failed.json'
  if isinstance(part, films.Failed):
    text = json.dumps({'error': part.error, 'key': key}) + '\n'
    dataset.write_text(failure, text)
    return
  arrays: dict[str, Any] = {'key': json.dumps(key)}
  for field in part._fields[2:]:
    value = getattr(part, field)
    each = value if isinstance(value, Mapping) else {'': value}
    arrays |= {f'{field}/{name}': array for name, array in each.items()}
  buffer = io.BytesIO()
  np.savez_compressed(buffer, **arrays)
  dataset.write_bytes(out / FOLDER / f'{part.name}.npz', buffer.getvalue())
  failure.unlink(missing_ok=True)


def features_of(out: pathlib.Path) -> list[Float[np.ndarray, 'N F']]:
  """What the reader made of each story, in the order of names.

  Stories of which there is nothing are left out.
  """
  found = []
  for path in sorted((out / FOLDER).glob('*.npz')):
    with np.load(path) as kept:
      found.append(kept['features/'])
  return [each for each in found if len(each)]


def loaded(
  out: pathlib.Path, told: films.Told, key: Mapping[str, Any]
) -> Part | films.Failed | None:
  """The part of a story, or why there is none; None: nobody looked yet."""
  failure = out / FOLDER / f'{told.name}.failed.json'
  # What is not there, or not whole, is as if nobody had looked.
  with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
    failed = json.loads(failure.read_bytes())
    if failed['key'] == key:
      return films.Failed(told.name, failed['error'])
  found: dict[str, Any] = {name: {} for name in Part._fields[2:]}
  try:
    with np.load(out / FOLDER / f'{told.name}.npz') as kept:
      if json.loads(str(kept['key'])) != key:
        return None
      for place in kept.files:
        field, _, name = place.partition('/')
        if field in found:
          found[field][name] = kept[place]
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
    return None
  values = {field: each.get('', each) for field, each in found.items()}
  return Part(name=told.name, record=told.record, **values)
