"""Stories side by side in lanes, and what the model knows of each.

What is known of a story is kept from chunk to chunk. Where it is not, because
the story has a new past, joins others, has filled its window, or has another
prompt than before (T2V), the window is read again: a prompt, and chunk by chunk
words and film, in blocks of fixed sizes by the same compiled programs, so that
it comes out the same to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
import functools

from jaxtyping import Bool, Float
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.sample import decode
from tv2tv_jax.sample import program
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib

# Writes words that plans lack, of stories by lane, for a chunk of each.
Planner = Callable[
  [decode.DecodeState, Mapping[int, roll_lib.Roll], Mapping[int, int]],
  Mapping[int, roll_lib.Words],
]
_State = decode.DecodeState


class Reader:
  """The compiled parts that read; it holds no story."""

  def __init__(
    self,
    programs: program.Programs,
    special: tokens_lib.SpecialTokens,
    config: settings_lib.SampleConfig,
    layout: story_lib.Layout,
  ):
    """Prepares; nothing is compiled before the first story.

    Args:
      programs: of the model.
      special: its tokens with a role.
      config: says how large prompts, words and windows are.
      layout: where the words of a story are.
    """
    self._special, self._config, self._layout = special, config, layout
    # In T2V a person's words follow the prompt, token after token.
    edits = layout == 't2v'
    self._opens = 1 + config.prompt_budget + edits * config.words_budget
    block, planned = config.words_budget + 1, layout == 'think2v'
    slots = self._opens + planned * (config.window - 1) * block
    # One chunk more than the window: a write never meets the buffer's end.
    slots += (config.window + 1) * (block + 1 + programs.config.frames.tokens)
    self._born = functools.partial(
      decode.begun, programs.config, batch=config.lanes, slots=slots
    )
    self._blank = program.Program(self._born)
    self._read_text = programs.compiled(decode.read_text)
    self._read_chunk = programs.compiled(
      functools.partial(decode.read_chunk, eof=special.eof), donated=0
    )
    self._moved = program.Program(decode.moved, 0)

  def lowered(self, shape: Sequence[int]) -> program.Parts:
    """What reads, by name, as its compiler gets it.

    Args:
      shape: of a chunk's latents.
    """
    state, lanes = self.abstract, self._config.lanes
    words = np.zeros((lanes, self._config.words_budget + 1), np.int32)
    prompt = np.zeros((lanes, self._opens), np.int32)
    chunk = np.zeros((lanes, *shape), np.float32)
    each = np.zeros(lanes, np.int32)
    return {
      'read a prompt': self._read_text.lowered(state, prompt, each),
      'read words': self._read_text.lowered(state, words, each),
      'read a chunk': self._read_chunk.lowered(state, chunk, each),
    }

  @property
  def abstract(self) -> _State:
    """Shapes and layouts of what is known of the lanes."""
    return sharding.abstract(self._born)

  def said(
    self,
    state: _State,
    words: Mapping[int, roll_lib.Words],
    closing: int | None = None,
  ) -> _State:
    """Lanes after some words and what closes them: BOF, unless it is named."""
    closing = self._special.bof if closing is None else closing
    closed = {lane: (*each, closing) for lane, each in words.items()}
    return self._read(state, closed, self._config.words_budget + 1)

  def kept(
    self,
    state: _State,
    latents: Float[np.ndarray, 'B Y X Z'],
    going: Bool[np.ndarray, 'B'],
  ) -> _State:
    """Lanes that are `going` after their chunk; `state` is given up."""
    active = going.astype(np.int32)
    return self._read_chunk(state, latents, active)

  def seated(
    self,
    rolls: Sequence[roll_lib.Roll],
    planner: Planner,
    edits: Sequence[roll_lib.Words],
    *,
    remembers: bool,
  ) -> tuple[list[roll_lib.Roll], roll_lib.Seat]:
    """The stories side by side; what is not known of them is read again.

    Args:
      rolls: stories, as many as there are lanes or fewer.
      planner: writes what plans lack; such words are in the rolls returned.
      edits: of each story, the words that follow its prompt now.
      remembers: whether they were also read without words.

    Returns:
      The rolls, and where the first one of them is; the others follow.
    """
    seats = [
      self._seat_of(roll, edit, remembers)
      for roll, edit in zip(rolls, edits, strict=True)
    ]
    first = seats[0]
    if first and all(
      seat and seat.told is first.told and seat.lane == lane
      for lane, seat in enumerate(seats)
    ):
      return list(rolls), first
    away = {lane: rolls[lane] for lane, seat in enumerate(seats) if not seat}
    told, away = self._read_again(away, planner, edits, silent=False)
    untold = None
    if remembers:
      untold, _ = self._read_again(away, planner, edits, silent=True)
    for lane, seat in enumerate(seats):
      if seat is not None:
        told = self._moved(told, seat.told, lane, seat.lane)
        if remembers:
          untold = self._moved(untold, seat.untold, lane, seat.lane)
    rolls = [away.get(lane, roll) for lane, roll in enumerate(rolls)]
    opening = self.opening(rolls[0])
    return rolls, roll_lib.Seat(told, untold, 0, opening, edits[0])

  def opening(self, roll: roll_lib.Roll) -> int:
    """The first chunk of the window in which a story's next one is filmed."""
    return settings_lib.opening(len(roll.latents), self._config)

  def _seat_of(
    self, roll: roll_lib.Roll, edit: roll_lib.Words, remembers: bool
  ) -> roll_lib.Seat | None:
    """Where a story is, if what is there serves its next chunk."""
    seat = roll.seat
    if seat is None or (remembers and seat.untold is None):
      return None
    serves = seat.opening == self.opening(roll) and seat.edit == edit
    return seat if serves else None

  def _read_again(
    self,
    rolls: dict[int, roll_lib.Roll],
    planner: Planner,
    edits: Sequence[roll_lib.Words],
    *,
    silent: bool,
  ) -> tuple[_State, dict[int, roll_lib.Roll]]:
    """The windows of some lanes, without their words where it is `silent`."""
    prompts = {
      lane: (self._special.bos, *roll.prompt, *edits[lane])
      for lane, roll in rolls.items()
    }
    state = self._read(self._blank(), prompts, self._opens)
    if self._layout == 'think2v':
      state, rolls = self._read_plans(state, rolls, planner, silent=silent)
    silent = silent or self._layout != 'tv2tv'
    seen = {
      lane: range(self.opening(roll), len(roll.latents))
      for lane, roll in rolls.items()
    }
    shape = next(iter(rolls.values())).latents[0].shape if rolls else ()
    for number in range(max(map(len, seen.values()), default=0)):
      now = {lane: at[number] for lane, at in seen.items() if number < len(at)}
      words = {
        lane: () if silent else rolls[lane].words[chunk]
        for lane, chunk in now.items()
      }
      latents = np.zeros((self._config.lanes, *shape), np.float32)
      going = np.zeros(self._config.lanes, bool)
      for lane, chunk in now.items():
        latents[lane], going[lane] = rolls[lane].latents[chunk], True
      state = self.kept(self.said(state, words), latents, going)
    return state, rolls

  def _read_plans(
    self,
    state: _State,
    rolls: dict[int, roll_lib.Roll],
    planner: Planner,
    *,
    silent: bool,
  ) -> tuple[_State, dict[int, roll_lib.Roll]]:
    """All words of some lanes' windows; those that are not there are written.

    A plan reaches to the end of its window; the next window has a new one.
    """
    eof = self._special.eof
    for segment in range(1, self._config.window):
      missing = {
        lane: roll
        for lane, roll in rolls.items()
        if self._segment(roll, segment) is None
      }
      if missing:
        chunks = {
          lane: self.opening(r) + segment for lane, r in missing.items()
        }
        for lane, words in planner(state, missing, chunks).items():
          plans = rolls[lane].plans
          plans = (*plans[:-1], (*plans[-1], words))
          rolls = {**rolls, lane: rolls[lane]._replace(plans=plans)}
      said = {
        lane: () if silent else self._segment(roll, segment)
        for lane, roll in rolls.items()
      }
      state = self.said(state, said, eof)
    return state, rolls

  def _segment(
    self, roll: roll_lib.Roll, segment: int
  ) -> roll_lib.Words | None:
    """The words that a plan has for a chunk of the window."""
    chunk = self.opening(roll) + segment
    known = (*roll.words, *roll.plans[-1])
    return known[chunk] if chunk < len(known) else None

  def _read(
    self, state: _State, texts: Mapping[int, roll_lib.Words], room: int
  ) -> _State:
    """Lanes after some tokens, in a block of so much room."""
    tokens = np.full((self._config.lanes, room), self._special.pad, np.int32)
    count = np.zeros(self._config.lanes, np.int32)
    for lane, text in texts.items():
      tokens[lane, : len(text)], count[lane] = text, len(text)
    return self._read_text(state, tokens, count)
