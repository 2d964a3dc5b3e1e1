"""What a source of film offers: units of work, and the takes that each gives.

A source is a frozen dataclass: its fields are its settings, and it travels to
other processes and machines as it is. `data_pipelines.prepare.record` makes a
dataset of it.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
from typing import Any, NamedTuple, Protocol

import numpy as np

from data_pipelines.prepare import words

CHUNK = 4  # frames that the video tokenizer makes one latent of
FASTEST = 120.0  # frames/s; a film that says more is likely wrong
LONGEST = 16.0  # s of a take: readers decode it whole


class NoAnswerError(ValueError):
  """What a unit needs gave no answer, such as a server: later it may."""


class Unit(NamedTuple):
  """A part of a corpus that is worked on alone, such as a file or an episode.

  Attributes:
    name: the same on every run, and no other unit's; for errors and reports.
    test: whether its takes are held out.
    work: what the source needs to make them.
  """

  name: str
  test: bool
  work: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
  """A take before it is stored.

  Attributes:
    name: no other take's of the corpus.
    frames: uint8 [T, Y, X, 3].
    rate: frames/s.
    segments: timed texts, seconds from the first frame.
    origin: the file or episode that it is from; never both in train and test.
    start: seconds in the origin.
    ended: whether the story ends with it.
    license: of the pictures and the words.
    controls: uint8 [T, K], row `t` was held while frame `t` was made.
    control_names: of the columns.
    states: float32 [T, S], for evaluation only.
    state_names: of the columns.
    details: what only this source says of it, such as scores; JSON.
  """

  name: str
  frames: np.ndarray
  rate: float
  segments: Sequence[words.Segment]
  origin: str
  start: float = 0.0
  ended: bool = True
  license: str = ''
  controls: np.ndarray | None = None
  control_names: tuple[str, ...] = ()
  states: np.ndarray | None = None
  state_names: tuple[str, ...] = ()
  details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Dropped(NamedTuple):
  """What a source left out.

  Attributes:
    name: of the file, scene or record.
    reason: in a few words, the same for the same reason: reports count them.
    detail: what was found and what was wanted.
  """

  name: str
  reason: str
  detail: str = ''


class Source(Protocol):
  """A corpus that can be worked on unit by unit."""

  name: str  # of the source: 'vizdoom', 'csgo', 'videos', ...

  def units(self) -> list[Unit]:
    """All units, in a fixed order.

    Raises:
      ValueError: a setting is wrong, or there is nothing to work on.
    """
    ...

  def takes(self, unit: Unit) -> Iterator[Film | Dropped]:
    """The takes of a unit: a pure function of the settings and the unit.

    Raises:
      ValueError: the unit cannot be read; names the file, the record, the field
        and the value.
      NoAnswerError: a server that it needs does not answer as it should.
    """
    ...

  def recipe(self) -> dict[str, Any]:
    """All that the content depends on, as JSON: settings, names of inputs."""
    ...


def held_out(groups: Sequence[str], share: float) -> frozenset[str]:
  """Which groups (episodes, source videos) are for testing.

  They are chosen by a hash of their names, so that the choice does not depend
  on their order; at least one of two or more, never all.

  Raises:
    ValueError: a share below 0, or of 1 or more.
  """
  if not 0 <= share < 1:
    raise ValueError(f'test_share is {share}: give 0 or more, less than 1')
  ordered = sorted(
    set(groups), key=lambda name: hashlib.sha256(name.encode()).digest()
  )
  if not share or len(ordered) < 2:
    return frozenset()
  count = min(max(1, round(share * len(ordered))), len(ordered) - 1)
  return frozenset(ordered[:count])
