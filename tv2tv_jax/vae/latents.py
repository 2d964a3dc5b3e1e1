"""Latents as the model sees them: each channel of mean 0 and deviation 1."""

import hashlib
import json
import os
import pathlib
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float
import numpy as np

AnyArray = Array | np.ndarray


class LatentStatistics(NamedTuple):
  """Mean and standard deviation of each latent channel over a train split."""

  mean: Float[np.ndarray, 'Z']
  std: Float[np.ndarray, 'Z']


class Moments(NamedTuple):
  """Running count, sum and sum of squares per channel, in float64."""

  count: int
  total: Float[np.ndarray, 'Z']
  squares: Float[np.ndarray, 'Z']


def no_moments(channels: int) -> Moments:
  """The moments of nothing."""
  return Moments(0, np.zeros(channels), np.zeros(channels))


def add(moments: Moments, latents: Float[np.ndarray, '... Z']) -> Moments:
  """The moments with more latents."""
  rows = np.asarray(latents, np.float64).reshape(-1, latents.shape[-1])
  return Moments(
    moments.count + len(rows),
    moments.total + rows.sum(0),
    moments.squares + np.square(rows).sum(0),
  )


def statistics(moments: Moments) -> LatentStatistics:
  """Mean and standard deviation.

  Raises:
    ValueError: no latents were added.
  """
  if not moments.count:
    raise ValueError('no latents to compute statistics of: add some first')
  mean = moments.total / moments.count
  variance = moments.squares / moments.count - np.square(mean)
  std = np.sqrt(np.maximum(variance, 1e-12))
  return LatentStatistics(mean.astype(np.float32), std.astype(np.float32))


def normalise(
  latents: Float[AnyArray, '... Z'], statistics: LatentStatistics
) -> Float[AnyArray, '... Z']:
  """Latents of the VAE as the model sees them."""
  return (latents - statistics.mean) / statistics.std


def restore(
  latents: Float[AnyArray, '... Z'], statistics: LatentStatistics
) -> Float[AnyArray, '... Z']:
  """The inverse of `normalise`."""
  return latents * statistics.std + statistics.mean


def fingerprint(model: Any, config_json: str) -> str:
  """Sixteen hex digits that name these parameters and this configuration.

  Latents carry it, so that latents of one VAE never meet another decoder.
  """
  digest = hashlib.sha256(config_json.encode())
  for path, leaf in jax.tree_util.tree_leaves_with_path(model):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.ascontiguousarray(np.asarray(leaf)).tobytes())
  return digest.hexdigest()[:16]


def save(
  path: str | os.PathLike[str],
  statistics: LatentStatistics,
  fingerprint: str,
) -> None:
  """Writes the statistics and the VAE's fingerprint as JSON."""
  path = pathlib.Path(path)
  values = {
    'fingerprint': fingerprint,
    'mean': [float(value) for value in statistics.mean],
    'std': [float(value) for value in statistics.std],
  }
  partial = path.with_name(path.name + '.partial')
  partial.write_text(json.dumps(values, indent=2) + '\n')
  os.replace(partial, path)


def load(path: str | os.PathLike[str]) -> tuple[LatentStatistics, str]:
  """The statistics and the fingerprint that `save` wrote.

  Raises:
    ValueError: the file is missing, cut short, or lacks a field.
  """
  path = pathlib.Path(path)
  try:
    values = json.loads(path.read_text())
    mean, std = (np.array(values[key], np.float32) for key in ('mean', 'std'))
    return LatentStatistics(mean, std), str(values['fingerprint'])
  except FileNotFoundError as error:
    raise ValueError(
      f'{path} does not exist: train the VAE to its end with '
      'launch.train_vae, which writes it last'
    ) from error
  except (KeyError, json.JSONDecodeError) as error:
    raise ValueError(
      f'{path} is damaged ({error!r}): run launch.train_vae again'
    ) from error
