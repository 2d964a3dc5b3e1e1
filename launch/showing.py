"""Pictures of a run while it trains: stories it tells, film it gives back.

They are in `pictures/STEP.webp` of the workdir, always of the same starting
frames, or of the same clips, with the same randomness.
"""

import io
import pathlib
import time

from flax import nnx
import jax
import numpy as np
from PIL import Image
import tqdm

from launch import sheet
from launch import storyteller
from launch import vae_report
from tv2tv_jax import sharding
from tv2tv_jax.sample import telling
from tv2tv_jax.train import leader
from tv2tv_jax.train import loop
from tv2tv_jax.train import workdir as workdir_lib

FOLDER = 'pictures'
_STORIES = 4  # side by side
_SECONDS = 2.0  # of each
_PATIENCE = 60.0  # seconds of wall time after which none goes on
_FULL = 'RESOURCE_EXHAUSTED'  # There is no room beside what is trained.
_CLIPS = 4
_FRAMES = 7  # of a clip, side by side
_WIDE = 1280  # pixels: a smaller picture is enlarged


def stories(workdir: pathlib.Path) -> loop.Show:
  """Films a short story from some of the frames that the workdir keeps.

  On whatever devices the model lies, which all of them take part in.
  """

  def show(model: nnx.Module, step: int) -> None:
    try:
      rows = _told(workdir, model)
    except (ValueError, jax.errors.JaxRuntimeError) as error:
      if not isinstance(error, ValueError) and _FULL not in str(error):
        raise
      if sharding.leads():
        why = str(error).splitlines()[0]
        tqdm.tqdm.write(f'{workdir}: no pictures of step {step}: {why}')
      return
    _save(sheet.draw(rows), workdir, step)

  return show


def copies(workdir: pathlib.Path, held_out: np.ndarray) -> loop.Show:
  """Shows held-out clips, uint8 [B, T, Y, X, 3], above their copies."""
  clips = held_out[:_CLIPS]
  length = clips.shape[1]
  at = np.linspace(0, length - 1, min(_FRAMES, length)).round().astype(int)

  def show(model: nnx.Module, step: int) -> None:
    again = vae_report.copied(model.vae, [held_out])[:_CLIPS]
    pairs = zip(clips, again, strict=True)
    rows = [np.concatenate(film[at], 1) for pair in pairs for film in pair]
    picture = Image.fromarray(np.concatenate(rows))
    scale = max(1, _WIDE // picture.width)
    size = (scale * picture.width, scale * picture.height)
    _save(picture.resize(size, Image.NEAREST), workdir, step)

  return show


def _told(workdir: pathlib.Path, model: nnx.Module) -> list[sheet.Row]:
  """Stories as rows of a sheet; as far as there is time for them."""
  began = time.monotonic()
  told = storyteller.Storyteller(workdir, model=model)
  starts = storyteller.kept_starts(workdir)
  starts = starts[: min(_STORIES, told.engine.lanes)]
  tellings = [
    told.begin(start, start.prompt, seed) for seed, start in enumerate(starts)
  ]
  last: list[list[np.ndarray]] = [[] for _ in tellings]

  def emit(event: telling.Event) -> None:
    if isinstance(event, telling.Filmed):
      last[event.story].append(event.frames[-1])

  for _ in range(1, told.chunks_of(_SECONDS)):
    if leader.decides(time.monotonic() - began < _PATIENCE):
      tellings = told.teller.advance(tellings, None, emit)
  told.teller.wait()
  return [
    sheet.Row(
      start.prompt,
      [
        sheet.Shot(frame, told.time_of(number), [words])
        for number, (frame, words) in enumerate(
          zip(frames, told.words(each.roll), strict=True)
        )
      ],
    )
    for start, frames, each in zip(starts, last, tellings, strict=True)
  ]


def _save(picture: Image.Image, workdir: pathlib.Path, step: int) -> None:
  """Writes the file of a step, once."""
  if not sharding.leads():
    return
  folder = workdir / FOLDER
  folder.mkdir(exist_ok=True)
  buffer = io.BytesIO()
  picture.save(buffer, 'webp', quality=90)
  workdir_lib.write_whole(folder / f'{step:08d}.webp', buffer.getvalue())
