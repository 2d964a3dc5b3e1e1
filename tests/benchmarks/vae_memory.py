r"""Memory of decoding Wan's VAE by the length of the clip, beside diffusers'.

  python -m tests.benchmarks.vae_memory [--width 32] [--size 128x128]
      [--frames 17,65,257] [--piece 1]

Each line is a process of its own: the most memory that it held, over what it
held with the weights loaded. Ours streams and hands frames on as they come;
diffusers' decodes latent by latent and keeps all frames. On a CPU.
"""

import argparse
import subprocess
import sys

import diffusers
from flax import nnx
import jax
import numpy as np
import torch

from tests import memory
from tv2tv_jax.vae import stream as stream_lib
from tv2tv_jax.vae import vae as vae_lib
from tv2tv_jax.vae import wan


def _held() -> int:
  """The most memory held so far, MiB."""
  return memory.peak() >> 20


def _ours(width: int, latents: np.ndarray, piece: int) -> tuple[int, int]:
  config = wan.WanConfig(width=width, decoder_width=width)
  vae = jax.jit(lambda key: vae_lib.Vae(config, rngs=nnx.Rngs(key)))(
    jax.random.key(0, impl='rbg')
  )
  stream = stream_lib.Stream(vae, piece=piece)
  base = _held()
  chunks = (latents[:, at : at + 1] for at in range(latents.shape[1]))
  return base, sum(part.shape[1] for part in stream.decode(chunks))


def _theirs(width: int, latents: np.ndarray, piece: int) -> tuple[int, int]:
  del piece  # It knows one: a latent.
  model = diffusers.AutoencoderKLWan(base_dim=width).eval()
  base = _held()
  with torch.no_grad():
    frames = model.decode(torch.from_numpy(np.moveaxis(latents, -1, 1))).sample
  return base, frames.shape[2]


_SIDES = {'ours': _ours, 'diffusers': _theirs}


def main() -> None:
  """Measures each length in a process of its own; `--side` is one of them."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--width', type=int, default=32)
  parser.add_argument('--size', default='128x128', help='columns x rows')
  parser.add_argument('--frames', default='17,65,257')
  parser.add_argument('--piece', type=int, default=1)
  parser.add_argument('--side', choices=_SIDES)
  flags = parser.parse_args()
  lengths = [int(each) for each in flags.frames.split(',')]
  if flags.side:
    columns, rows = (int(each) // 8 for each in flags.size.split('x'))
    shape = 1, 1 + (lengths[0] - 1) // 4, rows, columns, 16
    latents = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    base, frames = _SIDES[flags.side](flags.width, latents, flags.piece)
    print(
      f'{flags.side:10} {frames:4} frames of {flags.size}: {_held() - base} '
      f'MiB above {base} MiB'
    )
    return
  for side in _SIDES:
    for length in lengths:
      command = [sys.executable, '-m', 'tests.benchmarks.vae_memory']
      command += [f'--side={side}', f'--frames={length}']
      command += [f'--{n}={getattr(flags, n)}' for n in ('width', 'size')]
      command += [f'--piece={flags.piece}']
      done = subprocess.run(command, capture_output=True, text=True, check=True)
      print(done.stdout, end='', flush=True)


if __name__ == '__main__':
  main()
