"""Thinking in words: tokens one by one, until the model wants to film."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import decode
from tv2tv_jax.tv2tv import model as model_lib

_BANNED = -1e30


class Grammar(NamedTuple):
  """What may be written.

  Attributes:
    special: the tokens with a role.
    silent: every token that is no text.
    vocabulary: tokens that exist; the model may have room for more.
    budget: words before one chunk at most.
    closing: the token that closes the words: BOF, or EOF within a plan.
    ending: whether the story may end instead.
  """

  special: tokens_lib.SpecialTokens
  silent: frozenset[int]
  vocabulary: int
  budget: int
  closing: int
  ending: bool

  @property
  def banned(self) -> Bool[np.ndarray, 'V']:
    """Which tokens may not come."""
    tokens = range(self.vocabulary)
    silent = self.silent if self.budget else tokens
    allowed = {self.closing, *([self.special.eos] if self.ending else [])}
    return np.array([i in silent and i not in allowed for i in tokens])


class Taste(NamedTuple):
  """How the tokens of each row are drawn.

  Attributes:
    temperature: of the softmax; zero takes the likeliest token.
    top_p: the likeliest tokens, as few as have this probability together, are
      drawn from (Holtzman et al., 1904.09751); 1: all of them.
  """

  temperature: Float[Array, 'B']
  top_p: Float[Array, 'B']


class Written(NamedTuple):
  """What a batch of stories wrote before its next chunk.

  Attributes:
    tokens: the words, padded with whatever.
    count: how many of them count.
    ended: stories that are over.
  """

  tokens: Int[Array, 'B W']
  count: Int[Array, 'B']
  ended: Bool[Array, 'B']


def write(
  model: model_lib.Tv2tv,
  state: decode.DecodeState,
  source: chance.Source,
  active: Bool[Array, 'B'],
  taste: Taste,
  *,
  grammar: Grammar,
) -> Written:
  """Lets the active rows write until they want to film or to end.

  Which tokens may come is grammar, not chance: words, and what closes them. A
  row that has used up its budget films. The state is not changed: what was
  written is read in one block then (`decode.read_text`).

  Args:
    model: the model.
    state: stories up to now, each after its last EOF.
    source: of randomness; a row's words depend on its own alone.
    active: rows that may write.
    taste: how tokens are drawn.
    grammar: which tokens may come, and how many.
  """
  keys = chance.keys(source)
  budget, batch = grammar.budget, active.shape[0]
  room = max(1, budget)

  def unfinished(carry) -> Bool[Array, '']:
    return jnp.any(carry[2])

  # A loop copies what it changes: the draft is, the cache stays outside.
  towers, dtype = model.config.towers, jnp.dtype(model.config.dtype)
  draft = cache_lib.empty(towers, batch, room + 1, dtype)
  begins = state._replace(cache=draft)

  def advance(carry):
    read, written, writing = carry
    # Every device draws for all rows: their words are everyone's.
    logits = sharding.place(read.logits)[:, : grammar.vocabulary]
    logits = jnp.where(grammar.banned, _BANNED, logits)
    folded = jax.vmap(jax.random.fold_in)(keys, written.count)
    token = drawn(folded, logits, taste)
    ends = writing & (token == grammar.special.eos)
    writes = writing & (token != grammar.closing) & ~ends
    writes &= written.count < budget
    count = writes.astype(jnp.int32)
    read = read._replace(cache=state.cache._replace(draft=read.cache))
    read = decode.read_text(model, read, token[:, None], count)
    read = read._replace(cache=read.cache.draft)
    slot = jnp.minimum(written.count, room - 1)
    kept = jnp.take_along_axis(written.tokens, slot[:, None], axis=1)[:, 0]
    tokens = written.tokens.at[jnp.arange(batch), slot].set(
      jnp.where(writes, token, kept)
    )
    written = Written(tokens, written.count + count, written.ended | ends)
    return read, written, writes

  blank = jnp.zeros((batch, room), jnp.int32)
  start = Written(blank, jnp.zeros(batch, jnp.int32), jnp.zeros(batch, bool))
  return jax.lax.while_loop(unfinished, advance, (begins, start, active))[1]


def drawn(
  keys: Key[Array, 'B'], logits: Float[Array, 'B V'], taste: Taste
) -> Int[Array, 'B']:
  """A token of each row."""
  greedy = taste.temperature == 0
  logits = logits / jnp.where(greedy, 1.0, taste.temperature)[:, None]
  ordered = jnp.sort(logits, axis=-1, descending=True)
  chance = jax.nn.softmax(ordered, axis=-1)
  before = jnp.cumsum(chance, axis=-1) - chance
  kept = jnp.sum(before < taste.top_p[:, None], axis=-1, keepdims=True)
  least = jnp.take_along_axis(ordered, jnp.maximum(kept - 1, 0), axis=-1)
  logits = jnp.where(logits >= least, logits, _BANNED)
  token = jax.vmap(jax.random.categorical)(keys, logits)
  token = jnp.where(greedy, jnp.argmax(logits, axis=-1), token)
  return token.astype(jnp.int32)
