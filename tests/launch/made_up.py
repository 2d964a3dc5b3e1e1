"""`launch.generate` with a storyteller that needs no model.

  python -m tests.launch.made_up PAUSE

reads command lines as JSON lists, one a line, and answers each with a line:
exit status, what it said, and what it complained of. Each chunk takes PAUSE
seconds.
"""

import contextlib
import io
import json
import subprocess
import sys

from absl import flags

from launch import run as run_lib
from launch import storyteller as storyteller_lib
from tests.launch import fake_teller


def begun(pause=0.0):
  """The program, waiting for command lines."""
  return subprocess.Popen(
    [sys.executable, '-m', 'tests.launch.made_up', str(pause)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
  )


def answers(*lines):
  """What the program answers to each command line."""
  text = ''.join(json.dumps([*map(str, line)]) + '\n' for line in lines)
  with begun() as program:
    said, _ = program.communicate(text)
  found = [json.loads(line) for line in said.splitlines()]
  assert len(found) == len(lines), 'it ended with a defect'
  return found


def complaint(answer):
  """The one line of a run that refused."""
  status, _, complained = answer
  assert status == 2, answer
  (line,) = (x for x in complained.splitlines() if x.startswith('error: '))
  return line


def _run(arguments):
  """A run of the program, in this process, which has no other flags."""
  from launch import generate

  for name in flags.FLAGS:
    flags.FLAGS[name].unparse()
  flags.FLAGS.unparse_flags()
  sys.argv = ['generate', *arguments]
  said, complained = io.StringIO(), io.StringIO()
  with (
    contextlib.redirect_stdout(said),
    contextlib.redirect_stderr(complained),
  ):
    try:
      run_lib.app(generate.main, mesh='none')
    except SystemExit as end:
      status = end.code
  return [status or 0, said.getvalue(), complained.getvalue()]


def _main(pause):
  def teller(workdir, **changes):
    del workdir
    given = {k: v for k, v in changes.items() if v is not None}
    return fake_teller.Storyteller(pause=pause, **given)

  storyteller_lib.Storyteller = teller
  for line in sys.stdin:
    print(json.dumps(_run(json.loads(line))), flush=True)


if __name__ == '__main__':
  _main(float(sys.argv[1]))
