r"""Trains the causal VAE on recorded takes.

  python -m launch.train_vae --config configs/doom_vae.py --workdir DIR \
      --config.data.records=RECORDS

DIR gets checkpoints, `metrics.jsonl`, and at the end `latents.json` (mean and
deviation of each latent channel, and the name of this VAE),
`reconstructions.png` (held-out frames above their reconstructions) and
`report.json`. Run the command again to go on after an interruption; a finished
run is left as it is. Any field of the config can be set: `--config.a.b=v`.
"""

from collections.abc import Iterator
import json
import pathlib
import time

from absl import flags
from flax import nnx
import jax
from ml_collections import config_flags
import numpy as np
from PIL import Image

from data_pipelines import pipeline
from launch import clips as clips_lib
from launch import run as run_lib
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import loop
from tv2tv_jax.train import metrics
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import vae as vae_lib

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File of the configuration.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
flags.mark_flags_as_required(['config', 'workdir'])

_BATCH = 16  # clips at once, outside of training
_SHEET_CLIPS = 16  # of the contact sheet, in two rows


def main(_) -> None:
  """Trains, then measures."""
  run = config_lib.from_config_dict(train_vae.VaeRun, _CONFIG.value)
  workdir = pathlib.Path(_WORKDIR.value)
  if not run.data.records:
    raise ValueError(
      'config.data.records is empty: give the dataset that launch.record '
      'wrote, --config.data.records=DIR'
    )
  held_out = list(_clips(run, 'test', run.data.held_out))
  workdir_lib.claim(workdir, run)
  report_path = workdir / 'report.json'
  if not report_path.exists():
    state = loop.train(
      _init(run),
      lambda model, batch, key: train_vae.loss(
        model.vae, train_vae.pixels(batch['frames']), key, run.loss
      ),
      pipeline.clips(
        run.data.records,
        'train',
        frames=_length(run),
        batch=run.data.batch,
        seed=run.train.seed,
      ),
      run.train,
      workdir,
      evaluate=lambda model: _figures(_judged(model.vae, held_out)[0]),
    )
    _finish(run, state, held_out, workdir)
  report = json.loads(report_path.read_text())
  print(
    f'{workdir}: {report["psnr"]:.2f} dB on held-out clips after '
    f'{report["steps"]} steps in {report["seconds"]:.0f} s'
  )


def _length(run: train_vae.VaeRun) -> int:
  """Frames of a clip."""
  return 1 + run.vae.stride[0] * run.data.chunks


def _clips(
  run: train_vae.VaeRun, split: str, count: int
) -> Iterator[np.ndarray]:
  """Clips spread over a split, uint8 [B, T, Y, X, 3]."""
  for clips in clips_lib.sample(
    run.data.records, split, count=count, length=_length(run), batch=_BATCH
  ):
    yield clips.frames


def _init(run: train_vae.VaeRun):
  """Makes the VAE from a key, with the linear path started from the data."""
  start = None
  if getattr(run.vae, 'linear_path', False):
    stride = run.vae.stride[0]
    blocks = np.concatenate(
      [
        clips[:, 1 : 1 + stride]
        for clips in _clips(run, 'train', run.data.components)
      ]
    )
    start = vae_lib.components(run.vae, train_vae.pixels(blocks))

  def init(key: jax.Array) -> train_vae.Trainee:
    trainee = train_vae.Trainee(run, rngs=nnx.Rngs(key))
    if start:
      vae_lib.start_from_components(trainee.vae, start)
    return trainee

  return init


@jax.jit
def _judge(model: vae_lib.Vae, clips: jax.Array):
  """Decibels of each frame, and the reconstruction."""
  frames = train_vae.pixels(clips)
  again = model.reconstruct(frames)
  return train_vae.decibels(again, frames), train_vae.pictures_of(again)


def _judged(
  model: vae_lib.Vae, batches: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
  """Decibels [B, T] and reconstructions [B, T, Y, X, 3] of held-out clips."""
  done = [_judge(model, sharding.put_batch(clips)) for clips in batches]
  decibels, again = zip(*jax.device_get(done), strict=True)
  return np.concatenate(decibels), np.concatenate(again)


def _figures(decibels: np.ndarray) -> dict[str, float]:
  """Mean of all frames, and of each place in the clip."""
  places = decibels.mean(0)
  return {
    'psnr': float(decibels.mean()),
    **{f'psnr_{at:02d}': float(value) for at, value in enumerate(places)},
  }


def _finish(
  run: train_vae.VaeRun,
  state,
  held_out: list[np.ndarray],
  workdir: pathlib.Path,
) -> None:
  """Statistics of the latents, contact sheet, report."""
  began = time.monotonic()
  encode = jax.jit(
    lambda model, clips: model.encode(train_vae.pixels(clips))[0].mean
  )
  moments = latents_lib.no_moments(run.vae.latent_channels)
  for clips in _clips(run, 'train', run.data.statistics):
    latents = encode(state.ema.vae, sharding.put_batch(clips))
    moments = latents_lib.add(moments, jax.device_get(latents))
  fingerprint = latents_lib.fingerprint(
    state.ema.vae, config_lib.to_json(run.vae)
  )
  latents_lib.save(
    workdir / 'latents.json', latents_lib.statistics(moments), fingerprint
  )
  decibels, again = _judged(state.ema.vae, held_out)
  _sheet(np.concatenate(held_out), again, workdir / 'reconstructions.png')
  records = metrics.read(workdir / 'metrics.jsonl')
  report = {
    'psnr': float(decibels.mean()),
    'psnr_per_frame': [float(value) for value in decibels.mean(0)],
    'held_out_clips': len(decibels),
    'steps': int(state.step),
    'seconds': max(each.get('seconds', 0.0) for each in records),
    'seconds_statistics': time.monotonic() - began,
    'fingerprint': fingerprint,
  }
  workdir_lib.write_whole(
    workdir / 'report.json', json.dumps(report, indent=2) + '\n'
  )


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


if __name__ == '__main__':
  run_lib.app(main)
