"""All figures of a folder of finished stories: no model, its films alone.

`Judges` are what looks at films: the inverse dynamics model and I3D, with what
they make of real film beside. They are asked about one folder after another.
A host looks at every H-th story and leaves a file for each; the one that finds
all of them there writes the report, which is the same to the bit for any number
of hosts and after any stop. Stories that failed are counted and named in it.
"""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

import tqdm

from data_pipelines.prepare import dataset
from launch.evaluation import reader as reader_lib
from launch.evaluation.told import beside
from launch.evaluation.told import distances
from launch.evaluation.told import figures
from launch.evaluation.told import films
from launch.evaluation.told import page
from launch.evaluation.told import parts as parts_lib
from launch.evaluation.told import real as real_lib
from launch.evaluation.told import table as table_lib
from launch.evaluation.told import trials as trials_lib
from launch.stories import batch
from tv2tv_jax.evaluate import i3d_weights

REPORT, TABLE, PAGE = 'report.json', 'report.md', 'index.html'
_AGAINST = 'against'  # folder of the parts of other stories

_Story = films.Told | films.Failed
_Part = parts_lib.Part | films.Failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """What stories are held against; '': nothing of this kind.

  Attributes:
    records: dataset of takes: real film.
    split: of it.
    against: a second folder of stories, paired by name.
    witness: workdir of the inverse dynamics model; it is trained there, on the
      split train of `records`, where there is none.
    vae: folder of the VAE whose copies of film that model learns to read.
    i3d: file of I3D's weights.
  """

  records: str = ''
  split: str = 'test'
  against: str = ''
  witness: str = ''
  vae: str = ''
  i3d: str = ''


class Evaluated(NamedTuple):
  """A folder that was looked at.

  Attributes:
    report: as report.json has it.
    trials: every instruction and its verdict.
    parts: what is known of each story, in the order of names.
    real: of real film; None: there is none.
    failed: stories that could not be looked at, as the report names them.
  """

  report: dict[str, Any]
  trials: list[trials_lib.Trial]
  parts: list[parts_lib.Part]
  real: real_lib.Real | None
  failed: list[dict[str, str]]


class _Set(NamedTuple):
  """Stories to look at.

  Attributes:
    folder: of them.
    out: gets their parts.
    every: story.
    originals: what they should be, by their names.
  """

  folder: pathlib.Path
  out: pathlib.Path
  every: Sequence[_Story]
  originals: Mapping[str, _Story]

  @property
  def told(self) -> list[films.Told]:
    """Those that there is a film of."""
    return [each for each in self.every if isinstance(each, films.Told)]


def evaluated(
  folder: pathlib.Path,
  out: pathlib.Path,
  settings: Settings,
  share: batch.Share | None = None,
) -> Evaluated | None:
  """A folder's figures; as `Judges.evaluated`."""
  return Judges(settings).evaluated(folder, out, share)


