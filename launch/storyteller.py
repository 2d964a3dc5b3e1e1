"""A trained workdir, ready to tell stories: frames and text in and out."""

from collections.abc import Sequence
import dataclasses
import io
import pathlib
from typing import NamedTuple

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Float, UInt8
import numpy as np

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import tokenize
from tv2tv_jax.evaluate import pictures
from tv2tv_jax.sample import rollout
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import stream as stream_lib

STARTS = 'starts.npz'
_KEPT = 16  # starting frames that a workdir keeps
_PIECE = 8  # latents that the VAE decodes at once: films stream through it


class Start(NamedTuple):
  """How a story may begin: a frame, uint8 [Y, X, 3], and its prompt."""

  frame: np.ndarray
  prompt: str


class Say(NamedTuple):
  """An instruction: words written for the model, from a time on.

  Attributes:
    time: seconds into the story.
    text: the words.
    hold: seconds for which they are restated before every chunk, as the
      recorded controls are, and the model writes none of its own.
  """

  time: float
  text: str
  hold: float


def keep_starts(
  path: pathlib.Path, latents: str, vae_workdir: pathlib.Path
) -> None:
  """Writes starting frames of held-out clips, as the VAE shows them.

  They are spread evenly over the test split, not chosen by look.
  """
  clips = latents_data.Clips(latents, 'test')
  some = np.linspace(0, len(clips) - 1, min(_KEPT, len(clips)))
  chosen = [clips[int(index)] for index in some.round()]
  film = _Film(vae_workdir, piece=1)
  frames = film.decode(np.stack([clip.latents[:1] for clip in chosen]))[:, 0]
  buffer = io.BytesIO()
  prompts = [clip.prompt for clip in chosen]
  np.savez_compressed(buffer, frames=frames, prompts=prompts)
  workdir_lib.write_whole(path, buffer.getvalue())


def kept_start(workdir: pathlib.Path, number: int) -> Start:
  """A starting frame that the workdir keeps.

  Raises:
    ValueError: none is kept, or not so many.
  """
  path = workdir / STARTS
  if not path.exists():
    raise ValueError(f'{path}: not there; is {workdir} of launch.train?')
  with np.load(path) as kept:
    frames, prompts = kept['frames'], kept['prompts']
  if number >= len(frames):
    raise ValueError(
      f'{path} keeps {len(frames)} starting frames: no number {number}'
    )
  return Start(frames[number], str(prompts[number]))


class Storyteller:
  """Model, VAE and tokenizer of a workdir."""

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    model: model_lib.Tv2tv | None = None,
    **changes,
  ):
    """Loads a workdir of `launch.train`.

    Args:
      workdir: of a run; with at least one checkpoint, unless a model is given.
      model: what tells the stories; None: the average of the newest checkpoint.
      **changes: fields of its `SampleConfig` to set; None leaves them.

    Raises:
      ValueError: no workdir, no checkpoint, or a model that plans ahead.
    """
    run = workdir_lib.read(workdir, schema.StoryRun)
    if run.data.layout == 'think2v':
      raise ValueError(
        f'{workdir}: trained with config.data.layout = think2v, whose plans '
        'cannot be filmed yet; train with tv2tv or t2v'
      )
    if model is None:
      model = checkpoint.restore_model(
        workdir, lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key))
      )
    self._film = _Film(workdir / 'vae', piece=_PIECE)
    metadata = latents_data.read_metadata(workdir)
    self.rate, self.step = metadata.rate, metadata.chunk_frames
    self.size = tuple(
      n * s
      for n, s in zip(
        (run.model.frames.rows, run.model.frames.columns),
        self._film.stride[1:],
        strict=True,
      )
    )
    self.tokenizer = tokenize.load(workdir)
    given = {k: v for k, v in changes.items() if v is not None}
    config = dataclasses.replace(run.sample, **given)
    self.settings = dataclasses.asdict(config)
    self.director = rollout.Director(model, self.tokenizer, config)

  def chunk_at(self, seconds: float) -> int:
    """The filmed chunk whose beginning is nearest to a time; the first is 1."""
    return max(1, 1 + round((seconds * self.rate - 1) / self.step))

  def time_of(self, number: int) -> float:
    """Seconds into the story at which a chunk begins."""
    return (1 + (number - 1) * self.step) / self.rate if number else 0.0

  def chunks_of(self, seconds: float) -> int:
    """Chunks, with the starting frame's, of a story of so many seconds."""
    return 1 + max(1, round((seconds * self.rate - 1) / self.step))

  def begin(
    self,
    frames: UInt8[np.ndarray, 'B Y X 3'],
    prompts: Sequence[str],
    seeds: Sequence[int],
  ) -> rollout.Roll:
    """Stories with a starting frame and a prompt each.

    Raises:
      ValueError: frames of another size, a prompt over its budget.
    """
    if frames.shape[1:3] != self.size:
      (y, x), (rows, columns) = frames.shape[1:3], self.size
      raise ValueError(
        f'a starting frame of {x}x{y}: this model films {columns}x{rows}; '
        'scale or crop it'
      )
    return self.director.begin(
      jnp.asarray(self._film.encode(frames[:, None])[:, 0]),
      [self.tokenizer.encode(prompt) for prompt in prompts],
      seeds,
    )

  def tell(self, roll: rollout.Roll, chunks: int, **kwargs) -> rollout.Roll:
    """The story told on until it has so many chunks; see `rollout.roll_out`."""
    return rollout.roll_out(self.director, roll, chunks, **kwargs)

  def forced(self, says: Sequence[Say], number: int) -> tuple[int, ...] | None:
    """Words that instructions put before a chunk, or None: it is free.

    Where two hold at once, the later one does.
    """
    for say in sorted(says, key=lambda say: -say.time):
      first = self.chunk_at(say.time)
      if (
        first
        <= number
        < first + max(1, round(say.hold * self.rate / self.step))
      ):
        return tuple(self.tokenizer.encode(say.text))
    return None

  def frames(self, roll: rollout.Roll) -> UInt8[np.ndarray, 'B T Y X 3']:
    """All pictures of the stories, the starting frame first."""
    return self._film.decode(np.stack(roll.latents, axis=1))

  def words(self, roll: rollout.Roll) -> list[list[str]]:
    """The words before each chunk, for each story."""
    return [
      [self.tokenizer.decode(words) for words in row] for row in roll.words
    ]


class _Film:
  """Film to normalised latents and back, in memory for a piece of it."""

  def __init__(self, folder: pathlib.Path, *, piece: int):
    self._statistics, _ = latents_lib.load(folder / 'latents.json')
    vae = vae_folder.restored(folder)
    self.stride = vae.config.stride
    self._stream = stream_lib.Stream(vae, piece=piece)

  def encode(
    self, frames: UInt8[np.ndarray, 'B T Y X 3']
  ) -> Float[np.ndarray, 'B N V U Z']:
    """Normalised latents."""
    return latents_lib.normalise(self._stream.means(frames), self._statistics)

  def decode(
    self, latents: Float[np.ndarray, 'B N V U Z']
  ) -> UInt8[np.ndarray, 'B T Y X 3']:
    """Pictures."""
    latents = latents_lib.restore(latents, self._statistics)
    parts = self._stream.decode([latents])
    return np.concatenate(list(map(pictures.to_uint8, parts)), axis=1)
