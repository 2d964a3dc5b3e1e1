"""TV2TV: words and frame chunks in, words and velocities out.

Text predicts its next token; a noisy chunk predicts the velocity that leads
to its clean copy, from its noise, its words and the chunks before it.
"""

from collections.abc import Mapping
import dataclasses
from typing import Literal, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax import sharding
from tv2tv_jax.interleave import deal
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.mot import transformer
from tv2tv_jax.nn import cross_entropy
from tv2tv_jax.nn import dense
from tv2tv_jax.tv2tv import frames
from tv2tv_jax.tv2tv import patches
from tv2tv_jax.tv2tv import unet

Streams = streams_lib.Streams


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
  """The whole model.

  Attributes:
    vocabulary: tokens of the text tower.
    towers: the shape of both towers.
    frames: the frame coder.
    tied: whether the embedding is also the output layer of the words.
    video_init: what the video tower is born as: a copy of the `text` tower,
      as in LMFusion and BAGEL, or `random` (open in the paper).
    chunk_places: places a chunk takes on the timeline: one for each `token`
      (as Llama counts), or one for the `chunk` (as BAGEL counts).
    dtype: of matrix products; norms, softmax, losses and time are fp32.
  """

  vocabulary: int
  towers: tower.MotConfig
  frames: frames.FramesConfig
  tied: bool = True
  video_init: Literal['text', 'random'] = 'text'
  chunk_places: Literal['token', 'chunk'] = 'token'
  dtype: Literal['float32', 'bfloat16'] = 'bfloat16'

  @property
  def span(self) -> int:
    """Places that a chunk takes on the timeline."""
    return self.frames.tokens if self.chunk_places == 'token' else 1


class Text(NamedTuple):
  """Text tokens and where they stand.

  Attributes:
    tokens: ids.
    index: places on the timeline.
    story: story of each token; negative for padding.
  """

  tokens: Int[Array, 'B L']
  index: Int[Array, 'B L']
  story: Int[Array, 'B L']


class Chunks(NamedTuple):
  """Frame chunks, clean or noisy, and where they stand.

  Attributes:
    latents: normalised latents.
    t: flow time of each chunk; 1 is clean.
    index: place of each chunk's first token.
    story: story of each chunk; negative for padding.
  """

  latents: Float[Array, 'B N Y X Z']
  t: Float[Array, 'B N']
  index: Int[Array, 'B N']
  story: Int[Array, 'B N']


class Outputs(NamedTuple):
  """What the model says.

  Attributes:
    text: what each text token's next one is read off; None without text.
    logits: scores of it, fp32. Where they are not used, nothing makes them.
    velocity: of each noisy chunk, fp32; None without noisy chunks.
    memory: keys and values of text and clean tokens, in that order, in each
      layer.
    places: of these tokens.
  """

  text: Float[Array, 'B L D'] | None
  logits: Float[Array, 'B L V'] | None
  velocity: Float[Array, 'B N Y X Z'] | None
  memory: cache_lib.Layers | None
  places: timeline.Timeline | None


_TABLE = ('vocab', 'embed_in')  # Logical axes of the embedding.


