"""A trained workdir, ready to tell stories: frames and text in and out."""

import dataclasses
import hashlib
import io
import pathlib
from typing import NamedTuple
import unicodedata

from flax import nnx
import jax
import numpy as np

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import tokenize
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling as telling_lib
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import digest
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib

STARTS = 'starts.npz'
_KEPT = 16  # starting frames that a workdir keeps


class Start(NamedTuple):
  """How a story may begin.

  Attributes:
    frames: uint8 [T, Y, X, 3]: one, or a clip of 1 + 4n.
    prompt: what the story is about.
  """

  frames: np.ndarray
  prompt: str


class Say(NamedTuple):
  """An instruction: words written for the model, from a time on.

  In layout t2v they follow the prompt for as long as they hold.

  Attributes:
    time: seconds into the story.
    text: the words; '': the model says nothing.
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
  film = _film(vae_workdir)
  frames = [film.shown(clip.latents[0].astype('f4'))[0] for clip in chosen]
  buffer = io.BytesIO()
  prompts = [clip.prompt for clip in chosen]
  np.savez_compressed(buffer, frames=np.concatenate(frames), prompts=prompts)
  workdir_lib.write_whole(path, buffer.getvalue())


def kept_start(workdir: pathlib.Path, number: int) -> Start:
  """A starting frame that the workdir keeps.

  Raises:
    ValueError: none is kept, or not so many.
  """
  starts = kept_starts(workdir)
  if number >= len(starts):
    raise ValueError(
      f'{workdir / STARTS} keeps {len(starts)} starting frames: no number '
      f'{number}'
    )
  return starts[number]


def kept_starts(workdir: pathlib.Path) -> list[Start]:
  """All starting frames that a workdir keeps; ValueError if it has no file."""
  path = workdir / STARTS
  if not path.exists():
    raise ValueError(f'{path}: not there; is {workdir} of launch.train?')
  with np.load(path) as kept:
    pairs = zip(kept['frames'], kept['prompts'], strict=True)
    return [Start(frame[None], str(prompt)) for frame, prompt in pairs]


class Storyteller:
  """Model, VAE and tokenizer of a workdir: text and times, words and frames.

  Under a mesh the model lies on its devices, the VAE on one of each process;
  there are as many lanes as devices can share out, a few more if need be. Where
  there are several processes, all of them tell the same story.

  Attributes:
    teller: tells the stories.
    tokenizer: of the words.
    layout: where the words of a story are.
    config: how stories are told.
    rate: frames a second.
    step: frames of a chunk.
    size: rows and columns of a picture.
    mesh: devices along each axis of the mesh; None: there is one device.
    checkpoint: `step` and `fingerprint` of the weights, and what names their
      `config`, `vae` and `tokenizer`.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    model: model_lib.Tv2tv | None = None,
    layout: story_lib.Layout | None = None,
    **changes,
  ):
    """Loads a workdir of `launch.train`.

    Args:
      workdir: of a run; with at least one checkpoint, unless a model is given.
      model: what tells the stories; None: the average of the newest checkpoint.
      layout: where words are; None: where the model has learned to have them.
      **changes: fields of its `SampleConfig` to set; None leaves them.

    Raises:
      ValueError: no workdir, no checkpoint, no VAE in it, a field out of range.
    """
    run = workdir_lib.read(workdir, schema.StoryRun)
    given = {k: v for k, v in changes.items() if v is not None}
    config = dataclasses.replace(run.sample, **given)
    settings_lib.check(config)
    self.config = settings_lib.shared_out(config)
    self.layout = layout or run.data.layout
    mesh = jax.sharding.get_abstract_mesh()
    self.mesh = [*mesh.axis_sizes] if mesh.size > 1 else None
    step = None
    if model is None:
      step = checkpoint.newest(workdir)
      model = checkpoint.restore_model(
        workdir, lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key))
      )
    _, vae = latents_lib.load(workdir / 'vae' / vae_folder.LATENTS)
    shape = config_lib.to_json(run.model).encode()
    self.checkpoint = {
      'step': step,
      'fingerprint': _fingerprint(model),
      'config': hashlib.sha256(shape).hexdigest()[:16],
      'vae': vae,
      'tokenizer': tokenize.fingerprint(workdir),
    }
    film = _film(workdir / 'vae')
    metadata = latents_data.read_metadata(workdir)
    self.rate, self.step = metadata.rate, metadata.chunk_frames
    self.size = tuple(
      n * s
      for n, s in zip(
        (run.model.frames.rows, run.model.frames.columns),
        film.stride[1:],
        strict=True,
      )
    )
    self.tokenizer = tokenize.load(workdir)
    engine = rollout.Engine(model, self.tokenizer, self.config, self.layout)
    self.teller = telling_lib.Teller(engine, film)

  @property
  def engine(self) -> rollout.Engine:
    """What writes and films."""
    return self.teller.engine

  def chunk_at(self, seconds: float) -> int:
    """The filmed chunk whose beginning is nearest to a time; the first is 1."""
    return max(1, 1 + round((seconds * self.rate - 1) / self.step))

  def time_of(self, number: int) -> float:
    """Seconds into the story at which a chunk begins."""
    return (1 + (number - 1) * self.step) / self.rate if number else 0.0

  def chunks_of(self, seconds: float) -> int:
    """Chunks, with the starting frame's, of a story of so many seconds."""
    return 1 + max(1, round((seconds * self.rate - 1) / self.step))

  def encode(self, text: str, what: str = 'words') -> tuple[int, ...]:
    """The tokens of a text that a person wrote.

    Args:
      text: the text.
      what: what it is, for the error.

    Raises:
      ValueError: characters that are no text.
    """
    for character in text:
      if unicodedata.category(character) in ('Cc', 'Cs', 'Co', 'Cn'):
        raise ValueError(
          f'{what}: {text[:40]!r} has the character {character!r}: give text'
        )
    return tuple(self.tokenizer.encode(text))

  def begin(
    self,
    start: Start,
    prompt: str,
    seed: int,
    settings: settings_lib.Settings | None = None,
  ) -> telling_lib.Telling:
    """A story with a start and a prompt; None: the settings of `config`.

    Raises:
      ValueError: frames of another size, a prompt over its budget or with
        characters that are no text, settings out of range.
    """
    if start.frames.shape[1:3] != self.size:
      (y, x), (rows, columns) = start.frames.shape[1:3], self.size
      raise ValueError(
        f'a starting frame of {x}x{y}: this model films {columns}x{rows}; '
        'scale or crop it'
      )
    tokens = self.encode(prompt, 'prompt')
    return self.teller.begin(start.frames, tokens, seed, settings)

  def words(self, roll: roll_lib.Roll) -> list[str]:
    """The words before each chunk."""
    return [self.tokenizer.decode(words) for words in roll.words]


def _film(folder: pathlib.Path) -> film_lib.Film:
  """The VAE of a folder, with the statistics of its latents."""
  statistics, _ = latents_lib.load(folder / vae_folder.LATENTS)
  with sharding.alone():
    return film_lib.Film(vae_folder.restored(folder), statistics)


def _fingerprint(model: model_lib.Tv2tv) -> str:
  """Names weights by all their numbers."""
  numbers = digest.digests(checkpoint.named(model))
  return hashlib.sha256(repr(sorted(numbers.items())).encode()).hexdigest()[:16]
