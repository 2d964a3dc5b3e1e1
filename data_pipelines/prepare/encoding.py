"""A dataset of latents as a job: it stops, goes on, and is shared by hosts.

A piece is what the takes `[k * size, (k + 1) * size)` of a split become: a file
of clips. Hosts that see one file system take every so-manieth piece each and
need not know of one another. What a piece holds depends on the recipe and its
takes alone, so neither stops nor the number of hosts change a byte.
"""

from collections.abc import Iterable, Mapping, Sequence
import hashlib
import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import latents
from data_pipelines import sizes as sizes_lib
from data_pipelines.prepare import dataset
from data_pipelines.prepare import pieces

_SUMMARY = 'summary.json'


class Piece(NamedTuple):
  """A unit of work."""

  split: str
  takes: range  # places in the split
  path: pathlib.Path  # of its clips

  @property
  def mark(self) -> pathlib.Path:
    """What says that the piece is whole."""
    return pieces.mark(self.path)

  @property
  def sizes(self) -> pathlib.Path:
    """The sizes of its clips."""
    return self.path.with_suffix('.npy')


class Counts(NamedTuple):
  """What came of takes."""

  takes: int
  short: int  # takes that are shorter than a clip
  clips: int


class Job(pieces.Job[Piece, Counts]):
  """The pieces of a dataset of latents: all of them, and what is left."""

  def __init__(
    self,
    out: str | os.PathLike,
    metadata: latents.Metadata,
    recipe: Mapping[str, Any],
    takes: Mapping[str, int],
    size: int,
  ):
    """Plans; touches nothing.

    Args:
      out: folder of the dataset.
      metadata: of its latents.
      recipe: all that its content depends on.
      takes: how many each split has.
      size: takes of a piece.
    """
    place = dataset.partial(out)
    super().__init__(
      out,
      {**recipe, 'version': latents.VERSION},
      [
        Piece(
          split,
          range(first, min(first + size, count)),
          place / f'{split}-{first // size:05d}.array_record',
        )
        for split, count in takes.items()
        for first in range(0, count, size)
      ],
      counts=Counts,
      records='clips',
    )
    self._metadata = metadata

  def write(self, piece: Piece, clips: Iterable[latents.Clip]) -> Counts:
    """Makes a piece.

    Args:
      piece: which.
      clips: of its takes, in order; the first of each begins at 0 s.

    Raises:
      ValueError: a clip does not fit the metadata.
      OSError: the disk is full.
    """
    sizes, long = [], 0

    def records():
      nonlocal long
      for clip in clips:
        yield latents.record_of(clip, self._metadata)
        counts = [len(ids) for ids in (clip.prompt_ids, *clip.word_ids)]
        sizes.append(sizes_lib.Size(np.array(counts, np.int32), clip.ended))
        long += clip.start == 0.0

    dataset.write_piece(piece.path, latents.features(), records())
    dataset.write_bytes(
      piece.sizes, sizes_lib.to_bytes(sizes_lib.of_clips(sizes))
    )
    counts = Counts(len(piece.takes), len(piece.takes) - long, len(sizes))
    pieces.write_mark(piece.path, counts)
    return counts

  def join(self) -> Counts:
    """Makes the dataset of all pieces, unless another host has.

    Raises:
      ValueError: a piece is damaged, or no take became a clip.
      OSError: the disk is full.
    """
    self.join_by(self._finish)
    return pieces.read(self.out / _SUMMARY, Counts)

  def _finish(self, marks: Sequence[Counts], files: pieces.Files) -> None:
    if not files:
      raise ValueError(f'{self.out}: no take is as long as a clip')
    summary = Counts(*map(sum, zip(*marks, strict=True)))
    sizes = {split: [] for split in files}
    for piece, counts in zip(self.pieces, marks, strict=True):
      if counts.clips:
        sizes[piece.split] += _each(piece.sizes, counts.clips)
    dataset.finish(
      self.out,
      'latents',
      latents.features(),
      files,
      version=latents.VERSION,
      description='Clips encoded by a causal VAE, with the words before each.',
      extra={
        latents.METADATA: latents.metadata_json(self._metadata),
        _SUMMARY: json.dumps(summary._asdict(), indent=2) + '\n',
        **{
          sizes_lib.name(split): sizes_lib.to_bytes(sizes_lib.of_clips(some))
          for split, some in sizes.items()
        },
      },
    )


def _each(path: pathlib.Path, clips: int) -> list[sizes_lib.Size]:
  """The sizes of the clips of a piece."""
  sizes = sizes_lib.read(path, clips)
  counts = np.split(sizes.counts, sizes.begins[1:])
  return [*map(sizes_lib.Size, counts, map(bool, sizes.ended))]


def share(some: Iterable[Piece], host: int, hosts: int) -> list[Piece]:
  """The pieces of one host of many.

  Raises:
    ValueError: there is no such host.
  """
  if not 0 <= host < hosts:
    raise ValueError(
      f'--host={host} of --hosts={hosts}: number them from 0 to {hosts - 1}'
    )
  return [*some][host::hosts]


def fingerprint(directory: str | os.PathLike) -> str:
  """Sixteen hex digits that name the content of a finished dataset.

  Of its recipe, if it has one, and of what it says of its files; its folder
  and its name do not count.
  """
  digest = hashlib.sha256()
  for name in (dataset.RECIPE, 'dataset_info.json'):
    path = pathlib.Path(directory) / name
    digest.update(path.read_bytes() if path.is_file() else b'')
  return digest.hexdigest()[:16]
