"""TV2TV in PyTorch: one model that writes and films.

A port of tv2tv_jax that agrees with it; paper: arXiv 2512.05103. A story is one
sequence of text tokens and frame chunks. Text predicts its next token; a noisy
chunk predicts the velocity that leads to its clean copy, from its noise, its
words and the chunks before it.

  model = load('DIR')  # or AutoModel.from_pretrained('DIR',
                       #      trust_remote_code=True)
  for event in model.tell(prompt_ids, frames=picture[None], seconds=6, seed=1):
    match event:
      case model.Wrote(chunk, words): ...    # token ids, before their chunk
      case model.Filmed(chunk, frames): ...  # uint8 [T, Y, X, 3]
      case model.Ended(chunks, reason): ...  # 'length', or 'eos': its own end

Letters of shapes: B batch, L text tokens, N chunks of a row, P tokens of a
chunk, M = N P, S all tokens, D width of a tower, H of a head, V vocabulary;
T Y X C frames, rows, columns and channels of pictures, Z channels of a latent.
Pictures stand T Y X C, latents N Y X Z. `t = 0` is noise, `t = 1` is data.

The model computes in the dtype of its parameters; norms, softmax, flow time,
velocities and the VAE are float32.

Parts, each of what is above it: layers | who may look at whom | towers | frame
coder | what a story is told with | the model | training | telling stories |
loading. The VAEs are an appendix, of layers alone: our own family, `folds`, and
the two with public weights, `wan` and `cosmos`.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import hashlib
import itertools
import json
import math
import pathlib
import types
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (PyTorch's own custom)

try:
  from transformers import PretrainedConfig
  from transformers import PreTrainedModel
except ImportError:  # `load` needs no transformers.

  class PretrainedConfig:
    """The fields of config.json."""

    def __init__(self, **fields: Any):
      vars(self).update(fields)

  class PreTrainedModel(nn.Module):
    """A module with a config."""

    def __init__(self, config: PretrainedConfig):
      super().__init__()
      self.config = config

    def post_init(self) -> None:
      """Nothing is left to do."""


Tensor = torch.Tensor


# ----------------------------------------------------------------- layers


class Linear(nn.Linear):
  """A matrix without a bias, in the dtype of what comes in."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__(inputs, outputs, bias=False)

  def forward(self, x: Tensor) -> Tensor:
    """`... I` to `... O`."""
    return F.linear(x, self.weight.to(x.dtype))


def unit_rms(x: Tensor, epsilon: float = 1e-5) -> Tensor:
  """`x` in float32 with a mean square of one over the last axis."""
  x = x.float()
  return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon)


class RmsNorm(nn.Module):
  """`x / rms(x) * weight` over the last axis, in float32."""

  def __init__(self, width: int, epsilon: float = 1e-5):
    super().__init__()
    self.epsilon = epsilon
    self.weight = nn.Parameter(torch.ones(width))

  def forward(self, x: Tensor) -> Tensor:
    """Keeps the dtype of `x`."""
    return (unit_rms(x, self.epsilon) * self.weight).to(x.dtype)


class PictureNorm(nn.Module):
  """`(x - mean) / deviation * weight + bias` over all values of a picture."""

  def __init__(self, width: int, epsilon: float = 1e-6):
    super().__init__()
    self.epsilon = epsilon
    self.weight = nn.Parameter(torch.ones(width))
    self.bias = nn.Parameter(torch.zeros(width))

  def forward(self, x: Tensor) -> Tensor:
    """`... Y X C`; keeps the dtype of `x`."""
    y = x.float()
    y = y - y.mean((-3, -2, -1), keepdim=True)
    square = y.square().mean((-3, -2, -1), keepdim=True)
    y = y * torch.rsqrt(square + self.epsilon)
    return (y * self.weight + self.bias).to(x.dtype)


class Conv2d(nn.Conv2d):
  """A convolution of pictures `... Y X I`, with zeros around them.

  Rows and columns are divided by the stride, rounded up.
  """

  def forward(self, x: Tensor) -> Tensor:
    """`... Y X I` to `... V U O`."""
    pictures = x.reshape(-1, *x.shape[-3:]).movedim(-1, 1)
    pad = []
    for axis in (1, 0):
      size, kernel = pictures.shape[2 + axis], self.kernel_size[axis]
      stride = self.stride[axis]
      total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
      pad += [total // 2, total - total // 2]
    y = F.conv2d(
      F.pad(pictures, pad),
      self.weight.to(x.dtype),
      self.bias.to(x.dtype),
      self.stride,
    ).movedim(1, -1)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


class ResidualBlock(nn.Module):
  """`x + f(x)`, each picture on its own; a condition steers `f` (FiLM)."""

  def __init__(self, channels: int, condition: int):
    super().__init__()
    self.norm_in = RmsNorm(channels)
    self.conv_in = Conv2d(channels, channels, 3)
    self.norm_out = RmsNorm(channels)
    self.conv_out = Conv2d(channels, channels, 3)
    self.steer = Linear(condition, 2 * channels)

  def forward(self, x: Tensor, condition: Tensor) -> Tensor:
    """Pictures `B N Y X C` under conditions `B N E`."""
    y = self.norm_out(self.conv_in(F.silu(self.norm_in(x))))
    scale, shift = self.steer(condition)[..., None, None, :].chunk(2, -1)
    return x + self.conv_out(F.silu(y * (1 + scale) + shift))


class SelfAttention(nn.Module):
  """`x + f(x)`: every place of a picture looks at all places of it."""

  def __init__(self, channels: int, heads: int):
    super().__init__()
    self.heads = heads
    self.norm = RmsNorm(channels)
    self.query, self.key, self.value, self.output = (
      Linear(channels, channels) for _ in range(4)
    )

  def forward(self, x: Tensor) -> Tensor:
    """`B N Y X C`."""
    y = self.norm(x).flatten(-3, -2)
    q, k, v = (
      each(y).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
      for each in (self.query, self.key, self.value)
    )
    y = F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2)
    return x + self.output(y).reshape(x.shape)


# ------------------------------------------------- who may look at whom

CLEAN = -1  # The block of tokens that are in no noisy chunk.
NOBODY = -1  # The story of padding.


class Timeline(NamedTuple):
  """Places of tokens in interleaved stories, int64 `B S`.

  Attributes:
    index: place on the clean timeline, and the position that RoPE turns by.
    horizon: the token sees the clean timeline up to, not including, this.
    block: the noisy chunk it belongs to, or `CLEAN`.
    story: the story of the row it is of; negative: padding, seen by none.
  """

  index: Tensor
  horizon: Tensor
  block: Tensor
  story: Tensor


def visible(q: Timeline, k: Timeline, window: int = 0, sink: int = 0) -> Tensor:
  """True where `q` attends to `k`: its clean past, and its own chunk.

  Args:
    q: places of tokens that look, of shapes that broadcast with `k`.
    k: places of tokens that are looked at.
    window: places before its horizon that a token sees; 0: all of them.
    sink: first places of a story that stay in sight behind the window.
  """
  past = (k.block == CLEAN) & (k.index < q.horizon)
  if window:
    past = past & ((k.index >= q.horizon - window) | (k.index < sink))
  own = (q.block != CLEAN) & (q.block == k.block)
  return (past | own) & (q.story == k.story) & (k.story >= 0)


def of_text(index: Tensor, story: Tensor) -> Timeline:
  """Text tokens see what is before them, and themselves; `B L` each."""
  return Timeline(index, index + 1, torch.full_like(index, CLEAN), story)


def of_chunks(
  start: Tensor, story: Tensor, tokens: int, span: int, *, noisy: bool
) -> Timeline:
  """Clean chunks see up to their end; noisy ones to their start, and their own.

  Args:
    start: place of each chunk's first token, `B N`.
    story: of each chunk, `B N`.
    tokens: of a chunk.
    span: places a chunk takes: `tokens`, or 1 where its tokens share one.
    noisy: which of the two they are.
  """
  offsets = torch.arange(tokens, device=start.device) * (span > 1)
  index = start[..., None] + offsets
  horizon = (start if noisy else start + span)[..., None].expand_as(index)
  chunk = torch.arange(start.shape[1], device=start.device)
  block = chunk if noisy else torch.full_like(chunk, CLEAN)
  block = block[:, None].expand_as(index)
  parts = (index, horizon, block, story[..., None].expand_as(index))
  return Timeline(*(part.flatten(1) for part in parts))


def joined(*parts: Timeline) -> Timeline:
  """Places one after another."""
  return Timeline(*(torch.cat(each, 1) for each in zip(*parts, strict=True)))


def sdpa(places: Timeline, keys: Timeline, far: dict[str, int]) -> Callable:
  """Attention with a mask in memory: `(q, k, v)`, `B heads S H`, to `q`'s."""
  q = Timeline(*(part[:, :, None] for part in places))
  k = Timeline(*(part[:, None, :] for part in keys))
  # Padding looks at all there is, so that no softmax is over nothing.
  mask = (visible(q, k, **far) | (q.story < 0))[:, None]

  def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(
      q, k, v, attn_mask=mask, enable_gqa=True
    )

  return attend


