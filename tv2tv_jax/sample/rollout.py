"""A story rolled out: words, a chunk, words, a chunk.

A `Roll` is a value. To ask what would have happened under other words, advance
the same roll twice.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key
import numpy as np

from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.sample import decode
from tv2tv_jax.sample import frames
from tv2tv_jax.sample import words as words_lib
from tv2tv_jax.tv2tv import model as model_lib

Words = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
  """How stories are told (all open in the paper).

  Attributes:
    steps: Euler steps of a chunk.
    guidance: scale of classifier-free guidance on a chunk's words.
    temperature: of the words.
    window: chunks that the model looks back on, itself included.
    kept: of these, how many stay when the window is full and starts anew.
    prompt_budget: tokens of a prompt at most.
    words_budget: tokens of a chunk's words at most.
  """

  steps: int = 20
  guidance: float = 2.0
  temperature: float = 1.0
  window: int = 16
  kept: int = 8
  prompt_budget: int = 32
  words_budget: int = 16


class Roll(NamedTuple):
  """A batch of stories up to now.

  Attributes:
    state: what the model has read of the window.
    keys: one a row, the source of all its randomness.
    prompts: token ids.
    words: of each chunk so far, for each row.
    latents: of each chunk so far, normalised.
    seen: chunks in the window.
    active: rows whose story goes on.
  """

  state: decode.DecodeState
  keys: Key[Array, 'B']
  prompts: tuple[Words, ...]
  words: tuple[tuple[Words, ...], ...]
  latents: tuple[Float[Array, 'B Y X Z'], ...]
  seen: int
  active: Bool[np.ndarray, 'B']


class Director:
  """Tells stories with a model: holds its compiled parts, no story."""

  def __init__(
    self,
    model: model_lib.Tv2tv,
    tokenizer: tokens_lib.Tokenizer,
    config: SampleConfig,
  ):
    self.config = config
    self._model = model
    self._special = tokenizer.special
    per_chunk = config.words_budget + 2 + model.config.frames.tokens
    # One chunk more than the window: a write never meets the buffer's end.
    slots = 1 + config.prompt_budget + (config.window + 1) * per_chunk
    self._row = dict(
      text_length=1
      + config.prompt_budget
      + config.window * (config.words_budget + 2),
      chunks=config.window,
    )
    self._read_row = jax.jit(functools.partial(decode.read_row, slots=slots))
    self._read_text = jax.jit(decode.read_text)
    self._write = jax.jit(
      functools.partial(
        words_lib.write,
        grammar=words_lib.Grammar(
          tokenizer.special,
          tokenizer.silent,
          tokenizer.vocab_size,
          config.words_budget,
        ),
        temperature=config.temperature,
      )
    )
    self._film = jax.jit(functools.partial(_filmed, config=config))

  def begin(
    self,
    latents: Float[Array, 'B Y X Z'],
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
  ) -> Roll:
    """Stories with a starting frame and a prompt.

    Args:
      latents: of the starting frames, normalised.
      prompts: token ids.
      seeds: of each row; the same seed gives the same story in any batch.

    Raises:
      ValueError: a prompt over the budget.
    """
    for prompt in prompts:
      if len(prompt) > self.config.prompt_budget:
        raise ValueError(
          f'a prompt of {len(prompt)} tokens is over the budget of '
          f'{self.config.prompt_budget}: shorten it'
        )
    roll = Roll(
      state=None,
      keys=jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32)),
      prompts=tuple(map(tuple, prompts)),
      words=tuple(((),) for _ in prompts),
      latents=(latents,),
      seen=1,
      active=np.ones(len(prompts), bool),
    )
    return self._reread(roll, 1)

  def advance(
    self, roll: Roll, forced: Sequence[Words | None] | None = None
  ) -> Roll:
    """Every story writes, unless its words are forced, and films one chunk.

    Args:
      roll: the stories up to now.
      forced: for each row the words before its chunk, or None to let the
        model write (or not).

    Raises:
      ValueError: forced words over the budget.
    """
    if roll.seen == self.config.window:
      roll = self._reread(roll, self.config.kept)
    before = roll.state
    chunk = len(roll.latents)
    state, written, ended = self._worded(roll, chunk, forced)
    active = roll.active & ~ended
    state, latent = self._film(
      self._model,
      before,
      state,
      _folded(roll.keys, 2 * chunk + 1),
      jnp.asarray(active, jnp.int32),
      jnp.array([self._special.bof, self._special.eof]),
    )
    latent = jnp.where(active[:, None, None, None], latent, roll.latents[-1])
    history = tuple(
      past + (new,) for past, new in zip(roll.words, written, strict=True)
    )
    return roll._replace(
      state=state,
      words=history,
      latents=(*roll.latents, latent),
      seen=roll.seen + 1,
      active=active,
    )

  def _worded(
    self, roll: Roll, chunk: int, forced: Sequence[Words | None] | None
  ) -> tuple[decode.DecodeState, list[Words], Bool[np.ndarray, 'B']]:
    """The stories after their words, the words, and which stories are over."""
    rows = len(roll.prompts)
    forced = forced or [None] * rows
    free = np.array([words is None for words in forced])
    state, texts = roll.state, [()] * rows
    ended = np.zeros(rows, bool)
    if free.any():
      free &= roll.active
      written = self._write(
        self._model, state, _folded(roll.keys, 2 * chunk), jnp.asarray(free)
      )
      state, ended = written.state, np.asarray(written.ended)
      tokens, count = np.asarray(written.tokens), np.asarray(written.count)
      texts = [
        tuple(map(int, t[:n])) for t, n in zip(tokens, count, strict=False)
      ]
    if any(forced):
      budget = self.config.words_budget
      tokens = np.full((rows, budget), self._special.pad, np.int32)
      count = np.zeros(rows, np.int32)
      for i, words in enumerate(forced):
        if words is None or not roll.active[i]:
          continue
        if len(words) > budget:
          raise ValueError(
            f'{len(words)} tokens of words before one chunk are over the '
            f'budget of {budget}: say less at a time'
          )
        tokens[i, : len(words)], count[i] = words, len(words)
        texts[i] = tuple(words)
      state = self._read_text(self._model, state, tokens, count)
    return state, texts, ended

  def _reread(self, roll: Roll, chunks: int) -> Roll:
    """The roll with a window that holds its last `chunks` chunks alone.

    The window starts anew at the first place, so that a long story never
    leaves the places that training has seen (choice, see DECISIONS.md).
    """
    rows = [
      story_lib.lay_out(
        [story_lib.Story(prompt, words[-chunks:], ended=False)],
        'tv2tv',
        special=self._special,
        span=self._model.config.span,
        **self._row,
      )
      for prompt, words in zip(roll.prompts, roll.words, strict=True)
    ]
    row = story_lib.Row(*(np.stack(part) for part in zip(*rows, strict=False)))
    kept = roll.latents[-chunks:]
    blank = [jnp.zeros_like(kept[0])] * (self.config.window - len(kept))
    latents = jnp.stack([*kept, *blank], axis=1)
    state = self._read_row(self._model, row, latents)
    return roll._replace(state=state, seen=len(kept))


def roll_out(
  director: Director,
  roll: Roll,
  chunks: int,
  *,
  forced: Callable[[int], Sequence[Words | None] | None] = lambda _: None,
  watch: Callable[[Roll], None] = lambda _: None,
) -> Roll:
  """Advances until the story has `chunks` chunks, or all rows are over.

  Args:
    director: tells the stories.
    roll: the stories up to now.
    chunks: of a whole story, its starting frame included.
    forced: the words of a chunk's rows, by the number of the chunk.
    watch: called after every chunk.
  """
  while len(roll.latents) < chunks and roll.active.any():
    roll = director.advance(roll, forced(len(roll.latents)))
    watch(roll)
  return roll


def _filmed(
  model: model_lib.Tv2tv,
  before: decode.DecodeState,
  state: decode.DecodeState,
  keys: Key[Array, 'B'],
  active: jax.Array,
  marks: jax.Array,
  *,
  config: SampleConfig,
) -> tuple[decode.DecodeState, Float[Array, 'B Y X Z']]:
  """BOF, a chunk from noise, its clean pass, EOF."""
  begin = jnp.broadcast_to(marks[:1], (active.shape[0], 1))
  told = decode.read_text(model, state, begin, active)
  untold = decode.read_text(model, before, begin, active)
  latent = frames.film(
    model, told, untold, keys, steps=config.steps, guidance=config.guidance
  )
  state = decode.read_chunk(model, told, latent, active)
  end = jnp.broadcast_to(marks[1:], begin.shape)
  return decode.read_text(model, state, end, active), latent


def _folded(keys: Key[Array, 'B'], number: int) -> Key[Array, 'B']:
  """The keys of one use of each row's randomness."""
  return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
