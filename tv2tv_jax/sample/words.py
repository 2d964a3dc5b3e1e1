"""Thinking in words: tokens one by one, until the model wants to film."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from tv2tv_jax.interleave import tokens as tokens_lib
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
  """

  special: tokens_lib.SpecialTokens
  silent: frozenset[int]
  vocabulary: int
  budget: int


class Written(NamedTuple):
  """What a batch of stories wrote before its next chunk.

  Attributes:
    state: the stories after their words.
    tokens: the words, padded with whatever.
    count: how many of them count.
    ended: stories that are over.
  """

  state: decode.DecodeState
  tokens: Int[Array, 'B W']
  count: Int[Array, 'B']
  ended: Bool[Array, 'B']


def write(
  model: model_lib.Tv2tv,
  state: decode.DecodeState,
  keys: Key[Array, 'B'],
  active: Bool[Array, 'B'],
  *,
  grammar: Grammar,
  temperature: float,
) -> Written:
  """Lets the active rows write until they want to film or to end.

  Which tokens may come is grammar, not chance: words, BOF and EOS. A row that
  has used up its budget films.

  Args:
    model: the model.
    state: stories up to now, each after its last EOF.
    keys: one a row; a row's words depend on its own key alone.
    active: rows that may write.
    grammar: which tokens may come, and how many.
    temperature: of the softmax; zero takes the likeliest token.
  """
  special, silent, vocabulary, budget = grammar
  banned = jnp.array(sorted(silent - {special.bof, special.eos}))
  batch = active.shape[0]

  def unfinished(carry: tuple[Written, Bool[Array, 'B']]) -> Bool[Array, '']:
    return jnp.any(carry[1])

  def advance(
    carry: tuple[Written, Bool[Array, 'B']],
  ) -> tuple[Written, Bool[Array, 'B']]:
    written, writing = carry
    logits = written.state.logits[:, :vocabulary].at[:, banned].set(_BANNED)
    folded = jax.vmap(jax.random.fold_in)(keys, written.count)
    token = _sampled(folded, logits, temperature)
    ends = writing & (token == special.eos)
    writes = writing & (token != special.bof) & ~ends
    writes &= written.count < budget
    count = writes.astype(jnp.int32)
    state = decode.read_text(model, written.state, token[:, None], count)
    slot = jnp.minimum(written.count, budget - 1)
    kept = jnp.take_along_axis(written.tokens, slot[:, None], axis=1)[:, 0]
    tokens = written.tokens.at[jnp.arange(batch), slot].set(
      jnp.where(writes, token, kept)
    )
    ended = written.ended | ends
    return Written(state, tokens, written.count + count, ended), writes

  start = Written(
    state,
    jnp.zeros((batch, budget), jnp.int32),
    jnp.zeros(batch, jnp.int32),
    jnp.zeros(batch, bool),
  )
  return jax.lax.while_loop(unfinished, advance, (start, active))[0]


def _sampled(
  keys: Key[Array, 'B'], logits: Float[Array, 'B V'], temperature: float
) -> Int[Array, 'B']:
  """A token of each row."""
  if temperature == 0:
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)
  draw = jax.vmap(jax.random.categorical)
  return draw(keys, logits / temperature).astype(jnp.int32)
