"""Film and single pictures in one stream of batches, in fixed proportions."""

import os
from typing import NamedTuple

import grain

from data_pipelines import pipeline
from data_pipelines import stream as stream_lib


class Part(NamedTuple):
  """What a mixture draws from.

  Attributes:
    directory: a dataset of takes.
    frames: of a clip; 1 for single pictures.
    batch: clips of a batch.
    share: of the batches of a mixture, above 0.
  """

  directory: str | os.PathLike
  frames: int
  batch: int
  share: float


def clips(
  parts: list[Part],
  split: str,
  *,
  seed: int,
  share: stream_lib.Share = stream_lib.ALL,
) -> stream_lib.Stream:
  """Batches of `frames` uint8 [B, T, Y, X, 3], each of one part.

  Their order is fixed: after any number of batches each part has had its share
  of them, to within one batch. Like the streams of `pipeline`, a mixture is
  endless and goes on where it stopped.

  Raises:
    ValueError: no take of a part is as long as its clips.
  """
  streams = [
    pipeline.batches(
      pipeline.ClipSource(part.directory, split, frames=part.frames),
      part.batch,
      seed,
      share=share,
    )
    for part in parts
  ]
  mixed = grain.MapDataset.mix(streams, [part.share for part in parts])
  return stream_lib.Stream(mixed)
