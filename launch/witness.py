"""The witnesses of obedience: trained, tested on real film, and questioned."""

from collections.abc import Sequence
import pathlib
from typing import Any, NamedTuple

from flax import nnx
import jax
from jaxtyping import Float, Int
import numpy as np

from data_pipelines import pipeline
from data_pipelines import records
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.evaluate import motion
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


class Read(NamedTuple):
  """What the witnesses make of held-out takes of one length.

  Attributes:
    beliefs: of every chunk.
    shifts: pixels by which the scene moved right, from frame to frame.
    copies: beliefs of the VAE's copies; None where there are none.
    answers: the class of each head in each chunk, by what was held.
    names: of the controls that were recorded.
    chunk_frames: frames of a chunk.
  """

  beliefs: obedience.Beliefs  # [B, N, classes] each
  shifts: Float[np.ndarray, 'B S']
  copies: obedience.Beliefs | None
  answers: Int[np.ndarray, 'B N heads']
  names: tuple[str, ...]
  chunk_frames: int


def read(model: inverse_dynamics.InverseDynamics, film: Footage) -> Read:
  """Looks at footage."""
  chunk = model.config.chunk_frames
  return Read(
    _beliefs(model, film.frames),
    motion.shifts(film.frames),
    None if film.copies is None else _beliefs(model, film.copies),
    controls.answers(film.held, film.names, chunk),
    film.names,
    chunk,
  )


def tested(film: Read) -> dict[str, Any]:
  """Accuracy and confusion of each recorded head on real film and copies."""
  truth = film.answers.reshape(-1, film.answers.shape[-1])
  heads: dict[str, dict[str, Any]] = {
    head.name: {'classes': list(head.classes)}
    for head in controls.recorded(film.names)
  }
  for kind, takes in (('real', film.beliefs), ('copies', film.copies)):
    if takes is None:
      continue
    beliefs = {
      name: each.reshape(-1, each.shape[-1]) for name, each in takes.items()
    }
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
  return obedience.Window(_beliefs(model, films), obedience.travelled(films))


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
  film: Read,
  chunks: int,
  words: Sequence[str] = obedience.INSTRUCTIONS,
) -> dict[str, Real]:
  """What the witnesses see of real film in which each of some words held.

  Where windows of `chunks` are rarer than `_ENOUGH`, shorter ones are taken,
  which are harder to read.
  """

  def windows(word, length, without=''):
    return [
      (take, int(start))
      for take, answers in enumerate(film.answers)
      for start in obedience.steady_windows(answers, length, word, without)
    ]

  def free(word, length):
    return [
      (take, int(start))
      for take, answers in enumerate(film.answers)
      for start in obedience.free_windows(answers, length, word)
    ]

  found = {}
  for word in words:
    length = chunks
    while length > 1 and len(windows(word, length)) < _ENOUGH:
      length -= 1
    forward = windows(obedience.REFERENCE, length, 'attack')
    found[word] = Real(
      length,
      _at(film, windows(word, length), length),
      _at(film, forward, length),
      _at(film, free(word, length), length).beliefs,
    )
  return found


def _at(
  film: Read, windows: Sequence[tuple[int, int]], chunks: int
) -> obedience.Window:
  """What was seen in windows, given by take and first chunk."""
  takes, starts = np.array(windows, int).reshape(-1, 2).T[..., None]
  step = film.chunk_frames
  beliefs = {
    name: each[takes, starts + np.arange(chunks)]
    for name, each in film.beliefs.items()
  }
  shifts = film.shifts[takes, step * starts + np.arange(step * chunks)]
  return obedience.Window(beliefs, shifts.mean(axis=1))


def _beliefs(
  model: inverse_dynamics.InverseDynamics, films: np.ndarray
) -> obedience.Beliefs:
  """Log-probabilities per head of every chunk of films."""
  chunks = controls.chunks(films, model.config.chunk_frames)
  flat = inverse_dynamics.read(model, chunks.reshape(-1, *chunks.shape[2:]))
  return {
    name: each.reshape(*chunks.shape[:2], -1) for name, each in flat.items()
  }
