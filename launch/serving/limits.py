"""What a studio does at most, and what may be asked of it."""

from collections.abc import Mapping
import dataclasses

from launch import storyteller as storyteller_lib
from launch.serving import schema
from tv2tv_jax.sample import settings as settings_lib

_SEEDS = 2**32
SECONDS = 6.0  # of a story, where nothing is said
# Of what a client chooses; a model's own default is always within.
_RANGES = {
  'steps': (1, 64),
  'guidance': (0.0, 10.0),
  'temperature': (0.0, 2.0),
  'top_p': (0.05, 1.0),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
  """The most that a studio does.

  Attributes:
    seconds: of a story.
    characters: of a prompt, or of the words of one instruction.
    says: instructions of one ask.
    waiting: stories in the queue.
    stories: that are kept, those that are over included.
    bytes: that stories which are over may keep.
    patience: seconds for which a story goes on with nobody reading it.
  """

  seconds: float = 64.0
  characters: int = 2000
  says: int = 256
  waiting: int = 32
  stories: int = 128
  bytes: int = 2**29
  patience: float = 30.0


def ranges(
  teller: storyteller_lib.Storyteller, limits: Limits
) -> Mapping[str, tuple[float, float]]:
  """Least and largest value of what a client chooses."""
  settings = teller.config.settings
  of_settings = {
    name: (
      min(least, getattr(settings, name)),
      max(most, getattr(settings, name)),
    )
    for name, (least, most) in _RANGES.items()
  }
  shortest = min(teller.time_of(2), limits.seconds)
  return {
    **of_settings,
    'seed': (0, _SEEDS - 1),
    'seconds': (shortest, limits.seconds),
  }


def chosen(settings: settings_lib.Settings) -> schema.Chosen:
  """What of the settings a client chooses."""
  return schema.Chosen(**{name: getattr(settings, name) for name in _RANGES})


def model(
  teller: storyteller_lib.Storyteller,
  limits: Limits,
  *,
  starts: int,
  title: str,
  card: str,
) -> schema.Model:
  """What films, and what may be asked of it."""
  rows, columns = teller.size
  settings = teller.config.settings
  return schema.Model(
    title=title,
    layout=teller.layout,
    size=schema.Size(width=columns, height=rows),
    rate=teller.rate,
    chunk_frames=teller.step,
    starts=starts,
    limits=schema.Limits(
      seconds=limits.seconds,
      prompt_tokens=teller.config.prompt_budget,
      words_tokens=teller.config.words_budget,
      words_characters=limits.characters,
      says=limits.says,
      lanes=teller.engine.lanes,
      waiting=limits.waiting,
      stories=limits.stories,
      patience=limits.patience,
    ),
    defaults=schema.Defaults(
      **chosen(settings).model_dump(),
      seed=0,
      seconds=min(SECONDS, limits.seconds),
    ),
    ranges=ranges(teller, limits),
    checkpoint=schema.Checkpoint(**teller.checkpoint),
    card=card,
  )
