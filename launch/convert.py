r"""Converts weights: of others to ours, ours to PyTorch, and back.

  python -m launch.convert llama SRC --out DIR
  python -m launch.convert wan-vae SRC --out DIR
  python -m launch.convert cosmos-vae SRC --out DIR
  python -m launch.convert to-pytorch WORKDIR --out DIR [--ema] [--dtype bf16]
  python -m launch.convert from-pytorch DIR --out WORKDIR

SRC of a Llama is a Hugging Face folder: config.json, model.safetensors or its
shards with their index, tokenizer.json. DIR gets `weights/`, `model.json`, the
tokenizer, and `report.json`, which says what each tensor became; give it to
`launch.train` as `--config.sources.text_tower`. Memory holds a layer at a time.

SRC of a VAE is a folder of diffusers, of `AutoencoderKLWan` (Wan 2.1) or
`AutoencoderKLCosmos`: config.json, diffusion_pytorch_model.safetensors or its
shards. DIR becomes the folder of a VAE: `weights/`, `config.json`,
`latents.json` with the statistics of SRC, and `report.json`; give it to every
program that asks for `--vae`.

WORKDIR is of `launch.train`, or a release of `launch.release`. DIR gets its
model and its VAE as a Hugging Face folder: config.json, files of tensors, the
tokenizer, a card, and modeling_tv2tv.py, which is all that PyTorch needs to
tell stories. `--part text` makes a `LlamaForCausalLM` of the text tower alone,
`--part vae` an `AutoencoderKLWan` or `AutoencoderKLCosmos` of the VAE, where
they are one. `from-pytorch` makes a workdir of such a DIR, as it was or trained
on: `launch.generate` and `launch.studio` take it. report.json says of every
tensor what it is called there and here, and how far it is from what it was once
it is read back. Memory holds two files of tensors at most, or a chunk of the
checkpoint where that is larger.

DIR appears when it is whole; one that was made of these very files is left as
it is.
"""

from collections.abc import Sequence
import pathlib

from absl import flags
from absl import logging

from launch import run as run_lib
from launch.conversion import job
from launch.conversion import plan as plan_lib
from tv2tv_jax.interop import shards

_OUT = flags.DEFINE_string('out', None, 'Folder of the converted weights.')
_DTYPE = flags.DEFINE_enum(
  'dtype', 'source', [*plan_lib.DTYPES], 'Of the numbers on disk.'
)
_PART = flags.DEFINE_enum(
  'part', 'all', ['all', 'text', 'vae'], 'What of a run goes to PyTorch.'
)
_EMA = flags.DEFINE_bool(
  'ema', False, 'Take the averaged weights of a run to PyTorch.'
)
_MOST = flags.DEFINE_string(
  'max_shard_size', '5GB', 'Of a file of tensors, unless one has more.'
)
flags.mark_flags_as_required(['out'])


def main(argv: Sequence[str]) -> None:
  """Converts what the command line says."""
  if len(argv) != 3 or argv[1] not in job.KINDS:
    kinds = ', '.join(f'`{kind} SRC`' for kind in job.KINDS)
    raise ValueError(
      f'{" ".join(argv[1:]) or "nothing"!r} is none of {kinds}: give the kind '
      'of weights and their folder'
    )
  if not flags.FLAGS['verbosity'].present:
    # Orbax tells of what went wrong with a traceback; one line will do.
    logging.set_verbosity(logging.FATAL)
  _, kind, folder = argv
  out = pathlib.Path(_OUT.value)
  print(job.convert(kind, pathlib.Path(folder), out, _asked(kind)))


def _asked(kind: str) -> plan_lib.Asked:
  """What the flags ask for; ValueError if they say nothing of this kind."""
  for flag in (_PART, _EMA, _MOST):
    if flag.present and kind != 'to-pytorch':
      raise ValueError(f'--{flag.name} is of `to-pytorch`, not of `{kind}`')
  if _DTYPE.present and kind == 'from-pytorch':
    raise ValueError('--dtype is none of `from-pytorch`: a run has float32')
  try:
    most = shards.size(_MOST.value)
  except ValueError as error:
    raise ValueError(f'--max_shard_size: {error}') from None
  return plan_lib.Asked(
    dtype=plan_lib.DTYPES[_DTYPE.value],
    part=_PART.value,
    ema=_EMA.value,
    most=most,
  )


if __name__ == '__main__':
  run_lib.app(main, mesh='none', arguments=2)
