"""From what a client asks to what can be filmed, or one line that says why not.

Everything is checked here, before a story takes a place in the queue.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from launch import says as says_lib
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.serving import limits as limits_lib
from launch.serving import pictures
from launch.serving import refused
from launch.serving import schema
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib


class Order(NamedTuple):
  """A story that can be filmed.

  Attributes:
    script: all that replays it, but for the start.
    start: its starting frames, uint8 [n, Y, X, 3].
    tokens: of the prompt.
    words: token ids by chunk, where a person put them; () is silence.
    seconds: of the whole story.
    begun: chunks of the start.
  """

  script: story_folder.Script
  start: storyteller_lib.Start
  tokens: tuple[int, ...]
  words: Mapping[int, tuple[int, ...]]
  seconds: float
  begun: int

  @property
  def turn(self) -> story_folder.Turn:
    """Seed and settings that it ends with, and the chunk they begin with."""
    script = self.script
    first = story_folder.Turn(0, script.seed, script.settings)
    return (first, *script.turns)[-1]

  def ask(self, chunk: int) -> roll_lib.Ask:
    """What is asked of a chunk."""
    return roll_lib.Ask(words=self.words.get(chunk))


class Desk:
  """Takes orders for a storyteller.

  Attributes:
    starts: frames that a story may start with.
    limits: the most that is done.
  """

  def __init__(
    self,
    teller: storyteller_lib.Storyteller,
    starts: Sequence[storyteller_lib.Start],
    limits: limits_lib.Limits,
  ):
    self.starts = starts
    self.limits = limits
    self._teller = teller
    self._ranges = limits_lib.ranges(teller, limits)

  def order(self, asked: schema.Asked) -> Order:
    """A new story.

    Raises:
      RefusedError: it cannot be filmed; names the field and its value.
    """
    start = self._start(asked)
    prompt, tokens = self._prompt(asked, start)
    seconds, chunks = self._length(asked.seconds, limits_lib.SECONDS)
    settings = self._settings(asked.settings, self._teller.config.settings)
    first = 1 + (len(start.frames) - 1) // self._teller.step
    span = says_lib.Span(first, chunks - 1)
    asks = self._asks(dict(_named(asked.says)), span)
    script = story_folder.Script(
      prompt=prompt,
      seed=self._seed(asked.seed, 0),
      settings=settings,
      layout=self._teller.layout,
      chunks=chunks,
      asks=asks,
    )
    words = self._encoded(asks)
    return Order(script, start, tokens, words, seconds, first)

  def fork(self, order: Order, asked: schema.ForkAsked) -> tuple[Order, int]:
    """Another future of a story, and the first chunk of it.

    Raises:
      RefusedError: it cannot be filmed; names the field and its value.
    """
    seconds, chunks = self._length(asked.seconds, order.seconds)
    span = says_lib.Span(order.begun, chunks - 1)
    say = schema.Say(time=asked.time, text=asked.text or '', hold=asked.hold)
    new = self._asks({'fork': say}, span)
    chunk = min(new)
    script = order.script
    asks = dict(_kept(script.asks, chunk))
    for number in new:
      asks.pop(number, None)
    if asked.text is not None:
      asks |= new
    asks = {n: text for n, text in sorted(asks.items()) if n < chunks}
    turns = tuple(turn for turn in script.turns if turn.chunk < chunk)
    script = script._replace(chunks=chunks, asks=asks, turns=turns)
    past = order._replace(script=script).turn
    turn = story_folder.Turn(
      chunk,
      self._seed(asked.seed, order.turn.seed),
      self._settings(asked.settings, order.turn.settings),
    )
    if turn[1:] != past[1:]:
      script = script._replace(turns=(*turns, turn))
    words = self._encoded(asks)
    new = order._replace(script=script, words=words, seconds=seconds)
    return new, chunk

  def _start(self, asked: schema.Asked) -> storyteller_lib.Start:
    """The frame it starts with."""
    if asked.picture is not None:
      if asked.start is not None:
        raise refused.RefusedError(
          f'start = {asked.start} and a picture: a story starts with one'
        )
      frame = pictures.uploaded(asked.picture, self._teller.size)
      return storyteller_lib.Start(frame[None], '')
    number = asked.start or 0
    if not 0 <= number < len(self.starts):
      raise refused.RefusedError(
        f'start = {number}: there are {len(self.starts)} start frames, '
        'from 0 on'
      )
    return self.starts[number]

  def _prompt(
    self, asked: schema.Asked, start: storyteller_lib.Start
  ) -> tuple[str, tuple[int, ...]]:
    """The prompt and its tokens."""
    if asked.prompt is None:
      if asked.picture is not None:
        raise refused.RefusedError(
          'prompt: missing; a story from a picture of yours needs one'
        )
      prompt = start.prompt
    else:
      prompt = asked.prompt.strip()
      if not prompt:
        raise refused.RefusedError(
          "prompt: empty; leave it out to take the start frame's own"
        )
    budget = self._teller.config.prompt_budget
    return prompt, self._tokens(prompt, 'prompt', budget)

  def _length(self, seconds: float | None, default: float) -> tuple[float, int]:
    """Of a story, in seconds and in chunks."""
    seconds = default if seconds is None else seconds
    least, most = self._ranges['seconds']
    _check(seconds, 'seconds', least, most)
    return seconds, self._teller.chunks_of(seconds)

  def _settings(
    self, given: schema.Settings, default: settings_lib.Settings
  ) -> settings_lib.Settings:
    """The settings of a story."""
    values = given.model_dump(exclude_none=True)
    for name, value in values.items():
      _check(value, f'settings.{name}', *self._ranges[name])
    if 'steps' in values:
      values['times'] = ()  # They would say how many steps there are.
    return default._replace(**values)

  def _seed(self, seed: int | None, default: int) -> int:
    """The seed of a story."""
    if seed is None:
      return default
    _check(seed, 'seed', *self._ranges['seed'])
    return seed

  def _asks(
    self, says: Mapping[str, schema.Say], span: says_lib.Span
  ) -> dict[int, str]:
    """Words by chunk."""
    if len(says) > self.limits.says:
      raise refused.RefusedError(
        f'says: {len(says)} instructions, at most {self.limits.says}'
      )
    said = []
    for name, say in says.items():
      text = say.text.strip()
      self._tokens(text, f'{name}: text', self._teller.config.words_budget)
      say = storyteller_lib.Say(say.time, text, say.hold)
      said.append(says_lib.Said(name, say))
    try:
      return says_lib.by_chunk(said, self._teller, span)
    except ValueError as error:
      raise refused.RefusedError(str(error)) from None

  def _encoded(self, asks: Mapping[int, str]) -> dict[int, tuple[int, ...]]:
    """Token ids by chunk."""
    ids = {text: self._teller.encode(text) for text in set(asks.values())}
    return {chunk: ids[text] for chunk, text in asks.items()}

  def _tokens(self, text: str, field: str, budget: int) -> tuple[int, ...]:
    """The tokens of a text that is not too long."""
    letters = self.limits.characters
    if len(text) > letters:
      raise refused.RefusedError(
        f'{field}: {len(text)} characters, at most {letters}: shorten it'
      )
    try:
      tokens = self._teller.encode(text, field)
    except ValueError as error:
      raise refused.RefusedError(str(error)) from None
    if len(tokens) > budget:
      raise refused.RefusedError(
        f'{field}: {len(tokens)} tokens, over the budget of {budget}: shorten '
        'it'
      )
    return tokens


def _named(says: Sequence[schema.Say]) -> Iterator[tuple[str, schema.Say]]:
  """Instructions, and what errors call them."""
  for number, say in enumerate(says):
    yield f'says[{number}]', say


def _kept(asks: Mapping[int, str], chunk: int) -> Iterator[tuple[int, str]]:
  """What stays told where others speak from a chunk on.

  The words under way there end.
  """
  end = chunk
  while end in asks and asks[end] == asks[chunk]:
    end += 1
  return (each for each in asks.items() if not chunk <= each[0] < end)


def _check(value: float, field: str, least: float, most: float) -> None:
  """RefusedError if a value is out of its range."""
  if not least <= value <= most:
    raise refused.RefusedError(f'{field} = {value}: from {least:g} to {most:g}')
