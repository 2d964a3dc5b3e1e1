"""Counter-Strike as a source of film: the set of Pearce & Zhu (2021).

The files of "Counter-Strike Deathmatch with Large-Scale Behavioural Cloning"
(arXiv 2104.04258), unpacked, or any of the same layout. What is said of them is
from their repository, TeaPearce/Counter-Strike_Behavioural_Cloning.

A file holds 1,000 frames of one player, 16 a second (`csgo_recording`). An
action is what the player does on seeing the picture of its frame: the picture
is grabbed, then the game goes on for a sixteenth of a second, and the action is
how view, speed and ammunition have changed by then (`dm_record_data.py`). So
action 6 made frame 7, and row `t` of a take's controls is the action of the
frame before frame `t`. Kills and deaths are shifted in the same way.
"""

from collections.abc import Iterator
import dataclasses
import pathlib
from typing import Any, ClassVar, NamedTuple

import numpy as np

from data_pipelines import film
from data_pipelines.prepare import words
from data_pipelines.sources import csgo_recording
from data_pipelines.sources import csgo_words
from data_pipelines.sources import places
from data_pipelines.sources import source

RATE = 16  # frames/s
RATES = (16, 8, 4, 2, 1)
GRIDS = ('frame', 'chunk')
LICENSE = 'Pearce & Zhu: personal projects and open research, not commercial'


class _Set(NamedTuple):
  """What the name of a file tells: its set's, README.md of the repository."""

  mode: str
  map: str
  player: str


_SETS = {
  'dm_july2021': _Set('deathmatch', 'dust2', 'online'),
  'dm_july2021_expert': _Set('deathmatch', 'dust2', 'expert'),
  'dm_nuke_expert': _Set('deathmatch', 'nuke', 'expert'),
  'dm_mirage_expert': _Set('deathmatch', 'mirage', 'expert'),
  'dm_inferno_expert': _Set('deathmatch', 'inferno', 'expert'),
  'aim_july2021_expert': _Set('aim training', '', 'expert'),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Csgo:
  """Takes of Counter-Strike, with what was pressed as words.

  The last frame of a take is the first of the next one. No take ends its story:
  a file ends where a thousand frames were full.

  Attributes:
    input: folder of .hdf5 files, searched with all folders in it; or one file.
    size: width x height of a frame, the middle of the picture, '128x128'; ''
      for the set's own 280x150.
    rate: frames/s, 16, 8, 4, 2 or 1: frames are left out, the actions between
      two that stay become one (`csgo_words.merged`), its distances the nearest
      that have a column; 0 for the set's own 16.
    seconds: of a take at most, up to 16.
    grid: 'chunk' for words of what happens in each chunk of 4 frames, 'frame'
      for words of each frame; see `csgo_words`.
    test_share: share of the files that are held out.
    license: of the files; '' for the terms of the published set.
  """

  name: ClassVar[str] = 'csgo'

  input: str
  size: str = ''
  rate: float = 0.0
  seconds: float = 8.0
  grid: str = 'chunk'
  test_share: float = 0.1
  license: str = ''

  def units(self) -> list[source.Unit]:
    """A unit per file, in the order of their names."""
    self._check()
    names = [*self._files()]
    held_out = source.held_out(names, self.test_share)
    return [source.Unit(name, name in held_out, name) for name in names]

  def takes(self, unit: source.Unit) -> Iterator[source.Film | source.Dropped]:
    """The takes of a file, one after another.

    Raises:
      ValueError: no HDF5 file, or one with a frame that is missing or is not
        as it should be; names the file, the dataset and the value.
    """
    step = RATE // self._rate
    chunks = int(self.seconds * self._rate) // source.CHUNK
    length = source.CHUNK * chunks * step
    path = places.root(self.input) / unit.work
    with csgo_recording.opened(path) as recording:
      last = recording.frame_count - 1
      for index, first in enumerate(range(0, max(last, 1), length)):
        shown = range(first, min(first + length, last) + 1, step)
        yield self._film(unit, recording, index, shown)

  def recipe(self) -> dict[str, Any]:
    """Settings, and the names and sizes of all files; not where they are."""
    settings = dataclasses.asdict(self)
    del settings['input']
    return {**settings, **places.recipe(self._files())}

  @property
  def _rate(self) -> int:
    return int(self.rate) or RATE

  @property
  def _box(self) -> film.Box | None:
    """What is seen of a picture, None for all of it."""
    size = self.size and film.parse_size(self.size)
    return film.middle(csgo_recording.SIZE, size) if size else None

  def _check(self):
    """ValueError names the first setting that is out of range."""
    if self.rate not in (0, *RATES):
      raise ValueError(
        f'rate is {self.rate}: frames come {RATE} times a second, choose from '
        f'{", ".join(map(str, RATES))}'
      )
    shortest = source.CHUNK / self._rate
    if not shortest <= self.seconds <= source.LONGEST:
      raise ValueError(
        f'seconds is {self.seconds}: a take lasts {shortest:g} (a chunk) to '
        f'{source.LONGEST:g} s'
      )
    if self.grid not in GRIDS:
      raise ValueError(f'grid is {self.grid!r}: choose from {", ".join(GRIDS)}')
    _ = self._box  # Raises for a size that is none.

  def _files(self) -> dict[str, int]:
    """Names and sizes of the files; ValueError if there are none."""
    files = places.files(self.input, '.hdf5')
    if not files:
      raise ValueError(f'input is {self.input!r}: no .hdf5 file is there')
    return files

  def _film(
    self,
    unit: source.Unit,
    recording: csgo_recording.Recording,
    index: int,
    shown: range,
  ) -> source.Film:
    """Take `index`, of the frames `shown`."""
    path = pathlib.PurePosixPath(unit.name)
    about = _SETS.get(path.stem.removeprefix('hdf5_').rpartition('_')[0])
    about = about or _Set('deathmatch', '', '')
    moves = recording.moves(shown)
    held = csgo_words.actions_of(csgo_words.merged(moves, shown.step))
    # Frames that words are of.
    told = source.CHUNK if self.grid == 'chunk' else 1
    told_moves = csgo_words.merged(moves, told * shown.step)
    prompt = words.Segment(
      start=0.0,
      end=len(shown) / self._rate,
      kind=words.PROMPT,
      text=f'counter-strike {about.mode} {about.map}'.strip(),
    )
    return source.Film(
      name=f'{self.name}-{path.with_suffix("")}-{index:03d}',
      frames=recording.pictures(shown, self._box),
      rate=float(self._rate),
      segments=[prompt, *csgo_words.segments_of(told_moves, self._rate / told)],
      origin=unit.name,
      start=shown.start / RATE,
      ended=False,
      license=self.license or LICENSE,
      controls=np.pad(held, ((1, 0), (0, 0))),
      control_names=csgo_words.NAMES,
      states=recording.states(shown),
      state_names=csgo_recording.STATE_NAMES,
      details=about._asdict(),
    )
