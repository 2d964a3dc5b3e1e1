"""What the studio's API takes and gives; `/openapi.json` is made of it."""

from typing import Annotated, Literal

import pydantic

Status = Literal['waiting', 'filming', 'finished', 'cancelled', 'failed']
Seed = Annotated[
  int,
  pydantic.Field(
    description='Source of all chance: the same asks, settings and seed give '
    'the same story.'
  ),
]
Seconds = Annotated[float, pydantic.Field(description='Length of the story.')]


class _Given(pydantic.BaseModel):
  """What comes from outside: no field too many, no number that is none."""

  model_config = pydantic.ConfigDict(
    extra='forbid', allow_inf_nan=False, strict=True
  )


class Settings(_Given):
  """How a story is told; what is left out is as the model's defaults say."""

  steps: int | None = pydantic.Field(
    None, description='Steps from noise to a chunk of film.'
  )
  guidance: float | None = pydantic.Field(
    None, description='How much the words weigh on the picture; 1: as learned.'
  )
  temperature: float | None = pydantic.Field(
    None, description='How freely the model writes; 0: its likeliest words.'
  )
  top_p: float | None = pydantic.Field(
    None, description='Share of the likeliest words it chooses from.'
  )


class Say(_Given):
  """Words that a person puts into a story from a time on."""

  time: float = pydantic.Field(description='Seconds into the story.')
  text: str = pydantic.Field(description="The words; '' is to say nothing.")
  hold: float = pydantic.Field(
    1.0, description='Seconds for which they are said before every chunk.'
  )


class Asked(_Given):
  """A new story."""

  prompt: str | None = pydantic.Field(
    None, description="What it is about; without one, the start frame's own."
  )
  start: int | None = pydantic.Field(
    None, description='Number of a start frame; 0 where no picture is given.'
  )
  picture: str | None = pydantic.Field(
    None,
    description='A PNG, JPEG or WebP in base64 that the story starts with, at '
    "most 10 MB and 16 million pixels; its middle is scaled to the model's "
    'size.',
  )
  seconds: Seconds | None = None
  seed: Seed | None = None
  settings: Settings = Settings()
  says: list[Say] = pydantic.Field(
    [],
    description='Where two hold at once the later one is said; no two may '
    'begin with the same chunk.',
  )


class ForkAsked(_Given):
  """Another future of a story, from one of its moments on.

  What was told after the moment stays told, but for the words under way there:
  these end, also where the new ones are held for a shorter time.
  """

  time: float = pydantic.Field(
    description='Seconds into the story; the chunk that begins nearest to '
    'them is the first of the new future.'
  )
  text: str | None = pydantic.Field(
    description="What is said there; '' is to say nothing, null leaves the "
    'words to the model.'
  )
  hold: float = pydantic.Field(
    1.0, description='Seconds for which it is said before every chunk.'
  )
  seconds: Seconds | None = None
  seed: Seed | None = None
  settings: Settings = Settings()


class Size(pydantic.BaseModel):
  """Pixels of a frame."""

  width: int
  height: int


class Checkpoint(pydantic.BaseModel):
  """The weights that tell."""

  step: int = pydantic.Field(description='Of their training.')
  fingerprint: str


class Limits(pydantic.BaseModel):
  """The most of everything."""

  seconds: float = pydantic.Field(description='Of a story.')
  prompt_tokens: int
  words_tokens: int = pydantic.Field(description='Said before one chunk.')
  words_characters: int = pydantic.Field(
    description='Of a prompt, and of the words of one instruction.'
  )
  says: int = pydantic.Field(description='Instructions of one ask.')
  lanes: int = pydantic.Field(description='Stories filmed side by side.')
  waiting: int = pydantic.Field(description='Stories in the queue.')
  stories: int = pydantic.Field(
    description='Stories kept; beyond, one that is over goes, the longest '
    'unread.'
  )
  patience: float = pydantic.Field(
    description='Seconds after which a story that nobody reads, neither its '
    'state nor its events, is cancelled while it waits or is filmed.'
  )


