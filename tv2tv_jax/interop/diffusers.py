"""A VAE's folder as diffusers writes it: config.json, tensors, statistics."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import math
import pathlib
from typing import Any, NamedTuple

from flax import nnx
import jax
import numpy as np

from tv2tv_jax.interop import fields
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import safetensors
from tv2tv_jax.vae import latents
from tv2tv_jax.vae import vae as vae_lib

STEM = 'diffusion_pytorch_model'  # Of the names of its files.
_PART = 16 << 20  # Numbers that are written together, unless a leaf has more.
_STATISTICS = ('latents_mean', 'latents_std')


class Inner(NamedTuple):
  """A part of a layer there.

  Attributes:
    source: its name there.
    axes: of its kernel or scale, there and here (see leaf.py).
    part: which part of the rows there it is, and of how many.
  """

  source: str
  axes: str
  part: tuple[int, int] = (0, 1)


class Layer(NamedTuple):
  """A layer there and here.

  Attributes:
    source: its name there.
    name: its name here.
    inside: its parts, by their names here; '' is the layer itself.
  """

  source: str
  name: str
  inside: Mapping[str, Inner]


class VaeModel(NamedTuple):
  """What a config.json tells of.

  Attributes:
    config: the VAE.
    statistics: of its latents; None where there are none.
  """

  config: vae_lib.VaeConfig
  statistics: latents.LatentStatistics | None


def values(
  folder: pathlib.Path, name: str, defaults: Mapping[str, Any]
) -> dict[str, Any]:
  """The fields of the config.json of a VAE called `name`.

  Raises:
    ValueError: no folder, no config.json, or one of another architecture.
  """
  found = fields.of(folder)
  if found.get('_class_name') != name:
    fields.refuse(
      folder,
      [
        f'_class_name is {found.get("_class_name")!r}: a folder of another '
        f'architecture; read is {name!r}'
      ],
    )
  return {**defaults, **found}


def other_channels(values: Mapping[str, Any]) -> Iterator[str]:
  """A line where frames do not come out as they went in."""
  first, last = values['in_channels'], values['out_channels']
  if first != last:
    yield (
      f'in_channels is {first!r}, out_channels is {last!r}; supported are '
      'equal ones'
    )


def foreign_statistics(
  values: Mapping[str, Any], channels: Any, *, strict: bool
) -> Iterator[str]:
  """What keeps statistics from being those of latents, a line each.

  Args:
    values: the fields.
    channels: of a latent.
    strict: whether there is one number for each channel, and no other way; else
      each latent of a clip may have its own, or there may be none at all.
  """
  if not fields.is_size(channels):
    return  # There is a line for that.
  mean, std = (values.get(name, ()) for name in _STATISTICS)
  if mean is None and std is None and not strict:
    return
  wrong = []
  for name in _STATISTICS:
    wrong += _not_numbers(name, values, channels, strict)
  yield from wrong
  if wrong:
    return
  if len(mean) != len(std):
    yield f'latents_mean has {len(mean)} numbers, latents_std {len(std)}'
  low = [value for value in std if value <= 0]
  if low:
    yield f'latents_std has {low[0]!r}, which is not positive'


def _not_numbers(
  name: str, values: Mapping[str, Any], channels: int, strict: bool
) -> Iterator[str]:
  """A line where it is no list of numbers, as many as there may be."""
  if name not in values:
    yield f'{name} is missing' + ('' if strict else '; null says: none')
    return
  value = values[name]
  if not isinstance(value, list):
    yield f'{name} is {value!r}, not a list of numbers'
    return
  bad = [each for each in value if not _is_number(each)]
  if bad:
    yield f'{name} has {bad[0]!r}, which is no finite number'
  if strict and len(value) != channels:
    yield f'{name} has {len(value)} numbers, not one for each of {channels}'
  elif not value or len(value) % channels:
    yield (
      f'{name} has {len(value)} numbers, no multiple of the {channels} channels'
    )


def _is_number(value: Any) -> bool:
  """Whether it is a finite number."""
  return type(value) in (int, float) and math.isfinite(value)


def model(
  folder: pathlib.Path,
  values: Mapping[str, Any],
  make: Callable[[], vae_lib.VaeConfig],
) -> VaeModel:
  """The VAE that `make` makes of `values`, with the statistics among them.

  Raises:
    ValueError: there is no such VAE.
  """
  try:
    config = make()
  except ValueError as error:
    raise ValueError(f'{folder / fields.NAME}: {error}') from None
  return VaeModel(config, _statistics(values, config.latent_channels))


def _statistics(
  values: Mapping[str, Any], channels: int
) -> latents.LatentStatistics | None:
  """Those of each channel, over all the latents that have their own.

  A field lists them channel by channel, latent by latent. The variance of a
  channel is the mean of its variances, and the variance of its means.
  """
  lists = [values[name] for name in _STATISTICS]
  if lists[0] is None:
    return None
  means, stds = (np.reshape(each, (channels, -1)) for each in lists)
  variance = np.square(stds).mean(1) + means.var(1)
  return latents.LatentStatistics(
    means.mean(1).astype(np.float32), np.sqrt(variance).astype(np.float32)
  )


def head(
  side: str, norm: Mapping[str, Inner], conv: Mapping[str, Inner]
) -> Iterator[Layer]:
  """What comes last in the encoder, or the decoder."""
  yield Layer(f'{side}.norm_out', f'{side}.head.norm', norm)
  yield Layer(f'{side}.conv_out', f'{side}.head.conv', conv)


def source(
  folder: pathlib.Path,
  model: VaeModel,
  layers: Iterable[Layer],
  parameters: Mapping[str, str],
) -> leaf_lib.Source:
  """All that the folder holds; no data is read.

  Args:
    folder: has the tensors.
    model: what its config.json tells of.
    layers: of the encoder and the decoder; one that the model lacks is none.
    parameters: names of kernel, bias and scale there, by ours.

  Raises:
    ValueError: it does not hold that model, or not all of it, or more.
  """
  tensors = safetensors.tensors(folder, STEM)
  parts = _parts(leaves(model.config, layers, parameters))
  leaf_lib.check(folder, parts, tensors)
  return leaf_lib.Source(model, parts, tensors, {})


def leaves(
  config: vae_lib.VaeConfig,
  layers: Iterable[Layer],
  parameters: Mapping[str, str],
) -> Iterator[leaf_lib.Leaf]:
  """The parameters of a VAE, layer by layer; see `source`."""
  model = jax.eval_shape(lambda: vae_lib.Vae(config, rngs=nnx.Rngs(0)))
  shapes = leaf_lib.shapes(model)
  for layer in layers:
    yield from _leaves(layer, parameters, shapes)


def written(
  name: str,
  values: Mapping[str, Any],
  statistics: latents.LatentStatistics,
) -> dict[str, Any]:
  """The config.json of a VAE called `name`, with its statistics."""
  lists = ([float(x) for x in each] for each in statistics)
  return {
    '_class_name': name,
    **values,
    **dict(zip(_STATISTICS, lists, strict=True)),
  }


def _leaves(
  layer: Layer,
  parameters: Mapping[str, str],
  shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[leaf_lib.Leaf]:
  """Those of a layer's parameters that the model has."""
  for place, inner in layer.inside.items():
    for ours, theirs in parameters.items():
      name = _joined(layer.name, place, ours)
      if name in shapes:
        yield leaf_lib.Leaf(
          _joined(layer.source, inner.source, theirs),
          name,
          'D->D' if ours == 'bias' else inner.axes,
          shapes[name],
          inner.part,
        )


def _parts(leaves: Iterable[leaf_lib.Leaf]) -> list[list[leaf_lib.Leaf]]:
  """Leaves in the parts in which they are written."""
  parts, room = [], 0
  for leaf in leaves:
    size = math.prod(leaf.shape)
    if size > room:
      parts.append([])
      room = _PART
    parts[-1].append(leaf)
    room -= size
  return parts


def _joined(*names: str) -> str:
  """`a.b.c`, without what is empty."""
  return '.'.join(filter(None, names))
