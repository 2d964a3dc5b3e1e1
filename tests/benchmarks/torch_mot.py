"""A Mixture-of-Transformers in PyTorch, as its users would write it for speed.

Tokens are sorted by modality once, so that no layer routes anything; SDPA takes
the dense mask. The public Mixture-of-Transformers code cannot run as it is
published (its attention is built with arguments that PyTorch does not have).
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Shape(NamedTuple):
  """Both towers' shape: width, layers, heads (all of them keys), hidden."""

  width: int
  depth: int
  heads: int
  hidden: int


class Tower(nn.Module):
  """One modality's weights in one layer; names are ours."""

  def __init__(self, shape: Shape):
    super().__init__()
    width, hidden = shape.width, shape.hidden
    self.attention_norm = nn.RMSNorm(width, eps=1e-5)
    self.feed_forward_norm = nn.RMSNorm(width, eps=1e-5)
    for name in ('query', 'key', 'value', 'output'):
      setattr(self, name, nn.Linear(width, width, bias=False))
    self.gate = nn.Linear(width, hidden, bias=False)
    self.up = nn.Linear(width, hidden, bias=False)
    self.down = nn.Linear(hidden, width, bias=False)

  def finish(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """The residual stream after attention and feed-forward."""
    x = x + self.output(attended)
    y = self.feed_forward_norm(x)
    return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Layer(nn.Module):
  """Two towers and one attention."""

  def __init__(self, shape: Shape):
    super().__init__()
    self.heads = shape.heads
    self.towers = nn.ModuleList([Tower(shape), Tower(shape)])

  def forward(self, streams, mask, cosine, sine):
    """The two streams after the layer."""
    normed = [
      tower.attention_norm(x)
      for tower, x in zip(self.towers, streams, strict=True)
    ]

    def projected(name: str) -> torch.Tensor:
      parts = [
        getattr(tower, name)(x)
        for tower, x in zip(self.towers, normed, strict=True)
      ]
      return torch.cat(parts, dim=1).unflatten(-1, (self.heads, -1))

    query, key, value = map(projected, ('query', 'key', 'value'))
    query, key = (_rotated(x, cosine, sine) for x in (query, key))
    mean = functional.scaled_dot_product_attention(
      *(x.transpose(1, 2) for x in (query, key, value)), attn_mask=mask
    )
    mean = mean.transpose(1, 2).flatten(2)
    means = mean.split([x.shape[1] for x in streams], dim=1)
    return [
      tower.finish(x, part)
      for tower, x, part in zip(self.towers, streams, means, strict=True)
    ]


class Mot(nn.Module):
  """Layers in a row, and a norm for each stream."""

  def __init__(self, shape: Shape, theta: float):
    super().__init__()
    self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.depth)])
    self.norms = nn.ModuleList(
      [nn.RMSNorm(shape.width, eps=1e-5) for _ in range(2)]
    )
    head = shape.width // shape.heads
    self.frequency = theta ** (-torch.arange(0, head, 2) / head)

  def forward(self, streams, mask, places):
    """Text and video after all layers; `places` are of the joined tokens."""
    angle = places[:, None] * self.frequency
    cosine, sine = angle.cos()[None, :, None], angle.sin()[None, :, None]
    for layer in self.layers:
      streams = layer(streams, mask, cosine, sine)
    return [norm(x) for norm, x in zip(self.norms, streams, strict=True)]


def _rotated(x, cosine, sine):
  a, b = x.chunk(2, dim=-1)
  return torch.cat([a * cosine - b * sine, b * cosine + a * sine], dim=-1)