def flex(places: Timeline, keys: Timeline, far: dict[str, int]) -> Callable:
  """The same by FlexAttention: what is not seen is not computed (on a GPU)."""
  from torch.nn.attention import flex_attention as flex_lib

  def seen(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
    del head
    return visible(
      Timeline(*(part[batch, q] for part in places)),
      Timeline(*(part[batch, k] for part in keys)),
      **far,
    )

  batch, count = places.index.shape
  mask = flex_lib.create_block_mask(
    seen, batch, None, count, keys.index.shape[1], device=places.index.device
  )
  engine = flex_lib.flex_attention
  if places.index.is_cuda:
    engine = _compiled(engine)

  def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return engine(q, k, v, block_mask=mask, enable_gqa=True)

  return attend


@functools.cache
def _compiled(engine: Callable) -> Callable:
  """FlexAttention's kernel, made once for all calls."""
  return torch.compile(engine)


ENGINES = {'sdpa': sdpa, 'flex': flex}


# ----------------------------------------------------------------- towers


class Memory(NamedTuple):
  """Keys and values of clean tokens: a list entry a layer, `B K S H` each."""

  keys: list[Tensor]
  values: list[Tensor]
  places: Timeline

  def then(self, other: 'Memory') -> 'Memory':
    """Both, one after the other."""
    return Memory(
      [torch.cat(each, 2) for each in zip(self.keys, other.keys, strict=True)],
      [
        torch.cat(each, 2)
        for each in zip(self.values, other.values, strict=True)
      ],
      joined(self.places, other.places),
    )

  def beside(self, other: 'Memory') -> 'Memory':
    """Both as rows of one batch, the shorter one padded."""
    size = max(m.places.index.shape[1] for m in (self, other))

    def padded(x: Tensor, axis: int, value: int = 0) -> Tensor:
      pad = [0, 0] * (x.ndim - 1 - axis) + [0, size - x.shape[axis]]
      return F.pad(x, pad, value=value)

    keys, values = (
      [
        torch.cat([padded(a, 2), padded(b, 2)])
        for a, b in zip(one, two, strict=True)
      ]
      for one, two in zip(self[:2], other[:2], strict=True)
    )
    places = Timeline(
      *(
        torch.cat([padded(a, 1, NOBODY), padded(b, 1, NOBODY)])
        for a, b in zip(self.places, other.places, strict=True)
      )
    )
    return Memory(keys, values, places)


def frequencies(width: int, rope: Any) -> Tensor:
  """Radians per place of each pair of channels, float32 `H/2`.

  `theta**(-2 i / width)`; where `factor` is not 1, slow channels turn more
  slowly still, as in Llama 3.1 (rope type `llama3`).
  """
  plain = rope.theta ** (-torch.arange(0, width, 2, dtype=torch.double) / width)
  if rope.factor != 1:
    turns = rope.original_length * plain / (2 * math.pi)
    kept = ((turns - rope.low) / (rope.high - rope.low)).clamp(0, 1)
    plain = kept * plain + (1 - kept) * plain / rope.factor
  return plain.float()


def rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
  """`x` `B heads S H` turned to its places: pairs `(i, i + H/2)`, in fp32."""
  cosine, sine = turn
  a, b = x.float().chunk(2, -1)
  out = torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)
  return out.to(x.dtype)


class Projections(nn.Module):
  """Queries, keys and values of tokens, and the way back."""

  def __init__(self, c: Any):
    super().__init__()
    self.heads, self.unit = (c.heads, c.key_heads), c.query_key_norm
    self.q_proj = Linear(c.width, c.heads * c.head_width)
    self.k_proj = Linear(c.width, c.key_heads * c.head_width)
    self.v_proj = Linear(c.width, c.key_heads * c.head_width)
    self.o_proj = Linear(c.heads * c.head_width, c.width)

  def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Query, key and value of `B S D`: `B heads S H` each."""
    heads = (self.heads[0], self.heads[1], self.heads[1])
    q, k, v = (
      each(x).unflatten(-1, (count, -1)).transpose(1, 2)
      for each, count in zip(
        (self.q_proj, self.k_proj, self.v_proj), heads, strict=True
      )
    )
    if self.unit:
      q, k = unit_rms(q).to(x.dtype), unit_rms(k).to(x.dtype)
    return [rotated(q, turn), rotated(k, turn), v]


class FeedForward(nn.Module):
  """`down(silu(gate(x)) * up(x))`."""

  def __init__(self, width: int, hidden: int):
    super().__init__()
    self.gate_proj = Linear(width, hidden)
    self.up_proj = Linear(width, hidden)
    self.down_proj = Linear(hidden, width)

  def forward(self, x: Tensor) -> Tensor:
    """Every token on its own."""
    return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
  """The weights one modality owns in one layer: a Llama layer."""

  def __init__(self, c: Any):
    super().__init__()
    self.input_layernorm = RmsNorm(c.width)
    self.self_attn = Projections(c)
    self.post_attention_layernorm = RmsNorm(c.width)
    self.mlp = FeedForward(c.width, c.hidden)

  def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> list[Tensor]:
    """What tokens `B S D` bring to attention: `B heads S H` each."""
    return self.self_attn(self.input_layernorm(x), turn)

  def finish(self, x: Tensor, attended: Tensor) -> Tensor:
    """The residual stream after attention `B heads S H` and feed-forward."""
    x = x + self.self_attn.o_proj(attended.transpose(1, 2).flatten(2))
    return x + self.mlp(self.post_attention_layernorm(x))


class Tower(nn.Module):
  """The layers of one modality."""

  def __init__(self, c: Any):
    super().__init__()
    self.layers = nn.ModuleList(Layer(c) for _ in range(c.depth))
    self.norm = RmsNorm(c.width)


# ------------------------------------------------------------ frame coder


class FlowTime(nn.Module):
  """Flow time as features: sines and cosines, then two layers, in fp32."""

  def __init__(self, features: int, width: int):
    super().__init__()
    self.first = Linear(features, width)
    self.last = Linear(width, width)

  def forward(self, t: Tensor) -> Tensor:
    """`B N` to `B N E`."""
    half = self.first.in_features // 2
    powers = torch.arange(half, dtype=torch.double) / half
    frequency = (1000.0 * 1000.0**-powers).float()
    angle = t[..., None].float() * frequency.to(t.device)
    waves = torch.cat([angle.sin(), angle.cos()], -1)
    return self.last(F.silu(self.first(waves)))


class Positions(nn.Module):
  """A learned embedding of each row plus one of each column."""

  def __init__(self, grid: tuple[int, int], width: int):
    super().__init__()
    self.row, self.column = (
      nn.Parameter(0.3 * torch.randn(count, width)) for count in grid
    )

  def forward(self) -> Tensor:
    """Of every place of a chunk, fp32 `Y X D`."""
    return self.row.float()[:, None] + self.column.float()


class UNet(nn.Module):
  """Down to tokens, and up again to velocities, one chunk at a time.

  The way up gets the levels of the way down of the same noisy chunk.
  """

  def __init__(self, c: Any, width: int):
    super().__init__()
    sizes, condition = c.channels, 2 * c.channels[0]
    levels = range(len(sizes))
    self.grid = _grid(c)

    def blocks() -> nn.ModuleList:
      return nn.ModuleList(
        nn.ModuleList(
          ResidualBlock(sizes[i], condition) for _ in range(c.blocks[i])
        )
        for i in levels
      )

    def looks() -> nn.ModuleList:
      counts = [0] * (len(sizes) - 1)
      counts += [c.blocks[-1] if c.attention_heads else 0]
      return nn.ModuleList(
        nn.ModuleList(
          SelfAttention(sizes[i], c.attention_heads) for _ in range(counts[i])
        )
        for i in levels
      )

    self.time = FlowTime(c.time_features, condition)
    self.first = Conv2d(c.latent, sizes[0], 3)
    self.down, self.look_down = blocks(), looks()
    self.shrink = nn.ModuleList(
      Conv2d(sizes[i], sizes[i + 1], 2, 2) for i in levels[:-1]
    )
    self.to_tower = Conv2d(sizes[-1], width, 1)
    self.places = Positions(self.grid, width)
    self.from_tower = Conv2d(width, sizes[-1], 1)
    self.mix = nn.ModuleList(Conv2d(2 * size, size, 1) for size in sizes)
    self.up, self.look_up = blocks(), looks()
    self.grow = nn.ModuleList(
      Conv2d(sizes[i + 1], 4 * sizes[i], 1) for i in levels[:-1]
    )
    self.last_norm = RmsNorm(sizes[0])
    self.last = Conv2d(sizes[0], c.latent, 3)

  def tokens(self, latents: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
    """`B N Y X Z` at flow times `B N`: tokens `B M D`, levels of the way."""
    condition = self.time(t).to(latents.dtype)
    h, levels = self.first(latents), []
    for i, blocks in enumerate(self.down):
      h = self.shrink[i - 1](h) if i else h
      h = _through(h, condition, blocks, self.look_down[i])
      levels.append(h)
    h = (self.to_tower(h) + self.places()).to(latents.dtype)
    return h.flatten(1, 3), levels

  def velocity(self, tokens: Tensor, levels: list[Tensor], t: Tensor) -> Tensor:
    """The velocity `B N Y X Z` that the tower's tokens mean, fp32."""
    condition = self.time(t).to(tokens.dtype)
    h = self.from_tower(tokens.unflatten(1, (t.shape[1], *self.grid)))
    for i in reversed(range(len(levels))):
      skip = unit_rms(levels[i]).to(h.dtype)
      h = self.mix[i](torch.cat([h, skip], -1))
      h = _through(h, condition, self.up[i], self.look_up[i])
      h = unfold(self.grow[i - 1](h), (1, 2, 2)) if i else h
    return self.last(F.silu(self.last_norm(h))).float()


