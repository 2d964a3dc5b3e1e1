"""What stories in lanes say next, written by the model or by a person."""

from collections.abc import Mapping, Sequence
import functools
from typing import NamedTuple

from jaxtyping import Bool
import numpy as np

from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import decode
from tv2tv_jax.sample import program
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import words as words_lib


class Worded(NamedTuple):
  """The words before the next chunk.

  Attributes:
    texts: by lane, of the stories that go on.
    going: lanes of stories that go on.
  """

  texts: dict[int, roll_lib.Words]
  going: Bool[np.ndarray, 'B']


class Writer:
  """The compiled parts that write; it holds no story."""

  def __init__(
    self,
    programs: program.Programs,
    vocabulary: tokens_lib.Vocabulary,
    config: settings_lib.SampleConfig,
    layout: story_lib.Layout,
  ):
    """Prepares; nothing is compiled before the first story."""
    self._config, self._layout = config, layout
    special = vocabulary.special

    def writer(budget: int, closing: int, ending: bool):
      grammar = words_lib.Grammar(
        special,
        vocabulary.silent,
        vocabulary.vocab_size,
        budget,
        closing,
        ending,
      )
      return programs.compiled(
        functools.partial(words_lib.write, grammar=grammar)
      )

    # Where words do not stand before their chunk, a story goes on or ends.
    spoken = config.words_budget if layout == 'tv2tv' else 0
    self._write = writer(spoken, special.bof, True)
    self._write_plan = writer(config.words_budget, special.eof, False)

  def lowered(self, told: decode.DecodeState) -> program.Parts:
    """What writes, by name, as its compiler gets it.

    Args:
      told: shapes and layouts of the lanes.
    """
    lanes = self._config.lanes
    source, taste = chance.source({}, lanes), settings_lib.taste({}, lanes)
    active = np.ones(lanes, bool)
    write = self._write_plan if self._layout == 'think2v' else self._write
    return {'write': write.lowered(told, source, active, taste)}

  def worded(
    self,
    rolls: Sequence[roll_lib.Roll],
    asks: Sequence[roll_lib.Ask],
    told: decode.DecodeState,
  ) -> Worded:
    """The words before the next chunk of each story that goes on.

    Args:
      rolls: the stories, in the first lanes.
      asks: a story whose words are given goes on.
      told: the lanes, each after its last chunk.
    """
    texts = {lane: ask.words or () for lane, ask in enumerate(asks)}
    if self._layout == 'think2v':
      texts = {lane: roll.plans[-1][0] for lane, roll in enumerate(rolls)}
    going = np.arange(self._config.lanes) < len(rolls)
    free = {
      lane: roll for lane, roll in enumerate(rolls) if asks[lane].words is None
    }
    if free:
      uses = {
        lane: (roll.seed, 2 * len(roll.latents)) for lane, roll in free.items()
      }
      tokens, count, ended = self._written(self._write, told, free, uses)
      for lane in free:
        if self._layout == 'tv2tv':
          texts[lane] = tuple(map(int, tokens[lane, : count[lane]]))
        if ended[lane]:
          del texts[lane]
          going[lane] = False
    return Worded(texts, going)

  def planned(
    self,
    told: decode.DecodeState,
    rolls: Mapping[int, roll_lib.Roll],
    chunks: Mapping[int, int],
  ) -> dict[int, roll_lib.Words]:
    """Words that the stories of some lanes plan for a chunk each.

    Args:
      told: the lanes, each after the plan so far.
      rolls: the stories by lane.
      chunks: the number of the chunk by lane.
    """
    uses = {lane: (roll.seed, 2 * chunks[lane]) for lane, roll in rolls.items()}
    tokens, count, _ = self._written(self._write_plan, told, rolls, uses)
    return {
      lane: tuple(map(int, tokens[lane, : count[lane]])) for lane in rolls
    }

  def _written(
    self,
    write,
    told: decode.DecodeState,
    rolls: Mapping[int, roll_lib.Roll],
    uses: Mapping[int, tuple[int, int]],
  ) -> tuple[np.ndarray, ...]:
    """The `words.Written` of some lanes, on the host."""
    lanes = self._config.lanes
    active = np.zeros(lanes, bool)
    active[list(rolls)] = True
    taste = settings_lib.taste(
      {lane: roll.settings for lane, roll in rolls.items()}, lanes
    )
    source = chance.source(uses, lanes)
    written = write(told, source, active, taste)
    return tuple(map(np.asarray, written))
