"""What a trained VAE leaves behind: statistics, pictures, figures."""

from collections.abc import Callable, Iterable
import functools
import json
import pathlib
import time
from typing import Any

import jax
import numpy as np
from PIL import Image

from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.evaluate import pictures
from tv2tv_jax.nn import conv
from tv2tv_jax.train import leader
from tv2tv_jax.train import metrics
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import vae as vae_lib

NAME = 'report.json'
_SHEET_CLIPS = 16  # of the contact sheet, in two rows
_SSIM_PIXELS = 2**22  # in all, which take some seconds


def copied(model: vae_lib.Vae, clips: Iterable[np.ndarray]) -> np.ndarray:
  """Batches of clips as the VAE gives them back, uint8 [B, T, Y, X, 3].

  All processes have the same clips, and get all of them back.
  """
  copy, _ = _programs()
  return np.concatenate([_shared(copy, model, batch) for batch in clips])


def decibels(again: np.ndarray, held_out: list[np.ndarray]) -> dict[str, float]:
  """Mean PSNR of all frames, and of each place in the clip, for metrics."""
  places = pictures.psnr_over_time(again, np.concatenate(held_out))
  each = {f'psnr_{at:02d}': float(value) for at, value in enumerate(places)}
  return {'psnr': float(places.mean()), **each}


def write(
  run: train_vae.VaeRun,
  state: state_lib.TrainState,
  held_out: list[np.ndarray],
  train: Iterable[np.ndarray],
  workdir: pathlib.Path,
) -> None:
  """Statistics of the latents of `train`, contact sheet, report."""
  began = time.monotonic()
  model, (_, encode) = _whole(state.ema.vae), _programs()
  moments = latents_lib.no_moments(run.vae.latent_channels)
  for clips in train:
    moments = latents_lib.add(moments, _shared(encode, model, clips))
  fingerprint = latents_lib.fingerprint(model, config_lib.to_json(run.vae))
  clips, again = np.concatenate(held_out), copied(model, held_out)

  def leave() -> None:
    latents_lib.save(
      workdir / 'latents.json', latents_lib.statistics(moments), fingerprint
    )
    _sheet(clips, again, workdir / 'reconstructions.png')
    records = metrics.read(workdir / 'metrics.jsonl')
    report = {
      **_figures(again, clips),
      'steps': int(state.step),
      'seconds': max(each.get('seconds', 0.0) for each in records),
      'seconds_statistics': time.monotonic() - began,
      'fingerprint': fingerprint,
    }
    workdir_lib.write_whole(workdir / NAME, json.dumps(report, indent=2) + '\n')

  leader.does(leave)


def _shared(
  program: Callable, model: vae_lib.Vae, clips: np.ndarray
) -> np.ndarray:
  """What a program makes of clips that all processes have, on all of them."""
  # Some more of the last one, so that devices share them evenly.
  short = -len(clips) % sharding.devices_along('batch')
  full = np.concatenate([clips, np.repeat(clips[-1:], short, axis=0)])
  rows = sharding.rows_here(len(full))
  made = program(model, sharding.put_batch(full[rows.start : rows.stop]))
  return jax.device_get(made)[: len(clips)]


@jax.jit
def _whole(model: vae_lib.Vae) -> vae_lib.Vae:
  """A VAE, which is small, on every device."""
  return jax.tree.map(sharding.place, model)


@functools.cache
def _programs() -> tuple[Callable, Callable]:
  """`(model, clips)` to clips as the VAE gives them back; to mean latents."""

  def copy(model, clips):
    again = model.reconstruct(train_vae.pixels(clips))
    return sharding.place(train_vae.pictures_of(again))

  def encode(model, clips):
    return sharding.place(model.encode(train_vae.pixels(clips))[0].mean)

  options = conv.compiler_options()
  return tuple(
    jax.jit(each, compiler_options=options) for each in (copy, encode)
  )


def _figures(again: np.ndarray, clips: np.ndarray) -> dict[str, Any]:
  """PSNR of all held-out clips and SSIM of some, by place in the clip."""
  count = max(1, min(len(clips), _SSIM_PIXELS // (clips[0].size // 3)))
  some = np.linspace(0, len(clips) - 1, count).astype(int)
  figures = {'held_out_clips': len(clips), 'ssim_clips': count}
  for name, values in (
    ('psnr', pictures.psnr(again, clips)),
    ('ssim', pictures.ssim(again[some], clips[some])),
  ):
    figures[name] = float(values.mean())
    figures[f'{name}_per_frame'] = [float(each) for each in values.mean(0)]
  return figures


def _sheet(clips: np.ndarray, again: np.ndarray, path: pathlib.Path) -> None:
  """The middle frames of some clips above their reconstructions, enlarged."""
  chosen = np.linspace(0, len(clips) - 1, _SHEET_CLIPS).astype(int)
  middle = clips.shape[1] // 2
  rows = []
  for half in np.split(chosen, 2):
    rows += [np.concatenate(each[half, middle], 1) for each in (clips, again)]
  sheet = Image.fromarray(np.concatenate(rows))
  sheet = sheet.resize((3 * sheet.width, 3 * sheet.height), Image.NEAREST)
  partial = path.with_name(f'.partial.{path.name}')
  sheet.save(partial)
  partial.replace(path)
