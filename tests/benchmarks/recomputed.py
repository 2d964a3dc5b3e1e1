"""A sampler without a cache: it reads the whole story again at every step.

It does what `sample.rollout.Engine` does, with the same randomness, by the
model's training form alone: every token of words, and every step of a chunk's
way from noise, is one compiled forward pass over all words and chunks so far.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from tv2tv_jax.flow import guidance as guidance_lib
from tv2tv_jax.flow import solvers
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import frames
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import words as words_lib
from tv2tv_jax.tv2tv import model as model_lib


class Room(NamedTuple):
  """What the arrays of a forward pass have room for; the mask hides the rest.

  Attributes:
    text: tokens.
    chunks: of film.
  """

  text: int
  chunks: int


# Room for a story of so many text tokens and chunks.
Rooms = Callable[[int, int], Room]


def fixed(config: settings_lib.SampleConfig, chunks: int) -> Rooms:
  """Room for the whole story from its beginning: one program, ever."""
  text = 1 + config.prompt_budget + chunks * (config.words_budget + 2)
  return lambda _, __: Room(text, chunks)


def growing(text: int = 32, chunks: int = 4) -> Rooms:
  """Room for little more than there is: a few programs, no wasted work."""
  return lambda tokens, filmed: Room(
    -(-tokens // text) * text, -(-filmed // chunks) * chunks
  )


class Read(NamedTuple):
  """All of a story so far, as rows of a forward pass.

  Attributes:
    text: words.
    clean: chunks.
  """

  text: model_lib.Text
  clean: model_lib.Chunks


class Recomputed:
  """Tells a story chunk by chunk; stories in the layout `tv2tv`, unended."""

  def __init__(
    self,
    model: model_lib.Tv2tv,
    tokenizer: tokens_lib.Tokenizer,
    config: settings_lib.SampleConfig,
    rooms: Rooms,
  ):
    """Prepares; nothing is compiled before the first story.

    Raises:
      ValueError: guidance away from something else than the last words.
    """
    if config.untold != 'words':
      raise ValueError(f'config.sample.untold is {config.untold}: words only')
    self._model, self._rooms = model, rooms
    self._special, self._budget = tokenizer.special, config.words_budget
    self._grammar = words_lib.Grammar(
      tokenizer.special,
      tokenizer.silent,
      tokenizer.vocab_size,
      config.words_budget,
      tokenizer.special.bof,
      True,
    )
    self._token = jax.jit(functools.partial(_token, grammar=self._grammar))
    self._step = jax.jit(functools.partial(_step, solver=config.solver))

  def advance(self, roll: roll_lib.Roll) -> roll_lib.Roll:
    """The story with one chunk more, or at its end."""
    words = self._written(roll)
    if words is None:
      return roll._replace(ended=True)
    return roll._replace(
      words=(*roll.words, words),
      latents=(*roll.latents, self._filmed(roll, words)),
      plans=(*roll.plans, ()),
      seat=None,
    )

  def _written(self, roll: roll_lib.Roll) -> roll_lib.Words | None:
    """The words before the next chunk; None: the story ends."""
    source = chance.source({0: (roll.seed, 2 * len(roll.latents))}, 1)
    taste = settings_lib.taste({0: roll.settings}, 1)
    words: roll_lib.Words = ()
    while True:
      row, read = self._read(roll, words)
      begins = np.flatnonzero(row.kind == story_lib.Kind.BOF)
      last, count = np.int32(begins[-1] - 1), np.int32(len(words))
      token = int(self._token(self._model, read, last, source, count, taste))
      if token == self._special.eos:
        return None
      if token == self._special.bof or len(words) == self._budget:
        return words
      words = (*words, token)

  def _filmed(
    self, roll: roll_lib.Roll, words: roll_lib.Words
  ) -> Float[np.ndarray, 'Y X Z']:
    """The next chunk."""
    reads = [self._read(roll, words)]
    if roll.settings.guidance != 1:
      reads.append(self._read(roll, (), len(reads[0][0].tokens)))
    places = np.stack([row.chunk_index[len(roll.latents)] for row, _ in reads])
    read = jax.tree.map(
      lambda *rows: np.concatenate(rows), *(read for _, read in reads)
    )
    course = settings_lib.course({0: roll.settings}, 1)
    source = chance.source({0: (roll.seed, 2 * len(roll.latents) + 1)}, 1)
    shape = roll.latents[0].shape
    x = jax.random.normal(chance.keys(source)[0], shape)[None]
    for step in range(int(course.steps)):
      x = self._step(self._model, read, places, x, np.int32(step), course)
    return np.asarray(x[0])

  def _read(
    self, roll: roll_lib.Roll, words: roll_lib.Words, text: int = 0
  ) -> tuple[story_lib.Row, Read]:
    """The story so far and the next words, as training lays it out.

    With the next chunk, which is not there: nothing that is asked sees it.

    Args:
      roll: the story.
      words: that follow.
      text: room for it, where it is known.
    """
    told = (*roll.words, words)
    tokens = 1 + len(roll.prompt) + sum(2 + len(each) for each in told)
    room = self._rooms(tokens, len(told))
    row = story_lib.lay_out(
      [story_lib.Story(roll.prompt, told, ended=False)],
      'tv2tv',
      special=self._special,
      text_length=text or room.text,
      chunks=room.chunks,
      span=self._model.config.span,
    )
    latents = np.zeros((room.chunks, *roll.latents[0].shape), np.float32)
    latents[: len(roll.latents)] = roll.latents
    ones = np.ones(room.chunks, np.float32)
    clean = (latents, ones, row.chunk_index, row.chunk_story)
    read = Read(
      model_lib.Text(row.tokens, row.index, row.story),
      model_lib.Chunks(*clean),
    )
    return row, jax.tree.map(lambda part: part[None], read)


def _token(
  model: model_lib.Tv2tv,
  read: Read,
  last: Int[Array, ''],
  source: chance.Source,
  count: Int[Array, ''],
  taste: words_lib.Taste,
  *,
  grammar: words_lib.Grammar,
) -> Int[Array, '']:
  """The token after the one at `last`, drawn as the engine draws it."""
  logits = model(read.text, read.clean).logits[:, last, : grammar.vocabulary]
  logits = logits.at[:, jnp.array(grammar.banned)].set(-1e30)
  keys = jax.vmap(jax.random.fold_in, (0, None))(chance.keys(source), count)
  return words_lib.drawn(keys, logits, taste)[0]


def _step(
  model: model_lib.Tv2tv,
  read: Read,
  places: Int[Array, 'B'],
  x: Float[Array, '1 Y X Z'],
  step: Int[Array, ''],
  course: frames.Course,
  *,
  solver: solvers.Solver,
) -> Float[Array, '1 Y X Z']:
  """One step of a chunk from noise, told and untold in one batch."""
  rows = len(places)

  def velocity(
    x: Float[Array, '1 Y X Z'], t: Float[Array, '1']
  ) -> Float[Array, '1 Y X Z']:
    noisy = model_lib.Chunks(
      jnp.concatenate([x] * rows)[:, None],
      jnp.concatenate([t] * rows)[:, None],
      places[:, None],
      jnp.zeros_like(places)[:, None],
    )
    v = model(read.text, read.clean, noisy).velocity[:, 0]
    if rows == 1:
      return v
    inside = (course.begin <= t) & (t < course.end)
    scale = jnp.where(inside, course.guidance, 1.0)
    return guidance_lib.guided(v[:1], v[1:], scale[:, None, None, None])

  times = jax.lax.dynamic_slice_in_dim(course.times, step, 2)
  return solvers.solved(velocity, x, times, solver=solver)