def _through(
  h: Tensor, condition: Tensor, blocks: nn.ModuleList, looks: nn.ModuleList
) -> Tensor:
  """A level: residual blocks, each with a look around if it has any."""
  for number, block in enumerate(blocks):
    h = block(h, condition)
    h = looks[number](h) if len(looks) else h
  return h


class PatchCoder(nn.Module):
  """The linear coder: a patch of a latent is a token, a token is a patch."""

  def __init__(self, c: Any, width: int):
    super().__init__()
    self.grid, self.patch = _grid(c), 2 ** (len(c.channels) - 1)
    size = self.patch**2 * c.latent
    self.time = FlowTime(c.time_features, width)
    self.places = Positions(self.grid, width)
    self.to_tower = Linear(size, width)
    self.last_norm = RmsNorm(width)
    self.last = Linear(width, size)

  def tokens(self, latents: Tensor, t: Tensor) -> tuple[Tensor, list[Tensor]]:
    """`B N Y X Z` at flow times `B N`: tokens `B M D`; nothing else is kept."""
    x = fold(latents, (1, self.patch, self.patch))
    h = self.to_tower(x) + self.time(t)[:, :, None, None] + self.places()
    return h.to(latents.dtype).flatten(1, 3), []

  def velocity(self, tokens: Tensor, levels: list[Tensor], t: Tensor) -> Tensor:
    """The velocity `B N Y X Z` that the tower's tokens mean, fp32."""
    del levels
    x = self.last(self.last_norm(tokens)).float()
    x = x.unflatten(1, (t.shape[1], *self.grid))
    return unfold(x, (1, self.patch, self.patch))


def _grid(c: Any) -> tuple[int, int]:
  """Rows and columns of a chunk's tokens."""
  patch = 2 ** (len(c.channels) - 1)
  return c.rows // patch, c.columns // patch


# ------------------------------------------- what a story is told with


class Wrote(NamedTuple):
  """The words before a chunk are there, perhaps none.

  Attributes:
    chunk: its number.
    words: token ids.
    told: whether a person put them there.
  """

  chunk: int
  words: tuple[int, ...]
  told: bool


class Filmed(NamedTuple):
  """The frames of a chunk are there: uint8 `T Y X 3`, one of the first."""

  chunk: int
  frames: Tensor


class Ended(NamedTuple):
  """A story is over after so many chunks: `length`, or `eos`, its own end."""

  chunks: int
  reason: str


class Ask(NamedTuple):
  """What a person wants of the next chunk.

  Attributes:
    words: before it; (): none; None: the model writes or not, as it likes.
    latent: the chunk itself, normalised `Y X Z`; None: the model films it.
  """

  words: tuple[int, ...] | None = None
  latent: Tensor | None = None