class Chosen(pydantic.BaseModel):
  """How a story is told; the fields are those of `Settings`."""

  steps: int
  guidance: float
  temperature: float
  top_p: float


class Defaults(Chosen):
  """What is taken where nothing is said."""

  seed: int
  seconds: float


class Model(pydantic.BaseModel):
  """What films, and what may be asked of it."""

  title: str
  layout: str = pydantic.Field(
    description='tv2tv: words beside their chunk; think2v: all words first; '
    't2v: none after the prompt, which what is said follows while it holds.'
  )
  size: Size
  rate: float = pydantic.Field(description='Frames a second.')
  chunk_frames: int = pydantic.Field(
    description='Frames of a chunk; the first chunk, 0, is the start frame.'
  )
  starts: int = pydantic.Field(description='Start frames: 0 to starts - 1.')
  limits: Limits
  defaults: Defaults
  ranges: dict[str, tuple[int | float, int | float]] = pydantic.Field(
    description='Least and largest value of each field of `defaults`.'
  )
  checkpoint: Checkpoint
  card: str = pydantic.Field(description='What is told of the model, or "".')


class Start(pydantic.BaseModel):
  """A frame that a story may start with."""

  number: int
  prompt: str = pydantic.Field(description='What its film was about.')


class Queued(pydantic.BaseModel):
  """Event `queued`, at every move of the queue."""

  position: int = pydantic.Field(
    description='1: the next one; 0: its turn has come.'
  )


class Wrote(pydantic.BaseModel):
  """Event `wrote`: the words before a chunk are known."""

  chunk: int
  time: float = pydantic.Field(description='Seconds: where it begins.')
  text: str
  told: bool = pydantic.Field(description='By a person.')
  shared: bool = pydantic.Field(
    False, description='Of the past that a fork shares with its parent.'
  )


class Filmed(pydantic.BaseModel):
  """Event `filmed`: the frames of a chunk."""

  chunk: int
  time: float = pydantic.Field(description='Seconds: where it begins.')
  count: int = pydantic.Field(description='Frames.')
  strip: str = pydantic.Field(
    description='The frames from left to right in one lossless WebP, as a data '
    'URI; `count` times as wide as a frame.'
  )
  shared: bool = pydantic.Field(
    False, description='Of the past that a fork shares with its parent.'
  )


class Ended(pydantic.BaseModel):
  """Event `ended`: the story is whole. The last event of a stream."""

  reason: Literal['length', 'eos'] = pydantic.Field(
    description='It is as long as was asked, or the model ended it.'
  )


class Failed(pydantic.BaseModel):
  """Event `failed`. The last event of a stream."""

  error: str


class Cancelled(pydantic.BaseModel):
  """Event `cancelled`. The last event of a stream."""

  reason: str


Event = Queued | Wrote | Filmed | Ended | Failed | Cancelled


class Place(pydantic.BaseModel):
  """A story that was taken on."""

  id: str
  position: int = pydantic.Field(description='In the queue; 1: the next one.')


class ForkPlace(Place):
  """A fork that was taken on."""

  parent: str
  chunk: int = pydantic.Field(description='The first of the new future.')


class Chunk(pydantic.BaseModel):
  """Words and what was filmed after them."""

  number: int
  time: float = pydantic.Field(description='Seconds: where it begins.')
  text: str
  told: bool = pydantic.Field(description='By a person.')
  filmed: bool = pydantic.Field(description='Its frames are there.')


class Story(pydantic.BaseModel):
  """A story so far."""

  id: str
  parent: str | None
  forked_at: int | None = pydantic.Field(
    description="The first chunk that is not its parent's."
  )
  status: Status
  position: int = pydantic.Field(description='In the queue; 0: not there.')
  prompt: str
  seed: int
  settings: Chosen
  seconds: float
  chunks: list[Chunk]
  frames: int = pydantic.Field(description='That are there.')
  reason: str | None = pydantic.Field(description='Why it ended.')
  error: str | None = pydantic.Field(description='Why it failed.')


class Refusal(pydantic.BaseModel):
  """Why not, in one line."""

  error: str
