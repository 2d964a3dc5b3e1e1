"""How fast each part of the model learns.

  lesson = objective.lesson(run.objective, run.rates, plan=plan)

A part whose rate is 0 is frozen: it has neither gradients nor moments.
"""

import dataclasses
from typing import Any, Literal

from flax import nnx
import jax
from jaxtyping import Array, Float

Part = Literal['text', 'video', 'frames']


@dataclasses.dataclass(frozen=True, kw_only=True)
class TowerRates:
  """Factors of the learning rate (choice; the paper trains all parts alike).

  Attributes:
    text: of the text tower, the embedding and the words' output layer; 0, as
      in LMFusion, keeps a pretrained language model as it is.
    video: of the video tower.
    frames: of the frame coder.
  """

  text: float = 1.0
  video: float = 1.0
  frames: float = 1.0

  def __post_init__(self):
    for name, rate in dataclasses.asdict(self).items():
      if not 0 <= rate < float('inf'):
        raise ValueError(f'config.rates.{name} is {rate}: give 0 or more')


def parts(model: Any) -> Any:
  """A tree like a `Tv2tv`: the part that each leaf belongs to."""
  return jax.tree_util.tree_map_with_path(lambda path, _: _part(path), model)


def factors(
  model: nnx.Module,
  progress: Float[Array, ''] | float = 0.0,
  *,
  rates: TowerRates,
) -> Any:
  """A tree like the model: factors of the learning rate."""
  del progress
  return jax.tree.map(lambda part: getattr(rates, part), parts(model))


def frozen(model: nnx.Module, *, rates: TowerRates) -> Any:
  """A tree like the model: True where nothing moves.

  Raises:
    ValueError: everything is frozen.
  """
  if not any(dataclasses.astuple(rates)):
    raise ValueError('config.rates are all 0: nothing would be trained')
  return jax.tree.map(lambda part: not getattr(rates, part), parts(model))


def _part(path: Any) -> Part:
  """The part of a leaf, by its place in the model."""
  names = jax.tree_util.keystr(path, simple=True, separator='.').split('.')
  if 'frames' in names:
    return 'frames'
  return 'video' if {'video', 'video_norm'} & set(names) else 'text'
