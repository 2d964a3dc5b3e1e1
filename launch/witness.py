"""The witnesses of obedience: trained, tested on real film, and questioned."""

from collections.abc import Sequence
import pathlib
from typing import Any, NamedTuple

from flax import nnx
import jax
import numpy as np

from data_pipelines import pipeline
from data_pipelines import records
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.evaluate import obedience
from tv2tv_jax.train import loop
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.vae import program
from tv2tv_jax.vae import vae as vae_lib

_BATCH = 48
_ENOUGH = 20  # windows of real film that make a ceiling
# Ends at whichever comes first; a busy machine gets a shorter, whole schedule.
TRAIN = loop.TrainConfig(
  steps=450,
  minutes=0.75,
  log_every=10,
  save_every=450,
  ema=0.98,
  optimizer=optimizer.OptimizerConfig(
    rate=2e-3, warmup=30, final=0.01, beta2=0.98, weight_decay=0.05
  ),
)


class Footage(NamedTuple):
  """Held-out takes of one length, and the VAE's copies of them."""

  frames: np.ndarray  # uint8 [B, T, Y, X, 3]
  copies: np.ndarray | None  # None where no VAE is at hand
  held: np.ndarray  # uint8 [B, T, K]
  names: tuple[str, ...]  # of the columns of `held`
  prompts: tuple[str, ...]
  rate: float


def footage(path: str, vae: vae_lib.Vae) -> Footage:
  """The test split of a recording, as far as takes have its usual length."""
  takes = list(records.Takes(path, 'test'))
  length = max(take.frame_count for take in takes)
  takes = [take for take in takes if take.frame_count == length]
  frames = np.stack([take.frames() for take in takes])
  return Footage(
    frames,
    copied(vae, frames),
    np.stack([take.controls for take in takes]),
    takes[0].control_names,
    tuple(take.prompt for take in takes),
    takes[0].rate,
  )


def copied(vae: vae_lib.Vae, frames: np.ndarray) -> np.ndarray:
  """Films as the VAE gives them back, uint8 [B, T, Y, X, 3]."""
  again = jax.jit(lambda vae, some: vae.reconstruct(train_vae.pixels(some)))
  return np.concatenate(
    [program.to_uint8(again(vae, one[None])) for one in frames]
  )


def train(
  path: str,
  vae: vae_lib.Vae,
  workdir: pathlib.Path,
  config: loop.TrainConfig = TRAIN,
) -> inverse_dynamics.InverseDynamics:
  """The inverse dynamics model of a recording; at once if it is trained."""
  chunk = vae.config.stride[0]
  take = records.Takes(path, 'train')[0]
  shape = inverse_dynamics.InverseDynamicsConfig(
    chunk_frames=chunk, height=take.height, width=take.width
  )

  def loss(model, batch, key, _):
    return inverse_dynamics.loss(
      model, batch, key, names=take.control_names, copy=vae.reconstruct
    )

  state = loop.train(
    lambda key: inverse_dynamics.InverseDynamics(shape, rngs=nnx.Rngs(key)),
    loss,
    pipeline.clips(
      path,
      'train',
      frames=chunk + 1,
      batch=_BATCH,
      seed=0,
      with_controls=True,
    ),
    config,
    workdir,
  )
  return state.ema


def tested(
  model: inverse_dynamics.InverseDynamics, film: Footage
) -> dict[str, Any]:
  """Accuracy and confusion of each recorded head on real film and copies."""
  truth = controls.answers(film.held, film.names, model.config.chunk_frames)
  truth = truth.reshape(-1, truth.shape[-1])
  heads: dict[str, dict[str, Any]] = {
    head.name: {'classes': list(head.classes)}
    for head in controls.recorded(film.names)
  }
  for kind, frames in (('real', film.frames), ('copies', film.copies)):
    if frames is None:
      continue
    beliefs = _beliefs(model, frames)
    confusion = controls.confusion(beliefs, truth)
    for place, head in enumerate(controls.HEADS):
      if head.name in heads:
        counts = confusion[head.name]
        said = controls.calibration(beliefs[head.name], truth[:, place])
        heads[head.name][kind] = {
          'accuracy': controls.accuracy(counts),
          'calibration_error': said.error,
          'counts': counts.tolist(),
        }
  return {'chunks': len(truth), 'heads': heads}


def seen(
  model: inverse_dynamics.InverseDynamics, films: np.ndarray
) -> obedience.Window:
  """What the witnesses see of films that are windows: 1 + n chunks."""
  chunk = model.config.chunk_frames
  count = (films.shape[1] - 1) // chunk
  beliefs = {
    name: each.reshape(len(films), count, -1)
    for name, each in _beliefs(model, films).items()
  }
  return obedience.Window(beliefs, obedience.travelled(films))


class Real(NamedTuple):
  """Windows of real film in which an instruction held, and others.

  Attributes:
    chunks: of a window.
    told: what was seen while it held.
    forward: what was seen while the player moved forward, and did not attack.
    free: what the inverse dynamics model saw while it did not hold in any
      chunk.
  """

  chunks: int
  told: obedience.Window
  forward: obedience.Window
  free: obedience.Beliefs


def real_windows(
  model: inverse_dynamics.InverseDynamics,
  film: Footage,
  chunks: int,
  words: Sequence[str] = obedience.INSTRUCTIONS,
) -> dict[str, Real]:
  """What the witnesses see of real film in which each of some words held.

  Where windows of `chunks` are rarer than `_ENOUGH`, shorter ones are taken,
  which are harder to read.
  """
  truth = controls.answers(film.held, film.names, model.config.chunk_frames)
  beliefs = {
    name: each.reshape(*truth.shape[:2], -1)
    for name, each in _beliefs(model, film.frames).items()
  }

  def windows(word, length, without=''):
    return [
      (take, int(start))
      for take, answers in enumerate(truth)
      for start in obedience.steady_windows(answers, length, word, without)
    ]

  def free(word, length):
    places = [
      (take, int(start) + np.arange(length))
      for take, answers in enumerate(truth)
      for start in obedience.free_windows(answers, length, word)
    ]
    return {
      name: np.array([each[place] for place in places]).reshape(
        len(places), length, each.shape[-1]
      )
      for name, each in beliefs.items()
    }

  found = {}
  for word in words:
    length = chunks
    while length > 1 and len(windows(word, length)) < _ENOUGH:
      length -= 1
    forward = windows(obedience.REFERENCE, length, 'attack')
    found[word] = Real(
      length,
      _seen_at(model, film, windows(word, length), length),
      _seen_at(model, film, forward, length),
      free(word, length),
    )
  return found


def _seen_at(
  model: inverse_dynamics.InverseDynamics,
  film: Footage,
  windows: list[tuple[int, int]],
  chunks: int,
) -> obedience.Window:
  """What the witnesses see of windows, given by take and first chunk."""
  if not windows:
    empty = {
      h.name: np.zeros((0, chunks, len(h.classes))) for h in controls.HEADS
    }
    return obedience.Window(empty, np.zeros(0))
  step = model.config.chunk_frames
  films = [
    film.frames[take, step * start : step * (start + chunks) + 1]
    for take, start in windows
  ]
  return seen(model, np.stack(films))


def _beliefs(
  model: inverse_dynamics.InverseDynamics, films: np.ndarray
) -> dict[str, np.ndarray]:
  """Log-probabilities per head of every chunk of films, in order."""
  chunks = controls.chunks(films, model.config.chunk_frames)
  return inverse_dynamics.read(model, chunks.reshape(-1, *chunks.shape[2:]))