SAMPLING = 'generation_config.json'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
  """How stories are told: the fields of generation_config.json.

  Attributes:
    steps: of a chunk, from noise to data.
    shift: above 1, steps are shorter near the noise.
    times: flow times of the steps, rising, the first 0, none of them 1, in
      place of `steps` and `shift`; (): these say.
    guidance: scale of classifier-free guidance on words; 1: none.
    guidance_from: flow time from which a chunk is guided,
    guidance_to: and up to which it is.
    temperature: of the words; 0: always the likeliest.
    top_p: words are drawn from the likeliest of this probability together.
    solver: how a step goes: `euler`, `midpoint` or `heun`.
    untold: what a chunk is guided away from: the same past without the `words`
      before this chunk, or the same `story` without any words but its prompt.
    window: chunks that the model looks back on, itself included.
    kept: of these, how many stay when the window is full and starts anew.
    words_budget: tokens of a chunk's words at most.
  """

  steps: int = 20
  shift: float = 1.0
  times: tuple[float, ...] = ()
  guidance: float = 2.0
  guidance_from: float = 0.0
  guidance_to: float = 1.0
  temperature: float = 1.0
  top_p: float = 1.0
  solver: str = 'euler'
  untold: str = 'words'
  window: int = 16
  kept: int = 8
  words_budget: int = 16

  @classmethod
  def read(cls, file: Any) -> 'Sampling':
    """The fields of a file that are ours."""
    held = json.loads(pathlib.Path(file).read_text())
    names = {field.name for field in dataclasses.fields(cls)}
    given = {name: held[name] for name in names & set(held)}
    return cls(**given | {'times': tuple(given.get('times', ()))})

  def course(self) -> list[float]:
    """Flow times from 0 to 1, one more than steps.

    Even shares of noise `s = 1 - t` become `shift s / (1 + (shift - 1) s)`.
    """
    if self.times:
      return [*self.times, 1.0]
    noise = (1 - step / self.steps for step in range(self.steps + 1))
    return [1 - self.shift * s / (1 + (self.shift - 1) * s) for s in noise]

  def opening(self, chunks: int) -> int:
    """The first chunk of the window in which the next of `chunks` is filmed.

    A window that is full starts anew with the last `kept` chunks of it, so that
    a long story never leaves the places that training has seen.
    """
    if chunks < self.window:
      return 0
    period = self.window - self.kept
    return period * (1 + (chunks - self.window) // period)


# -------------------------------------------------------------- the model


class Text(NamedTuple):
  """Text tokens, their places on the timeline, and their stories: `B L`."""

  tokens: Tensor
  index: Tensor
  story: Tensor


class Chunks(NamedTuple):
  """Frame chunks, clean or noisy, and where they stand.

  Attributes:
    latents: normalised, `B N Y X Z`.
    t: flow time of each chunk, `B N`; 1 is clean.
    index: place of each chunk's first token, `B N`.
    story: story of each chunk, `B N`; negative for padding.
  """

  latents: Tensor
  t: Tensor
  index: Tensor
  story: Tensor


class Outputs(NamedTuple):
  """What the model says.

  Attributes:
    logits: scores of each text token's next one, fp32 `B L V`, or None.
    velocity: of each noisy chunk, fp32 `B N Y X Z`, or None.
    memory: keys and values of text and clean tokens, in that order.
  """

  logits: Tensor | None
  velocity: Tensor | None
  memory: Memory | None


class Tv2tvConfig(PretrainedConfig):
  """The fields of config.json.

  `model` and `vae` say shapes, `statistics` is `mean` and `std` of each latent
  channel, `special` the tokens with a role, `silent` all tokens that are no
  text, `layout` where the words of a story are, `rate` frames a second,
  `chunk_frames` frames of a chunk, `vocab_size` tokens that exist.
  """

  model_type = 'tv2tv'


class Tv2tv(PreTrainedModel):
  """Embedding, frame coder, a tower per modality, two heads, and the VAE.

  Attributes:
    engine: of attention: `sdpa`, or `flex`, for long rows on a GPU.
    sampling: how stories are told where nobody says otherwise.
  """

  config_class = Tv2tvConfig
  # For who has no more than the model.
  Text, Chunks, Sampling, Ask = Text, Chunks, Sampling, Ask
  Wrote, Filmed, Ended = Wrote, Filmed, Ended

  def __init__(self, config: Tv2tvConfig):
    super().__init__(config)
    self.shape = c = _attributes(config.model)
    width, self.engine, self.sampling = c.towers.width, 'sdpa', Sampling()
    self.embed_tokens = nn.Embedding(c.vocabulary, width)
    if not c.tied:
      self.lm_head = Linear(width, c.vocabulary)
    coder = {'unet': UNet, 'linear': PatchCoder}[c.frames.coder]
    self.frames = coder(c.frames, width)
    self.text, self.video = Tower(c.towers), Tower(c.towers)
    self.vae = Vae(_attributes(config.vae))
    self.post_init()

  def forward(
    self,
    text: Text | None = None,
    clean: Chunks | None = None,
    noisy: Chunks | None = None,
    memory: Memory | None = None,
  ) -> Outputs:
    """Runs the streams that are there after the past of `memory`.

    In training a row has its text, its chunks as history, and once more as
    they are learned: noisy copies that borrow the places of the clean ones.

    Args:
      text: the words.
      clean: chunks as history.
      noisy: chunks to film.
      memory: what was read before.
    """
    x, places, levels = {}, {}, None
    if text is not None:
      x['text'] = self.embed_tokens(text.tokens)
      places['text'] = of_text(text.index, text.story)
    for name, chunks in (('clean', clean), ('noisy', noisy)):
      if chunks is not None:
        latents = chunks.latents.to(self.dtype)
        x[name], levels = self.frames.tokens(latents, chunks.t)
        places[name] = self._places(chunks, noisy=name == 'noisy')
    x, memory = self._through(x, places, memory)
    logits = velocity = None
    if text is not None:
      head = self.embed_tokens if self.shape.tied else self.lm_head
      logits = F.linear(x['text'], head.weight).float()
    if noisy is not None:
      velocity = self.frames.velocity(x['noisy'], levels, noisy.t)
    return Outputs(logits, velocity, memory)

  def _places(self, chunks: Chunks, *, noisy: bool) -> Timeline:
    """Of all tokens of chunks."""
    tokens = math.prod(self.frames.grid)
    return of_chunks(chunks.index, chunks.story, tokens, self.span, noisy=noisy)

  def _through(
    self,
    x: dict[str, Tensor],
    places: dict[str, Timeline],
    memory: Memory | None,
  ) -> tuple[dict[str, Tensor], Memory | None]:
    """All layers: towers apart, attention of all tokens to one another.

    Args:
      x: `B S D` of each stream that is there.
      places: of their tokens.
      memory: the past.

    Returns:
      The normalised streams, and the text and clean keys and values.
    """
    c = self.shape.towers
    towers = {'text': self.text, 'video': self.video}
    lengths = {name: stream.shape[1] for name, stream in x.items()}
    video = [x[name] for name in ('clean', 'noisy') if name in x]
    h = {'text': x['text']} if 'text' in x else {}
    h |= {'video': torch.cat(video, 1)} if video else {}
    here = joined(*places.values())
    all_of_them = joined(memory.places, here) if memory else here
    far = dict(window=c.window, sink=c.sink)
    attend = ENGINES[self.engine](here, all_of_them, far)
    frequency = frequencies(c.head_width, c.rope).to(here.index.device)
    angle = here.index[:, None, :, None].float() * frequency
    turn = angle.cos(), angle.sin()
    sizes = [stream.shape[1] for stream in h.values()]
    turns = list(zip(*(part.split(sizes, 2) for part in turn), strict=True))
    kept = sum(lengths.get(name, 0) for name in ('text', 'clean'))
    keys, values = [], []
    for number in range(c.depth):
      layers = {name: towers[name].layers[number] for name in h}
      brought = [
        layers[name].project(stream, turned)
        for (name, stream), turned in zip(h.items(), turns, strict=True)
      ]
      q, k, v = (torch.cat(each, 2) for each in zip(*brought, strict=True))
      keys.append(k[:, :, :kept])
      values.append(v[:, :, :kept])
      if memory:
        k = torch.cat([memory.keys[number], k], 2)
        v = torch.cat([memory.values[number], v], 2)
      parts = attend(q, k, v).split(sizes, 2)
      h = {
        name: layers[name].finish(stream, part)
        for (name, stream), part in zip(h.items(), parts, strict=True)
      }
    h = {name: towers[name].norm(stream) for name, stream in h.items()}
    out = {'text': h['text']} if 'text' in h else {}
    if video:
      names = [name for name in ('clean', 'noisy') if name in x]
      split = h['video'].split([lengths[name] for name in names], 1)
      out |= dict(zip(names, split, strict=True))
    if not kept:
      return out, None
    clean = Timeline(*(part[:, :kept] for part in here))
    return out, Memory(keys, values, clean)

  @property
  def dtype(self) -> torch.dtype:
    """Of the computation: that of the parameters."""
    return self.embed_tokens.weight.dtype

  @property
  def device(self) -> torch.device:
    """Where the parameters are."""
    return self.embed_tokens.weight.device

  @property
  def span(self) -> int:
    """Places that a chunk takes on the timeline."""
    by_token = self.shape.chunk_places == 'token'
    return math.prod(self.frames.grid) if by_token else 1

  def encode(self, frames: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Normalised latents `B N Y X Z` of frames, and the VAE's past.

    Args:
      frames: `B T Y X 3`, uint8 or floats in [-1, 1].
      past: of the call before; None begins a clip.
    """
    if frames.dtype == torch.uint8:
      frames = frames.float() / 127.5 - 1
    means, past = self.vae.encode(frames.float().to(self.device), past)
    mean, deviation = self._statistics()
    return (means - mean) / deviation, past

  def decode(self, latents: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Frames uint8 `B T Y X 3` of normalised latents, and the VAE's past."""
    mean, deviation = self._statistics()
    frames, past = self.vae.decode(latents.float() * deviation + mean, past)
    frames = ((frames + 1) * 127.5).round().clamp(0, 255)
    return frames.to(torch.uint8), past

  def _statistics(self) -> list[Tensor]:
    """Mean and deviation of each latent channel."""
    held = self.config.statistics
    return [
      torch.tensor(held[name], dtype=torch.float32, device=self.device)
      for name in ('mean', 'std')
    ]

  def tell(
    self,
    prompt: Sequence[int],
    frames: Tensor | None = None,
    **how: Any,
  ) -> Iterator['Wrote | Filmed | Ended']:
    """What happens while a story is told, as it happens; see `tell`."""
    return tell(self, prompt, frames, **how)

  @classmethod
  def from_pretrained(cls, path: Any, *args: Any, **kwargs: Any) -> 'Tv2tv':
    """As of transformers, but that what does not fit is an error.

    Raises:
      ValueError: tensors that are missing or that the model does not have.
    """
    from transformers.utils import cached_file

    wanted = kwargs.pop('output_loading_info', False)
    model, info = super().from_pretrained(
      path, *args, **kwargs, output_loading_info=True
    )
    wrong = {name: sorted(info[name]) for name in info if info[name]}
    if wrong:
      raise ValueError(f'{path}: not the tensors of its config.json: {wrong}')
    file = cached_file(
      path, SAMPLING, _raise_exceptions_for_missing_entries=False
    )
    model.sampling = Sampling.read(file) if file else Sampling()
    return (model, info) if wanted else model

  def save_pretrained(self, path: Any, *args: Any, **kwargs: Any) -> None:
    """As of transformers, with how stories are told beside it."""
    super().save_pretrained(path, *args, **kwargs)
    text = json.dumps(dataclasses.asdict(self.sampling), indent=2)
    (pathlib.Path(path) / SAMPLING).write_text(text)


def _attributes(fields: Any) -> Any:
  """A dictionary of dictionaries as a thing with attributes."""
  if not isinstance(fields, dict):
    return fields
  inner = {name: _attributes(value) for name, value in fields.items()}
  return types.SimpleNamespace(**inner)


# --------------------------------------------------------------- training
#
#   x_t = t data + (1 - t) noise,   velocity = data - noise               (1)
#   loss = text_weight CE + video_weight MSE(velocity)                    (2)
#
# A step, with `x` the normalised latents `1 N Y X Z` of a row's chunks, `t` the
# sigmoid of normal numbers of deviation 1.4, and `wide` it as `1 N 1 1 1`:
#
#   clean = Chunks(x, torch.ones_like(t), row.index, row.story)
#   noisy = Chunks(wide * x + (1 - wide) * noise, t, row.index, row.story)
#   out = model(row.text, clean, noisy)
#   value = loss(out, row.following, row.said, x - noise, row.story >= 0)
#
# For guidance some stories lack the words of some chunks (a tenth of them); for
# robustness some clean copies are noisy ones, and are told so by their `t`.


class Row(NamedTuple):
  """Stories as a row of text and a row of chunks.

  Attributes:
    text: with a batch of one.
    index: place of each chunk's first token, `1 N`.
    story: story of each chunk, `1 N`; negative for padding.
    following: the next token of each text token, `1 L`.
    said: whether it is learned, `1 L`: not within a prompt.
  """

  text: Text
  index: Tensor
  story: Tensor
  following: Tensor
  said: Tensor


def lay_out(
  model: Tv2tv,
  stories: Sequence[tuple[Sequence[int], Sequence[Sequence[int]], bool]],
  text_length: int,
  chunks: int,
  layout: str | None = None,
) -> Row:
  """Stories one after another as a row; none sees another.

  | layout | row (P the prompt, w the words, [i] chunk i) |
  |---|---|
  | tv2tv | BOS P BOF [0] EOF w1 BOF [1] EOF w2 BOF [2] EOF (EOS) |
  | think2v | BOS P w1 EOF w2 EOF BOF [0] EOF BOF [1] EOF BOF [2] EOF (EOS) |
  | t2v | BOS P BOF [0] EOF BOF [1] EOF BOF [2] EOF (EOS) |

  Args:
    model: says how many places a chunk takes.
    stories: prompt, words before each chunk, and whether it ends with EOS.
    text_length: tokens of the row.
    chunks: of the row.
    layout: None: the one that the model has learned.

  Raises:
    ValueError: stories that do not fit the row.
  """
  layout, s = layout or model.config.layout, _attributes(model.config.special)
  told, where = [], []  # (token, index, story, learned); (index, story).
  for number, (prompt, words, ended) in enumerate(stories):
    place = 0

    def say(tokens: Sequence[int], learned: bool = True) -> None:
      nonlocal place
      for token in tokens:
        told.append((token, place, number, learned))  # noqa: B023
        place += 1

    say([s.bos, *prompt], learned=False)
    for each in words[1:] if layout == 'think2v' else ():
      say([*each, s.eof])
    for each in words:
      say([*(each if layout == 'tv2tv' else ()), s.bof])
      where.append((place, number))
      place += model.span
      say([s.eof])
    say([s.eos] if ended else [])
  if len(told) > text_length or len(where) > chunks:
    raise ValueError(
      f'{len(told)} tokens and {len(where)} chunks do not fit a row of '
      f'{text_length} tokens and {chunks} chunks'
    )
  told += [(s.pad, 0, NOBODY, False)] * (text_length - len(told))
  where += [(0, NOBODY)] * (chunks - len(where))
  tokens, index, story, learned = (
    torch.tensor(each, device=model.device)[None]
    for each in zip(*told, strict=True)
  )
  places = torch.tensor(where, device=model.device)[None]
  following = torch.cat([tokens[:, 1:], tokens[:, -1:]], 1)
  said = torch.zeros_like(learned)
  said[:, :-1] = learned[:, 1:] & (story[:, 1:] == story[:, :-1])
  text = Text(tokens, index, story)
  return Row(text, *places.unbind(-1), following, said)


def loss(
  out: Outputs,
  following: Tensor,
  said: Tensor,
  velocity: Tensor,
  filmed: Tensor,
  weights: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
  """The loss (2): means over tokens that are `said` and chunks `filmed`.

  Args:
    out: of the model.
    following: the next token of each, `B L`.
    said: tokens whose next one is learned, `B L`.
    velocity: that noisy chunks should have, by (1), `B N Y X Z`.
    filmed: chunks that are learned, `B N`.
    weights: of text and video.
  """
  surprise = F.cross_entropy(
    out.logits.transpose(1, 2), following, reduction='none'
  )
  error = (out.velocity - velocity).square().mean((2, 3, 4))
  text, video = (
    (each * counted).sum() / counted.sum().clamp(min=1)
    for each, counted in ((surprise, said), (error, filmed))
  )
  return weights[0] * text + weights[1] * video


# -------------------------------------------------------- telling stories


def _euler(v: Callable, x: Tensor, t: float, dt: float) -> Tensor:
  return x + dt * v(x, t)


def _midpoint(v: Callable, x: Tensor, t: float, dt: float) -> Tensor:
  return x + dt * v(x + dt / 2 * v(x, t), t + dt / 2)


def _heun(v: Callable, x: Tensor, t: float, dt: float) -> Tensor:
  here = v(x, t)
  return x + dt / 2 * (here + v(x + dt * here, t + dt))


SOLVERS = {'euler': _euler, 'midpoint': _midpoint, 'heun': _heun}


class State(NamedTuple):
  """What the model has read of a story. A value: to fork is to use it twice.

  Attributes:
    memory: keys and values of all that was read.
    place: the next place on the timeline.
    logits: scores of the next token, `V`.
  """

  memory: Memory | None
  place: int
  logits: Tensor | None


class Story:
  """A story that is being told: words, a chunk, words, a chunk."""

  def __init__(
    self,
    model: Tv2tv,
    prompt: Sequence[int],
    latents: Sequence[Tensor],
    sampling: Sampling,
    layout: str,
    chance: Callable[[int], torch.Generator],
  ):
    """Begins; nothing is read yet.

    Args:
      model: the model.
      prompt: token ids.
      latents: of the starting frame or clip, normalised `Y X Z` each.
      sampling: how it is told.
      layout: where its words are.
      chance: randomness by use: twice the number of a chunk for its words, one
        more for its noise.
    """
    self.model, self.prompt, self.latents = model, prompt, list(latents)
    self.words = [()] * len(self.latents)  # Before each chunk.
    self.plan = []  # Of the chunks after them (Think2V).
    self.edit = ()  # What a person says behind the prompt (T2V).
    self.sampling, self.layout, self.chance = sampling, layout, chance
    self.special = _attributes(model.config.special)
    self.guided = layout != 't2v' and sampling.guidance != 1
    whole = sampling.untold == 'story' or layout == 'think2v'
    self.remembers = self.guided and whole
    self.told = self.untold = self.window = None

  def worded(self, ask: Ask) -> tuple[int, ...] | None:
    """The words before the next chunk; None: the story is over.

    Where words do not stand before their chunk, it goes on or ends. A story
    whose words are given goes on; in a Think2V story they change the plan, in
    a T2V story they follow the prompt for this chunk.
    """
    words = self._checked(ask.words)
    edit = (words or ()) if self.layout == 't2v' else ()
    if edit != self.edit:
      self.edit, self.told = edit, None
    self._seat()
    planned = self.layout == 'think2v'
    if planned and words is not None and words != self.plan[0]:
      self.plan[0], self.told = words, None
      self._seat()
    if words is None:
      spoken = self.sampling.words_budget if self.layout == 'tv2tv' else 0
      use = 2 * len(self.latents)
      words = self._write(self.told, spoken, self.special.bof, True, use)
    return self.plan[0] if planned and words is not None else words

  def filmed(
    self,
    words: tuple[int, ...],
    latent: Tensor | None = None,
    noise: Tensor | None = None,
  ) -> Tensor:
    """The next chunk after its words, normalised `Y X Z`; it is read too.

    Args:
      words: of `worded`.
      latent: the chunk, where a person has it.
      noise: where the film of it begins; None: it is drawn.
    """
    told = self._said(self.told, words if self.layout == 'tv2tv' else ())
    before = self.untold if self.remembers else self.told
    untold = self._said(before, ()) if self.guided else None
    if latent is None:
      if noise is None:
        shape = self.latents[0].shape
        noise = torch.randn(
          shape, generator=self.chance(2 * len(self.latents) + 1)
        )
      latent = self._solved(told, untold, noise.to(self.model.device))
    latent = latent.float().to(self.model.device)
    self.told = self._kept(told, latent)
    self.untold = self._kept(untold, latent) if self.remembers else None
    self.words.append(tuple(words))
    self.latents.append(latent)
    self.plan = self.plan[1:]
    return latent

  def _checked(self, words: Sequence[int] | None) -> tuple[int, ...] | None:
    """A person's words, if so many may stand before a chunk."""
    budget = self.sampling.words_budget
    if words and len(words) > budget:
      raise ValueError(
        f'{len(words)} tokens of words before one chunk: at most {budget}'
      )
    return None if words is None else tuple(words)

  def _seat(self) -> None:
    """Reads the window again where it is another, or not known."""
    window = self.sampling.opening(len(self.latents))
    if self.told is None or window != self.window:
      self.window = window
      self.told = self._read_again(silent=False)
      if self.remembers:
        self.untold = self._read_again(silent=True)

  def _read_again(self, *, silent: bool) -> State:
    """The window, without its words where it is `silent`."""
    state = State(None, 0, None)
    state = self._read(state, (self.special.bos, *self.prompt, *self.edit))
    if self.layout == 'think2v':
      for chunk in range(self.window + 1, self.window + self.sampling.window):
        known = [*self.words, *self.plan]
        if chunk >= len(known):  # A plan reaches to the end of its window.
          budget, eof = self.sampling.words_budget, self.special.eof
          words = self._write(state, budget, eof, False, 2 * chunk)
          self.plan.append(words)
          known.append(words)
        words = () if silent else known[chunk]
        state = self._read(state, (*words, self.special.eof))
    silent = silent or self.layout != 'tv2tv'
    for chunk in range(self.window, len(self.latents)):
      state = self._said(state, () if silent else self.words[chunk])
      state = self._kept(state, self.latents[chunk])
    return state

  def _read(self, state: State, tokens: Sequence[int]) -> State:
    """After more text."""
    tokens = torch.tensor([tokens], device=self.model.device)
    index = torch.arange(tokens.shape[1], device=tokens.device)[None]
    text = Text(tokens, state.place + index, torch.zeros_like(tokens))
    out = self.model(text, memory=state.memory)
    return _after(state, out, tokens.shape[1])

  def _said(self, state: State, words: tuple[int, ...]) -> State:
    """After words, and the BOF that closes them."""
    return self._read(state, (*words, self.special.bof))

  def _kept(self, state: State, latent: Tensor) -> State:
    """After a clean chunk, and the EOF that closes it."""
    eof = torch.tensor([[self.special.eof]], device=self.model.device)
    place = torch.full_like(eof, state.place)
    here, span = torch.zeros_like(eof), self.model.span
    clean = Chunks(latent[None, None], torch.ones_like(eof), place, here)
    text = Text(eof, place + span, here)
    out = self.model(text, clean, memory=state.memory)
    return _after(state, out, span + 1)

  def _write(
    self, state: State, budget: int, closing: int, ending: bool, use: int
  ) -> tuple[int, ...] | None:
    """Words, token by token, until the model wants to film; None: to end.

    Args:
      state: after the last EOF.
      budget: words at most; then the model films.
      closing: the token that closes them: BOF, or EOF within a plan.
      ending: whether EOS may come instead.
      use: of randomness.
    """
    allowed = {closing} | ({self.special.eos} if ending else set())
    tokens = range(self.model.config.vocab_size)
    banned = set(self.model.config.silent if budget else tokens) - allowed
    banned = torch.tensor(sorted(banned), device=self.model.device)
    words, chance = [], self.chance(use)
    while True:
      logits = state.logits[: len(tokens)].clone()
      logits[banned.long()] = -math.inf
      token = _drawn(logits, self.sampling, chance)
      if token == self.special.eos:
        return None
      if token == closing or len(words) == budget:
        return tuple(words)
      words.append(token)
      state = self._read(state, [token])

  def _solved(self, told: State, untold: State | None, noise: Tensor) -> Tensor:
    """The chunk at the end of the walk from noise along the velocity.

    Guidance goes from what the model would film untold through what it is
    told: `untold + scale (told - untold)` (Ho & Salimans, 2022).
    """
    s, states = self.sampling, [told, *([untold] if untold else [])]
    memory = told.memory.beside(untold.memory) if untold else told.memory
    place = torch.tensor([[state.place] for state in states]).to(noise.device)

    def velocity(x: Tensor, t: float) -> Tensor:
      rows = x.expand(len(states), 1, *x.shape)
      time = torch.full(place.shape, t, device=x.device)
      chunk = Chunks(rows, time, place, torch.zeros_like(place))
      v = self.model(noisy=chunk, memory=memory).velocity[:, 0]
      inside = s.guidance_from <= t < s.guidance_to
      scale = s.guidance if inside else 1.0
      return v[-1] + scale * (v[0] - v[-1])

    times, x = s.course(), noise
    for t, after in itertools.pairwise(times):
      x = SOLVERS[s.solver](velocity, x, t, after - t)
    return x


def _after(state: State, out: Outputs, places: int) -> State:
  """The state after what was read."""
  memory = state.memory.then(out.memory) if state.memory else out.memory
  return State(memory, state.place + places, out.logits[0, -1])


def _drawn(logits: Tensor, sampling: Sampling, chance: torch.Generator) -> int:
  """A token: of the likeliest that have probability `top_p` together."""
  if not sampling.temperature:
    return int(logits.argmax())
  ordered, order = (logits.cpu() / sampling.temperature).sort(descending=True)
  shares = ordered.softmax(0)
  shares[shares.cumsum(0) - shares >= sampling.top_p] = 0
  return int(order[torch.multinomial(shares, 1, generator=chance)])


@torch.no_grad()
def tell(  # noqa: PLR0913
  model: Tv2tv,
  prompt: Sequence[int],
  frames: Tensor | None = None,
  *,
  latents: Tensor | None = None,
  chunks: int | None = None,
  seconds: float | None = None,
  seed: int = 0,
  noise: Callable[[int], Tensor] | None = None,
  asks: Callable[[int], Ask] = lambda chunk: Ask(),
  sampling: Sampling | None = None,
  layout: str | None = None,
) -> Iterator[Wrote | Filmed | Ended]:
  """What happens while a story is told, as it happens.

  Args:
    model: the model.
    prompt: token ids.
    frames: the starting frame, or a clip of `1 + 4n`: uint8 `T Y X 3`.
    latents: the same as normalised latents `N Y X Z`, where they are known.
    chunks: that the story is to have, its start among them,
    seconds: or its length.
    seed: of all its randomness.
    noise: of a chunk by its number, `Y X Z`; None: it is drawn from the seed.
    asks: what a person wants of a chunk, by its number.
    sampling: how it is told; None: as `model.sampling` says.
    layout: None: the one that the model has learned.

  Raises:
    ValueError: a start of another size than the model's; words of a person
      that are over their budget.
  """
  sampling = sampling or model.sampling
  if latents is None:
    latents = model.encode(frames[None])[0][0]
  wanted = [model.shape.frames.rows, model.shape.frames.columns]
  if list(latents.shape[1:3]) != wanted or not len(latents):
    raise ValueError(f'a start of {tuple(latents.shape)}: [N, {wanted}, Z]')
  if chunks is None:
    step = model.config.chunk_frames
    chunks = 1 + max(1, round((seconds * model.config.rate - 1) / step))

  def chance(use: int) -> torch.Generator:
    # 32 bits are all that PyTorch takes of a seed on a CPU.
    mixed = hashlib.sha256(f'{seed} {use}'.encode()).digest()[:4]
    return torch.Generator().manual_seed(int.from_bytes(mixed))

  latents = latents.float().to(model.device)
  layout = layout or model.config.layout
  story = Story(model, tuple(prompt), latents, sampling, layout, chance)
  past = None
  for number, latent in enumerate(story.latents):
    shown, past = model.decode(latent[None, None], past)
    yield Filmed(number, shown[0])
  while (number := len(story.latents)) < chunks:
    ask = asks(number)
    words = story.worded(ask)
    if words is None:
      yield Ended(number, 'eos')
      return
    yield Wrote(number, words, ask.words is not None)
    start = noise and noise(number)
    latent = story.filmed(words, ask.latent, start)
    shown, past = model.decode(latent[None, None], past)
    yield Filmed(number, shown[0])
  yield Ended(len(story.latents), 'length')


# ---------------------------------------------------------------- loading


def load(
  folder: Any, device: Any = 'cpu', dtype: torch.dtype | None = None
) -> Tv2tv:
  """The model of an exported folder, without transformers.

  Args:
    folder: with config.json and safetensors.
    device: where to.
    dtype: of the parameters; None: as they are.

  Raises:
    ValueError: tensors that are missing, unknown, or of another shape.
  """
  import safetensors.torch

  folder = pathlib.Path(folder)
  config = Tv2tvConfig(**json.loads((folder / 'config.json').read_text()))
  with torch.device('meta'):
    model = Tv2tv(config)
  missing = {name: value.shape for name, value in model.state_dict().items()}
  for file in sorted(folder.glob('*.safetensors')):
    held = safetensors.torch.load_file(file, device=str(device))
    for name, value in held.items():
      if missing.pop(name, None) != value.shape:
        raise ValueError(f'{file}: {name} {tuple(value.shape)} does not fit')
    model.load_state_dict(held, strict=False, assign=True)
  if missing:
    raise ValueError(f'{folder}: missing {", ".join(missing)}')
  model.to(dtype) if dtype else None
  if (folder / SAMPLING).exists():
    model.sampling = Sampling.read(folder / SAMPLING)
  return model.eval()


# --------------------------------------------------------- appendix: VAEs
#
# The past goes in, the past comes out: a layer takes a chunk of a clip and its
# own past, None where the clip begins, and gives a chunk and its new past. So
# streaming equals the whole clip, however it is cut. A clip of 1 + 4n frames
# becomes 1 + n latents.


def fold(x: Tensor, size: Sequence[int], begins: bool = False) -> Tensor:
  """Groups of `(t, y, x)` as channels: `B T Y X C` to `B N V U K`.

  Before a clip begins its first frame has always been there.
  """
  t, y, x_size = size
  if begins:
    x = torch.cat([x[:, :1]] * (t - 1) + [x], 1)
  b, frames, rows, columns, _ = x.shape
  x = x.reshape(b, frames // t, t, rows // y, y, columns // x_size, x_size, -1)
  return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)


def unfold(x: Tensor, size: Sequence[int], begins: bool = False) -> Tensor:
  """The inverse of `fold`; a clip's first frame is the last of its group."""
  x = x.unflatten(-1, (*size, -1)).permute(0, 1, 4, 2, 5, 3, 6, 7)
  x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
  return x[:, size[0] - 1 :] if begins else x


class CausalConv3d(nn.Conv3d):
  """A convolution that never sees the future; `B T Y X I` to `B N Y X O`.

  Before a clip stands its first frame, or `zeros`. With a stride of `s` the
  first chunk has `1 + s n` frames and gives `1 + n`.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    stride: int = 1,
    zeros: bool = False,
  ):
    super().__init__(inputs, outputs, kernel, (stride, 1, 1))
    self.zeros = zeros

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Tensor]:
    """Convolves a chunk; the new past is frames that the next one must see."""
    taps, *size = self.kernel_size
    if past is None:
      past = torch.cat([x[:, :0]] + [x[:, :1]] * (taps - 1), 1)
      past = torch.zeros_like(past) if self.zeros else past
    seen = torch.cat([past.to(x.dtype), x], 1)
    pad = [n for k in reversed(size) for n in ((k - 1) // 2, k // 2)]
    y = F.conv3d(
      F.pad(seen.movedim(-1, 1), pad),
      self.weight.to(x.dtype),
      self.bias.to(x.dtype),
      self.stride,
    ).movedim(1, -1)
    return y, seen[:, seen.shape[1] - taps + self.stride[0] :]


class FactoredConv3d(nn.Module):
  """A convolution of each frame, then one over time alone (as Cosmos has)."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__()
    self.space = CausalConv3d(inputs, outputs, (1, 3, 3))
    self.time = CausalConv3d(outputs, outputs, (3, 1, 1))

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Convolves a chunk."""
    y, space = self.space(x, past and past[0])
    y, time = self.time(y, past and past[1])
    return y, (space, time)


class CausalResidualBlock(nn.Module):
  """`x + f(x)` over a clip; `f` sees frames before, never after."""

  def __init__(
    self,
    inputs: int,
    outputs: int,
    convolutions: Sequence[Callable[[int, int], nn.Module]],
    norm: Callable[[int], nn.Module],
  ):
    super().__init__()
    first, second = convolutions
    self.norm_in, self.conv_in = norm(inputs), first(inputs, outputs)
    self.norm_out, self.conv_out = norm(outputs), second(outputs, outputs)
    if inputs != outputs:
      self.skip = Conv2d(inputs, outputs, 1)

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """The block's frames and its new past."""
    y, before = self.conv_in(F.silu(self.norm_in(x)), past and past[0])
    y, after = self.conv_out(F.silu(self.norm_out(y)), past and past[1])
    x = self.skip(x) if hasattr(self, 'skip') else x
    return x + y, (before, after)


class Chain(nn.Module):
  """Named layers one after the other."""

  def __init__(self, layers: dict[str, nn.Module]):
    super().__init__()
    for name, layer in layers.items():
      self.add_module(name, layer)

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs all layers on a chunk."""
    new = {}
    for name, layer in self.named_children():
      x, new[name] = layer(x, past and past[name])
    return x, new


class Head(nn.Module):
  """A norm, SiLU, and a causal convolution."""

  def __init__(self, norm: nn.Module, conv: nn.Module):
    super().__init__()
    self.norm, self.conv = norm, conv

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk."""
    return self.conv(F.silu(self.norm(x)), past)


class Pure(nn.Module):
  """A layer without a past: a function of a chunk and whether it begins."""

  def __init__(self, function: Callable[[Tensor, bool], Tensor]):
    super().__init__()
    self.function = function

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk."""
    return self.function(x, past is None), ()


class Matrix(nn.Module):
  """The linear path of a VAE of folds: whole blocks of pixels, and back."""

  def __init__(self, size: Sequence[int], inputs: int, outputs: int):
    super().__init__()
    self.size, self.matrix = size, Conv2d(inputs, outputs, 1)


class Beside(nn.Module):
  """Nets, and a linear map whose result is added to theirs."""

  def __init__(self, nets: Chain, linear: Matrix, inward: bool):
    super().__init__()
    self.nets, self.linear, self.inward = nets, linear, inward

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk; inward only the means are added to."""
    y, new = self.nets(x, past)
    size, begins = self.linear.size, past is None
    if not self.inward:
      return y + unfold(self.linear.matrix(x), size, begins), new
    mean = self.linear.matrix(fold(x, size, begins))
    return y + F.pad(mean, (0, y.shape[-1] - mean.shape[-1])), new


# Encoder, decoder, and the frames, rows and columns of a latent pixel.
Family = tuple[nn.Module, nn.Module, tuple[int, ...]]


def folds(c: Any) -> Family:
  """Our own family: levels of packing and causal residual blocks."""

  def conv(taps: int, size: int) -> Callable[[int, int], nn.Module]:
    return lambda i, o: CausalConv3d(i, o, (taps, size, size))

  def blocks(level: int, width: int, depth: int) -> dict[str, nn.Module]:
    return {
      f'block_{level}_{number}': CausalResidualBlock(
        width, width, (conv(c.taps, 3), conv(1, 3)), RmsNorm
      )
      for number in range(depth)
    }

  down, width, stride = {}, c.channels, (1, 1, 1)
  for level, size in enumerate(c.encoder_folds):
    out = c.encoder_widths[level]
    down[f'fold_{level}'] = Pure(lambda x, begins, n=size: fold(x, n, begins))
    down[f'stem_{level}'] = conv(1, 1)(width * math.prod(size), out)
    down |= blocks(level, out, c.encoder_depths[level])
    width = out
    stride = tuple(a * b for a, b in zip(stride, size, strict=True))
  latent = c.latent_channels
  down['head'] = Head(RmsNorm(width), conv(1, 3)(width, 2 * latent))
  up = {'stem': conv(c.taps, 3)(latent, c.decoder_widths[0])}
  outs = [*c.decoder_widths[1:], c.channels]
  for level, (size, out) in enumerate(zip(c.decoder_folds, outs, strict=True)):
    width, last = c.decoder_widths[level], level == len(outs) - 1
    up |= blocks(level, width, c.decoder_depths[level])
    project = conv(1, 3 if last else 1)(width, out * math.prod(size))
    up[f'head_{level}'] = Head(RmsNorm(width), project)
    up[f'unfold_{level}'] = Pure(lambda x, begins, n=size: unfold(x, n, begins))
  encoder, decoder = Chain(down), Chain(up)
  if c.linear_path:
    pixels = math.prod(stride) * c.channels
    encoder = Beside(encoder, Matrix(stride, pixels, latent), True)
    decoder = Beside(decoder, Matrix(stride, latent, pixels), False)
  return encoder, decoder, stride


class PictureAttention(nn.Module):
  """`x` plus attention of one head: each pixel to all of its own frame."""

  def __init__(self, width: int, norm: Callable[[int], nn.Module]):
    super().__init__()
    self.norm = norm(width)
    self.query, self.key, self.value, self.output = (
      Conv2d(width, width, 1) for _ in range(4)
    )

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk `B T Y X D`."""
    y = self.norm(x)
    q, k, v = (f(y).flatten(2, 3) for f in (self.query, self.key, self.value))
    y = F.scaled_dot_product_attention(q, k, v)
    return x + self.output(y.reshape(x.shape)), ()


class TimeAttention(PictureAttention):
  """The same of each pixel to itself: now, and in `memory` frames before."""

  def __init__(self, width: int, memory: int):
    super().__init__(width, PictureNorm)
    self.memory = memory

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk `B T Y X D`."""
    y = self.norm(x)
    held = past or (x[:, :0], x[:, :0])
    q, k, v = self.query(y), self.key(y), self.value(y)
    k, v = torch.cat([held[0], k], 1), torch.cat([held[1], v], 1)
    now = torch.arange(x.shape[1], device=x.device)[:, None]
    now = now + k.shape[1] - x.shape[1]
    there = torch.arange(k.shape[1], device=x.device)
    mask = (there <= now) & (there >= now - self.memory)
    q, k, v = (each.movedim(1, 3) for each in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).movedim(3, 1)
    k, v = (each.movedim(3, 1)[:, -self.memory :] for each in (k, v))
    return x + self.output(y), (k, v)


class WanDown(nn.Module):
  """Half the rows and columns, and half the frames where `time` says so."""

  def __init__(self, width: int, time: bool):
    super().__init__()
    self.space = Conv2d(width, width, 3, 2)
    if time:
      self.time = CausalConv3d(width, width, (3, 1, 1), 2)

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk; a clip's first frame is joined with none."""
    x = self.space(x)
    if not hasattr(self, 'time'):
      return x, ()
    if past is not None:
      return self.time(x, past)
    first = x[:, :1]
    if x.shape[1] == 1:
      return first, first
    rest, past = self.time(x[:, 1:], first)
    return torch.cat([first, rest], 1), past


class WanUp(nn.Module):
  """Twice the rows and columns, twice the frames where `time` says so."""

  def __init__(self, width: int, time: bool):
    super().__init__()
    if time:
      self.time = CausalConv3d(width, 2 * width, (3, 1, 1))
    self.space = Conv2d(width, width // 2, 3)

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk; a clip's first frame stays one, and is not seen."""
    new = ()
    if hasattr(self, 'time'):
      first = x[:, : int(past is None)]
      rest = x[:, first.shape[1] :]
      new = torch.zeros_like(x[:, :1]).repeat(1, 2, 1, 1, 1)
      new = new if past is None else past
      if rest.shape[1]:
        rest, new = self.time(rest, new)
        rest = unfold(rest, (2, 1, 1))
      x = torch.cat([first, rest], 1)
    return self.space(nearest(x)), new


def nearest(x: Tensor) -> Tensor:
  """Twice the rows and columns, by nearest neighbours."""
  return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def wan(c: Any) -> Family:
  """The family of Wan 2.1's VAE: a pyramid with zeros before a clip."""
  multiples, halves = c.multiples, c.halves_time

  def norm(width: int) -> nn.Module:
    return RmsNorm(width, 1e-12)

  def conv(inputs: int, outputs: int, size: int = 3) -> nn.Module:
    return CausalConv3d(inputs, outputs, (size,) * 3, zeros=True)

  def block(inputs: int, outputs: int) -> nn.Module:
    return CausalResidualBlock(inputs, outputs, (conv, conv), norm)

  def level(
    number: int, inputs: int, outputs: int, count: int
  ) -> dict[str, nn.Module]:
    return {
      f'block_{number}_{i}': block(outputs if i else inputs, outputs)
      for i in range(count)
    }

  def middle(width: int) -> dict[str, nn.Module]:
    return {
      'middle_0': block(width, width),
      'attention': PictureAttention(width, norm),
      'middle_1': block(width, width),
    }

  widths = [c.width * multiple for multiple in (1, *multiples)]
  down = {'stem': conv(c.channels, widths[0])}
  for number, out in enumerate(widths[1:]):
    down |= level(number, widths[number], out, c.blocks)
    if number < len(halves):
      down[f'down_{number}'] = WanDown(out, halves[number])
  down |= middle(widths[-1])
  packed = 2 * c.latent_channels
  down['head'] = Head(norm(widths[-1]), conv(widths[-1], packed))
  down['last'] = conv(packed, packed, 1)
  outs = [c.decoder_width * multiple for multiple in multiples[::-1]]
  up = {
    'first': conv(c.latent_channels, c.latent_channels, 1),
    'stem': conv(c.latent_channels, outs[0]),
    **middle(outs[0]),
  }
  width = outs[0]
  for number, out in enumerate(outs):
    up |= level(number, width, out, c.blocks + 1)
    if number < len(halves):
      up[f'up_{number}'] = WanUp(out, halves[::-1][number])
      width = out // 2
  up['head'] = Head(norm(outs[-1]), conv(outs[-1], c.channels))
  space = 2 ** len(halves)
  return Chain(down), Chain(up), (2 ** sum(halves), space, space)


class CosmosDown(nn.Module):
  """Half the frames, half the rows and columns, or both."""

  def __init__(self, width: int, time: bool, space: bool):
    super().__init__()
    if space:
      self.space = Conv2d(width, width, 3, 2)
    if time:
      self.time = CausalConv3d(width, width, (3, 1, 1), 2)
    self.last = Conv2d(width, width, 1)

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk: a mean, plus what a convolution adds to it."""

    def mean(size: tuple[int, ...], begins: bool) -> Tensor:
      return fold(x, size, begins).unflatten(-1, (-1, x.shape[-1])).mean(-2)

    new = ()
    if hasattr(self, 'space'):
      x = self.space(x) + mean((1, 2, 2), False)
    if hasattr(self, 'time'):
      y, new = self.time(x, past)
      x = y + mean((2, 1, 1), past is None)
    return self.last(x), new


class CosmosUp(nn.Module):
  """Twice the frames, twice the rows and columns, or both."""

  def __init__(self, width: int, time: bool, space: bool):
    super().__init__()
    if time:
      self.time = CausalConv3d(width, width, (3, 1, 1))
    if space:
      self.space = Conv2d(width, width, 3)
    self.last = Conv2d(width, width, 1)

  def forward(self, x: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Runs on a chunk: nearest neighbours, plus what a convolution adds."""
    new = ()
    if hasattr(self, 'time'):
      x = x.repeat_interleave(2, 1)[:, int(past is None) :]
      y, new = self.time(x, past)
      x = x + y
    if hasattr(self, 'space'):
      x = nearest(x)
      x = x + self.space(x)
    return self.last(x), new


def cosmos(c: Any) -> Family:  # noqa: PLR0915
  """The family of Cosmos' video VAEs: wavelets, then a pyramid; no variance."""
  times, spaces = (
    int(math.log2(n // c.patch)) for n in (c.time_stride, c.space_stride)
  )
  conv = FactoredConv3d

  def block(inputs: int, outputs: int) -> nn.Module:
    return CausalResidualBlock(inputs, outputs, (conv, conv), PictureNorm)

  def looks(width: int, name: str, behind: int) -> dict[str, nn.Module]:
    memory = c.memory * c.time_stride // behind
    return {
      f'space_{name}': PictureAttention(width, PictureNorm),
      f'time_{name}': TimeAttention(width, memory),
    }

  def level(
    number: int, widths: tuple[int, int], count: int, rows: int, behind: int
  ) -> dict[str, nn.Module]:
    layers = {}
    for i in range(count):
      name = f'{number}_{i}'
      layers[f'block_{name}'] = block(widths[min(i, 1)], widths[1])
      if rows in c.attention_resolutions:
        layers |= looks(widths[1], name, behind)
    return layers

  def middle(width: int) -> dict[str, nn.Module]:
    return {
      'middle_0': block(width, width),
      **looks(width, 'middle', c.time_stride),
      'middle_1': block(width, width),
    }

  def patched(x: Tensor, begins: bool) -> Tensor:
    if c.patching == 'rearrange':
      x = fold(x, (c.patch,) * 3, begins)
      return x.unflatten(-1, (c.patch**3, -1)).transpose(-1, -2).flatten(-2)
    for _ in range(c.patch.bit_length() - 1):
      x = _butterflies(fold(x, (2, 2, 2), begins)) / 8
    return x

  def pixels(x: Tensor, begins: bool) -> Tensor:
    if c.patching == 'rearrange':
      x = x.unflatten(-1, (-1, c.patch**3)).transpose(-1, -2).flatten(-2)
      return unfold(x, (c.patch,) * 3, begins)
    for _ in range(c.patch.bit_length() - 1):
      x = unfold(_butterflies(x), (2, 2, 2), begins)
    return x

  size = c.channels * c.patch**3
  first, *outs = c.encoder_widths
  down = {'patches': Pure(patched), 'stem': conv(size, first)}
  width, rows, behind = first, c.resolution // c.patch, c.patch
  for number, out in enumerate(outs):
    down |= level(number, (width, out), c.blocks, rows, behind)
    width = out
    if number < len(outs) - 1:
      time, space = number < times, number < spaces
      if time or space:
        down[f'down_{number}'] = CosmosDown(out, time, space)
      rows, behind = rows // 2, behind * (1 + time)
  latent = c.latent_channels
  down |= middle(width)
  down['head'] = Head(PictureNorm(width), conv(width, latent))
  down['last'] = CausalConv3d(latent, latent, (1, 1, 1))
  first, *outs = c.decoder_widths[::-1]
  up = {
    'first': CausalConv3d(latent, latent, (1, 1, 1)),
    'stem': conv(latent, first),
    **middle(first),
  }
  width, behind = first, c.time_stride
  rows = (c.resolution // c.patch) >> (len(outs) - 1)
  for number, out in enumerate(outs):
    up |= level(number, (width, out), c.blocks + 1, rows, behind)
    width, more = out, number < len(outs) - 1
    time = more and 0 < number < times + 1
    space = time or (more and number < spaces and spaces > times)
    if time or space:
      up[f'up_{number}'] = CosmosUp(out, time, space)
    rows, behind = rows * 2, behind // (1 + time)
  up['head'] = Head(PictureNorm(width), conv(width, size))
  up['pixels'] = Pure(pixels)
  stride = (c.time_stride, c.space_stride, c.space_stride)
  return Chain(down), Chain(up), stride


def _butterflies(x: Tensor) -> Tensor:
  """Sums and differences along the three halvings that channels begin with."""
  for bit in range(3):
    y = x.unflatten(-1, (2**bit, 2, -1))
    low, high = y.unbind(-2)
    x = torch.stack([low + high, low - high], -2).flatten(-3)
  return x


FAMILIES = {'folds': folds, 'wan': wan, 'cosmos': cosmos}


class Vae(nn.Module):
  """The causal video VAE: frames in [-1, 1] to latents, and back.

  Attributes:
    stride: frames, rows and columns that one latent pixel stands for.
  """

  def __init__(self, c: Any):
    super().__init__()
    self.latent_channels = c.latent_channels
    self.encoder, self.decoder, self.stride = FAMILIES[c.family](c)

  def encode(self, frames: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Means `B N V U Z` of frames `B T Y X 3`, and the new past.

    Args:
      frames: `1 + 4n` of them where a clip begins, else `4n`.
      past: of the call before; None begins a clip.

    Raises:
      ValueError: frames that the VAE cannot take.
    """
    time, *space = self.stride
    count, *size = frames.shape[1:4]
    if (count - (past is None)) % time or not count:
      raise ValueError(f'{count} frames: give {time}n, and one more at first')
    if any(a % b for a, b in zip(size, space, strict=True)):
      raise ValueError(
        f'pictures of {size} rows, columns: multiples of {space}'
      )
    packed, past = self.encoder(frames, past)
    return packed[..., : self.latent_channels], past

  def decode(self, latents: Tensor, past: Any = None) -> tuple[Tensor, Any]:
    """Frames `B T Y X 3`, about in [-1, 1], of latents `B N V U Z`."""
    return self.decoder(latents, past)
