"""Programs as a user runs them, and a VAE small enough for a test."""

import concurrent.futures
import subprocess
import sys

from tests import ports

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


def pair(*arguments) -> list[subprocess.CompletedProcess]:
  """A program in two processes of one run, to its end."""
  others = [f'--coordinator=localhost:{ports.free()}', '--processes=2']
  with concurrent.futures.ThreadPoolExecutor() as pool:
    both = [
      pool.submit(run, *arguments, *others, f'--process={number}')
      for number in range(2)
    ]
  return [each.result() for each in both]


def error(done: subprocess.CompletedProcess) -> str:
  """The one line of a program that refused."""
  assert done.returncode == 2, done.stderr
  (line,) = (x for x in done.stderr.splitlines() if x.startswith('error: '))
  return line