class Tv2tv(nnx.Module):
  """The model: embedding, frame coder, two towers, two heads."""

  def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
    width = config.towers.width
    self.config = config
    table = jax.random.normal(rngs.params(), (config.vocabulary, width))
    deviation = width**-0.5 if config.tied else 1.0
    self.embedding = nnx.Param(sharding.place(deviation * table, *_TABLE))
    if not config.tied:
      self.head = dense.Dense(
        'BLD,DV->BLV',
        (width, config.vocabulary),
        ('embed_in', 'vocab'),
        rngs=rngs,
      )
    coder = {'unet': unet.UNet, 'linear': patches.Patches}[config.frames.coder]
    self.frames = coder(config.frames, width, rngs=rngs)
    self.transformer = transformer.MixtureOfTransformers(
      config.towers, rngs=rngs
    )
    if config.video_init == 'text':
      blocks = self.transformer.blocks
      blocks.video = jax.tree.map(jnp.copy, blocks.text)

  def __call__(
    self,
    text: Text | None = None,
    clean: Chunks | None = None,
    noisy: Chunks | None = None,
    *,
    cache: cache_lib.Cache | None = None,
    order: deal.Order = None,
  ) -> Outputs:
    """Runs the streams that are there after the past of `cache`.

    Args:
      text: the words.
      clean: chunks as history.
      noisy: chunks to film.
      cache: what was read before.
      order: what is known of the order of the rows, to leave out what no query
        can see.

    Raises:
      ValueError: chunks of another size than the frame coder's.
    """
    config = self.config
    for chunks in (clean, noisy):
      if chunks is not None:
        _check(chunks, config.frames)
    text, clean, noisy = jax.tree.map(
      lambda part: sharding.place(part, 'batch', 'length'), (text, clean, noisy)
    )
    dtype = jnp.dtype(config.dtype)
    shape = dict(tokens=config.frames.tokens, span=config.span)
    x, places, levels = {}, {}, None
    if text is not None:
      x['text'] = self._embedded(text.tokens, dtype)
      places['text'] = timeline.of_text(text.index, text.story)
    if clean is not None:
      places['clean'] = timeline.of_clean(clean.index, clean.story, **shape)
    if noisy is not None:
      places['noisy'] = timeline.of_noisy(noisy.index, noisy.story, **shape)
    given = {'clean': clean, 'noisy': noisy}
    given = {name: each for name, each in given.items() if each is not None}
    for name, (tokens, kept) in self._coded(given, dtype).items():
      x[name] = tokens
      levels = kept if name == 'noisy' else levels
    out, memory = self.transformer(
      Streams(**x),
      Streams(**places),
      chunks=next((c.t.shape[1] for c in (noisy, clean) if c is not None), 0),
      cache=cache,
      order=order,
    )
    kept = [
      deal.whole(places[name], order)
      for name in ('text', 'clean')
      if name in places
    ]
    return Outputs(
      out.text,
      None if text is None else self._head(dtype)(out.text),
      None
      if noisy is None
      else self.frames.velocity(out.noisy, levels, noisy.t),
      memory,
      streams_lib.joined_places(*kept) if kept else None,
    )

  def surprise(
    self, text: Float[Array, 'B L D'], following: Int[Array, 'B L']
  ) -> Float[Array, 'B L']:
    """Cross-entropy of each text token's next one, fp32.

    Args:
      text: of `Outputs`.
      following: the tokens that come next.
    """
    return cross_entropy.of_hidden(self._head(text.dtype), text, following)

  def _coded(
    self, given: Mapping[str, Chunks], dtype: jnp.dtype
  ) -> dict[str, tuple[Float[Array, 'B M D'], list]]:
    """Tokens of chunks, and what the way back needs.

    As many clean chunks as noisy ones, as in training, go the same way at once:
    half the program, and larger products.
    """
    groups, coded = {}, {}
    for name, chunks in given.items():
      groups.setdefault(chunks.t.shape[1], []).append(name)
    for names in groups.values():
      latents, t = (
        streams_lib.woven([getattr(given[name], field) for name in names])
        for field in ('latents', 't')
      )
      tokens, kept = self.frames.tokens(latents.astype(dtype), t)
      apart = [streams_lib.unwoven(x, len(names)) for x in (tokens, *kept)]
      for name, tokens, *kept in zip(names, *apart, strict=True):
        coded[name] = frames.of_chunks(tokens), kept
    return coded

  def _embedded(
    self, tokens: Int[Array, 'B L'], dtype: jnp.dtype
  ) -> Float[Array, 'B L D']:
    """Rows of the embedding table.

    Every device looks up its share of the width for all rows of the batch: what
    travels then is tokens, never the table.
    """
    rows = self.embedding[...].at[sharding.place(tokens)]
    out = rows.get(out_sharding=sharding.spec(None, None, _TABLE[1]))
    # One exchange between devices a step: XLA would gather all for two at once.
    out = sharding.place(out.astype(dtype), 'batch', None, 'embed_late')
    return sharding.place(out, 'batch', 'length', 'embed')

  def _head(self, dtype: jnp.dtype) -> cross_entropy.Head:
    """What makes scores of the next token, fp32, of text in `dtype`."""
    if self.config.tied:
      equation, table, axes = 'BLD,VD->BLV', self.embedding, _TABLE
    else:
      equation, table, axes = 'BLD,DV->BLV', self.head.kernel, _TABLE[::-1]
    weight = sharding.gathered(table[...].astype(dtype), *axes)

    def scores(text: Float[Array, 'B L D']) -> Float[Array, 'B L V']:
      return jnp.einsum(
        equation,
        text,
        weight,
        out_sharding=sharding.spec('batch', 'length', 'vocab'),
        preferred_element_type=jnp.float32,
      )

    return scores


def _check(chunks: Chunks, config: frames.FramesConfig) -> None:
  """Whether chunks have the size that the frame coder takes."""
  wanted = (config.rows, config.columns, config.latent)
  if chunks.latents.shape[2:] != wanted:
    raise ValueError(
      f'chunks of {chunks.latents.shape[2:]} rows, columns and channels; '
      f'config.model.frames wants {wanted}'
    )
