"""Programs as a user runs them, and a VAE small enough for a test."""

import subprocess
import sys

TINY_VAE = (
  '--config=configs/doom_vae.py',
  '--config.train.steps=3',
  '--config.train.evaluate_every=2',
  '--config.data.components=16',
  '--config.data.statistics=32',
  '--config.data.held_out=32',
  '--config.vae.encoder_widths=(16,)',
  '--config.vae.decoder_widths=(16,)',
)


def run(*arguments) -> subprocess.CompletedProcess:
  """A program with its arguments, run to its end."""
  return subprocess.run(
    [sys.executable, '-m', *map(str, arguments)],
    capture_output=True,
    text=True,
    check=False,
  )


def error(done: subprocess.CompletedProcess) -> str:
  """The one line of a program that refused."""
  assert done.returncode == 2, done.stderr
  (line,) = (x for x in done.stderr.splitlines() if x.startswith('error: '))
  return line
