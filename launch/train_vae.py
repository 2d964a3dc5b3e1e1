r"""Trains the causal VAE on recorded takes.

  python -m launch.train_vae --config configs/doom_vae.py --workdir DIR \
      --config.data.records=RECORDS

DIR gets checkpoints, `metrics.jsonl`, and at the end `latents.json` (mean and
deviation of each latent channel, and the name of this VAE),
`reconstructions.png` (held-out frames above their reconstructions) and
`report.json`. Run the command again to go on after an interruption; a finished
run is left as it is. With `--config.weights=FOLDER`, a VAE that
`launch.convert` wrote or the workdir of another run, training begins with its
weights. Any field of the config can be set: `--config.a.b=v`.

With `--config.train.show_every=N`, DIR/pictures gets held-out clips above their
copies every so many steps. `--profile_steps`, `--tensorboard`, `--mesh`,
`--distributed`, signals and exit statuses are those of `launch.train`.
"""

from collections.abc import Iterator, Sequence
import json
import pathlib
from typing import Any

from absl import flags
import numpy as np

from data_pipelines import mixture
from data_pipelines import stream
from data_pipelines.prepare import encoding
from launch import clips as clips_lib
from launch import run as run_lib
from launch import shares
from launch import showing
from launch import training
from launch import vae_report
from launch import vae_start
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.evaluate import pictures
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed
from tv2tv_jax.train import leader
from tv2tv_jax.train import loop
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import workdir as workdir_lib

flags.adopt_module_key_flags(training)

_BATCH = 16  # clips at once, outside of training


def main(_) -> None:
  """Trains, then measures."""
  run = config_lib.from_config_dict(train_vae.VaeRun, training.CONFIG.value)
  workdir = pathlib.Path(training.WORKDIR.value)
  if not run.data.records:
    raise ValueError(
      'config.data.records is empty: give the dataset that launch.record '
      'wrote, --config.data.records=DIR'
    )
  shares.check('config.data.batch', run.data.batch, 'batch')
  if run.data.images:
    count = run.data.image_batch
    shares.check('config.data.image_batch', count, 'batch')
  report_path = workdir / vae_report.NAME
  if leader.decides(report_path.exists()):
    workdir_lib.claim(workdir, run)
  else:
    held_out = list(_clips(run, 'test', run.data.held_out))
    # What the report could not say is found out before hours of training.
    pictures.ssim(held_out[0][:1], held_out[0][:1])
    state = _trained(run, held_out, workdir)
    train = _clips(run, 'train', run.data.statistics)
    vae_report.write(run, state, held_out, train, workdir)
  if sharding.leads():
    report = json.loads(report_path.read_text())
    print(
      f'{workdir}: {report["psnr"]:.2f} dB on held-out clips after '
      f'{report["steps"]} steps in {report["seconds"]:.0f} s'
    )


def _trained(
  run: train_vae.VaeRun, held_out: list[np.ndarray], workdir: pathlib.Path
) -> state_lib.TrainState:
  """The end of the run of `workdir`, from wherever it is."""
  data = run.data
  parts = [
    mixture.Part(data.records, _length(run), data.batch, 1 - data.images)
  ]
  if data.images:
    records = data.image_records or data.records
    parts += [mixture.Part(records, 1, data.image_batch, data.images)]
  batches = mixture.clips(
    parts,
    'train',
    seed=run.train.seed,
    share=stream.Share.of(sharding.rows_here(data.batch), data.batch),
  )
  lesson = train_vae.lesson(run)
  begin = None
  if run.weights and not checkpoint.begun(workdir):
    begin = vae_start.beginning(pathlib.Path(run.weights), run.vae)
  workdir_lib.claim(workdir, run)
  return loop.train(
    vae_start.init(run, _clips(run, 'train', data.components)),
    lesson,
    feed.Data(batches, _recipe(run, parts), training.RESET_DATA.value),
    run.train,
    workdir,
    evaluate=lambda model: vae_report.decibels(
      vae_report.copied(model.vae, held_out), held_out
    ),
    show=showing.copies(workdir, held_out[0]),
    begin=begin,
    fingerprints=training.fields(run.vae, 'config.vae'),
    **training.extras(),
  )


def _recipe(
  run: train_vae.VaeRun, parts: Sequence[mixture.Part]
) -> dict[str, Any]:
  """All that the batches depend on."""
  return {
    'seed': run.train.seed,
    'parts': [
      (encoding.fingerprint(part.directory), *part[1:]) for part in parts
    ],
  }


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
    yield clips.frames[: len(clips.takes)]


if __name__ == '__main__':
  run_lib.app(main)