class Judges:
  """What looks at stories."""

  def __init__(self, settings: Settings):
    """Reads what is asked for, and trains the reader where there is none.

    Raises:
      ValueError: what is not there, or does not belong together.
    """
    self._settings = settings
    reader, i3d = None, None
    if settings.witness:
      workdir = pathlib.Path(settings.witness)
      reader = reader_lib.trained(workdir, settings.records, settings.vae)
    if settings.i3d:
      path = pathlib.Path(settings.i3d)
      model = i3d_weights.restored(path)
      i3d = parts_lib.I3d(model, hashlib.sha256(path.read_bytes()).hexdigest())
    self._eyes = parts_lib.Eyes(reader, i3d)
    real = settings.records, settings.split, settings.vae
    self._beside = beside.Beside(*real, self._eyes, settings.witness)

  def evaluated(
    self,
    folder: pathlib.Path,
    out: pathlib.Path,
    share: batch.Share | None = None,
  ) -> Evaluated | None:
    """Looks at this host's stories, and at all together if it is the last.

    Args:
      folder: of `launch.generate --prompts`.
      out: gets a file for each story, and the report with its page.
      share: which stories are looked at here; None: all.

    Returns:
      None where other hosts have stories left to look at.

    Raises:
      ValueError: stories that are not alike, or cannot be held against what
        they should be; names them.
    """
    share = share or batch.Share()
    every = films.stories(folder)
    originals = self._originals(folder, every)
    self._check(folder, every)
    sets = [_Set(folder, out, every, originals)]
    if originals:
      against = pathlib.Path(self._settings.against)
      sets.append(_Set(against, out / _AGAINST, [*originals.values()], {}))
    for each in sets:
      self._look_at(each, share)
    # All of this host's are there by now: of several, the last finds all.
    parts, *others = [self._gathered(each) for each in sets]
    if parts is None or None in others:
      return None
    done = self._summed(folder, parts, *others)
    if done.real:
      real_lib.keep(out, done.real.chunks)
    dataset.write_text(out / PAGE, page.render(folder, done.report, done.parts))
    dataset.write_text(out / TABLE, table_lib.markdown(done.report))
    text = json.dumps(done.report, indent=1, allow_nan=False) + '\n'
    dataset.write_text(out / REPORT, text)
    return done

  def _originals(
    self, folder: pathlib.Path, every: Sequence[_Story]
  ) -> dict[str, _Story]:
    """The stories of the other folder by their names: the same names."""
    if not self._settings.against:
      return {}
    against = pathlib.Path(self._settings.against)
    others = {each.name: each for each in films.stories(against)}
    names = {each.name for each in every}
    alone = {
      folder: sorted(names - others.keys()),
      against: sorted(others.keys() - names),
    }
    lines = [
      f'{len(some)} in {place} alone ({", ".join(some[:9])})'
      for place, some in alone.items()
      if some
    ]
    if lines:
      raise ValueError(
        f'{folder} has {len(names)} stories, {against} {len(others)}; they are '
        f'paired by name, and there are {" and ".join(lines)}'
      )
    films.check_alike(f'{folder} and {against}', [*every, *others.values()])
    return others

  def _check(self, folder: pathlib.Path, every: Sequence[_Story]) -> None:
    """ValueError if the reader cannot read the stories."""
    told = [each for each in every if isinstance(each, films.Told)]
    if told and self._eyes.reader:
      self._eyes.reader.check(told[0].record, f'{folder / told[0].name}')

  def _look_at(self, stories: _Set, share: batch.Share) -> None:
    """Looks at this host's share of what nobody has looked at yet."""
    mine = share.of(stories.told)
    bar = tqdm.tqdm(mine, desc='look', unit='story', dynamic_ncols=True)
    for told in bar:
      key = self._key(stories, told)
      if parts_lib.loaded(stories.out, told, key) is None:
        original = stories.originals.get(told.name)
        part = self._look(stories.folder, told, original)
        parts_lib.save(stories.out, part, key)

  def _gathered(self, stories: _Set) -> list[_Part] | None:
    """What is known of each story; None where others are still looking."""
    found = [
      parts_lib.loaded(stories.out, each, self._key(stories, each))
      if isinstance(each, films.Told)
      else each
      for each in stories.every
    ]
    return None if None in found else found

  def _key(self, stories: _Set, told: films.Told) -> dict[str, Any]:
    """All that the part of a story depends on."""
    original = stories.originals.get(told.name)
    return self._eyes.key(told.digest, getattr(original, 'digest', ''))

  def _look(
    self, folder: pathlib.Path, told: films.Told, original: _Story | None
  ) -> _Part:
    """Looks at a story, whose original may have failed."""
    try:
      frames = films.frames(folder, told)
    except (ValueError, OSError) as error:
      return films.failed(folder, told.name, error)
    other = None
    if isinstance(original, films.Told):
      # What fails there is named among the others.
      with contextlib.suppress(ValueError, OSError):
        other = films.frames(pathlib.Path(self._settings.against), original)
    return parts_lib.seen(told, frames, self._eyes, other)

  def _summed(
    self,
    folder: pathlib.Path,
    found: Sequence[_Part],
    others: Sequence[_Part] | None = None,
  ) -> Evaluated:
    """All figures of the stories that could be looked at."""
    parts, failed = _parted(found)
    names = dataclasses.asdict(self._settings).items()
    report: dict[str, Any] = {
      'folder': folder.name,
      **figures.stories(parts, failed),
      **{name: pathlib.Path(value).name for name, value in names},
      'frechet': {},
    }
    if not parts:
      return Evaluated(report, [], [], None, failed)
    real, floor = self._beside.film(parts)
    report |= figures.of(parts, real.takes if real else [])
    if real:
      report['frechet']['real'] = distances.of(parts, real, floor)
    if others is not None:
      there, report['against_failed'] = _parted(others)
      rows = distances.rows(there)
      report['frechet']['against'] = distances.of(parts, rows, None)
    trials: list[trials_lib.Trial] = []
    if self._eyes.reader:
      every = trials_lib.of(parts, self._eyes.reader.names)
      trials = every.judged
      ceilings, report['reader'] = self._beside.tested(parts, trials)
      report['obedience'] = {
        **trials_lib.table(trials, ceilings),
        'unread': every.unread,
        'unfilmed': every.unfilmed,
        'trials': trials,
      }
    return Evaluated(report, trials, parts, real, failed)


def _parted(
  found: Sequence[_Part],
) -> tuple[list[parts_lib.Part], list[dict[str, str]]]:
  """Parts, and those that failed as a report names them."""
  parts = [each for each in found if isinstance(each, parts_lib.Part)]
  failed = [
    {'id': each.name, 'error': each.error}
    for each in found
    if isinstance(each, films.Failed)
  ]
  return parts, failed
