"""Scripts of clusters, run with commands that stand in for others."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tool(folder, name, text):
  """A command that stands in for another."""
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / name
  path.write_text(f'#!/usr/bin/env bash\n{text}\n')
  path.chmod(0o755)
  return path


def bash(*command, **environment):
  """A script, run to its end."""
  return subprocess.run(
    ['bash', *map(str, command)],
    env={**os.environ, **environment},
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
    check=False,
    timeout=200,
  )
