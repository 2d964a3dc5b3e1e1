r"""Wan's VAE, ours beside diffusers': encode and decode, the same weights.

  python -m tests.benchmarks.vae [--width 32] [--size 64x64] [--frames 17]
      [--piece 0] [--compile] [--dtype float32] [--rounds 5]

The weights are random, saved by diffusers and brought in by `launch.convert`;
latents and frames are compared before anything is timed. Rounds go A B A B; a
ratio is theirs by ours, of minima and of medians. With `--piece` ours streams
so many latents at a time, as theirs does one by one; else it takes whole clips.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import torch

from tests.benchmarks import rounds
from tv2tv_jax.nn import conv
from tv2tv_jax.train import vae_folder
from tv2tv_jax.vae import stream
from tv2tv_jax.vae import vae as vae_lib


def _pair(width: int) -> tuple[vae_lib.Vae, diffusers.AutoencoderKLWan]:
  """Both, with the same random weights."""
  torch.manual_seed(0)
  theirs = diffusers.AutoencoderKLWan(base_dim=width).eval()
  with tempfile.TemporaryDirectory() as folder:
    source, out = pathlib.Path(folder, 'source'), pathlib.Path(folder, 'out')
    theirs.save_pretrained(source)
    command = ['launch.convert', 'wan-vae', str(source), '--out', str(out)]
    subprocess.run([sys.executable, '-m', *command], check=True)
    return vae_folder.restored(out), theirs


class Ours:
  """The VAE of this project, on whole clips or streaming."""

  def __init__(self, vae: vae_lib.Vae, dtype: str, piece: int):
    options = conv.compiler_options()
    cast = jax.tree.map(lambda leaf: leaf.astype(dtype), vae)
    encode = jax.jit(vae_lib.Vae.encode, compiler_options=options)
    decode = jax.jit(vae_lib.Vae.decode, compiler_options=options)
    if piece:
      streaming = stream.Stream(cast, piece=piece)
      self.encode, self.decode = streaming.means, streaming.frames
    else:
      self.encode = lambda x: np.asarray(
        encode(cast, jnp.asarray(x, dtype))[0].mean.astype(np.float32)
      )
      self.decode = lambda z: np.asarray(
        decode(cast, jnp.asarray(z, dtype))[0].astype(np.float32)
      ).clip(-1, 1)

  def memory(self) -> int | None:
    """Most bytes in use on an accelerator so far."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get('peak_bytes_in_use')


class Theirs:
  """The VAE of diffusers."""

  def __init__(self, model, dtype: str, *, compiled: bool):
    self.device = 'cuda' if jax.default_backend() == 'gpu' else 'cpu'
    self.dtype = getattr(torch, dtype)
    self.model = model.to(self.device, self.dtype)
    if compiled:
      self.model.encoder = torch.compile(self.model.encoder)
      self.model.decoder = torch.compile(self.model.decoder)

  def _run(self, call, x: np.ndarray) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    with torch.no_grad():
      y = call(planes.to(self.device, self.dtype))
    return np.moveaxis(y.float().cpu().numpy(), 1, -1)

  def encode(self, x: np.ndarray) -> np.ndarray:
    """Means of latents."""
    return self._run(lambda x: self.model.encode(x).latent_dist.mode(), x)

  def decode(self, z: np.ndarray) -> np.ndarray:
    """Frames."""
    return self._run(lambda z: self.model.decode(z).sample, z)

  def memory(self) -> int | None:
    """Most bytes in use on an accelerator so far."""
    return torch.cuda.max_memory_allocated() if self.device == 'cuda' else None


def main() -> None:
  """Checks, measures, prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--width', type=int, default=32)
  parser.add_argument('--size', default='64x64', help='columns x rows')
  parser.add_argument('--frames', type=int, default=17)
  parser.add_argument('--piece', type=int, default=0)
  parser.add_argument('--compile', action='store_true')
  parser.add_argument('--dtype', default='float32')
  parser.add_argument('--rounds', type=int, default=5)
  flags = parser.parse_args()
  torch.set_num_threads(os.cpu_count())
  vae, model = _pair(flags.width)
  columns, rows = map(int, flags.size.split('x'))
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, (1, flags.frames, rows, columns, 3)).astype('f4')
  each = {
    'ours': Ours(vae, flags.dtype, flags.piece),
    'diffusers': Theirs(model, flags.dtype, compiled=flags.compile),
  }
  inputs, first = {'encode': x}, {}
  for what in ('encode', 'decode'):
    results = {}
    for name, side in each.items():
      begin = time.perf_counter()
      results[name] = getattr(side, what)(inputs[what])
      first[what, name] = time.perf_counter() - begin
    inputs.setdefault('decode', results['diffusers'])
    worst = np.abs(results['ours'] - results['diffusers']).max()
    print(f'{what}: {results["ours"].shape}, at most {worst:.1e} apart')
    if flags.dtype == 'float32' and worst > 1e-4:
      raise ValueError('the two do not do the same work')
  count = sum(leaf.size for leaf in jax.tree.leaves(vae))
  print(
    f'{count:,} parameters, {flags.frames} frames of {flags.size}, '
    f'{flags.dtype}; {rounds.machine()}'
  )
  for what, value in inputs.items():
    runs = {
      name: lambda side=side, what=what, value=value: getattr(side, what)(value)
      for name, side in each.items()
    }
    times = rounds.timed(flags.rounds, 2, **runs)
    print(rounds.lines(what, times))
    for name, seconds in times.items():
      rate = flags.frames / min(seconds)
      print(
        f'{what:8} {name:14} {rate:.0f} frames/s; first call '
        f'{first[what, name]:.1f} s, compilation included'
      )
  for name, side in each.items():
    if side.memory() is not None:
      print(f'{name}: {side.memory() / 2**20:.0f} MiB at most on the device')


if __name__ == '__main__':
  main()
