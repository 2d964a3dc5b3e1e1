"""The scripts of clusters start the program, again where that helps."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.launch import scripts

_SCRIPTS = [
  'launch/hosts/attempt.sh',
  'launch/gke/jobset.sh',
  'launch/slurm/train.sbatch',
  'launch/tpu_vm/train.sh',
]


@pytest.mark.parametrize('script', _SCRIPTS)
def test_the_shell_reads_it(script):
  subprocess.run(['bash', '-n', scripts.ROOT / script], check=True)


@pytest.mark.parametrize('script', _SCRIPTS)
def test_how_to_call_it_is_said(script):
  values = ['NAME', 'ZONE', 'TYPE', 'CHIP', 'MOUNT', 'IMAGE', 'CLAIM', 'HOSTS']
  done = scripts.bash(
    scripts.ROOT / script, SLURM_SUBMIT_DIR='.', **dict.fromkeys(values, 'x')
  )
  assert done.returncode == 2
  assert done.stderr.startswith('usage: ')


_ATTEMPT = scripts.ROOT / 'launch/hosts/attempt.sh'


def _attempt(tmp_path, python, program='launch.train', **environment):
  """An attempt whose Python does as told, and what that was called with."""
  python = scripts.tool(
    tmp_path, 'python', f'echo "$*" >> {tmp_path}/ran; {python}'
  )
  run = tmp_path / 'run'
  done = scripts.bash(
    _ATTEMPT,
    program,
    run,
    '--say=a "b" $c',
    PYTHON=python,
    PATIENCE='0',
    **environment,
  )
  return done, (tmp_path / 'ran').read_text()


@pytest.mark.parametrize(
  ('python', 'program', 'status'),
  [
    ('echo > {run}/report.json', 'launch.train', 0),
    ('exit 0', 'launch.train', 75),  # It was told to stop.
    ('exit 0', 'launch.evaluate', 0),
    ('exit 2', 'launch.train', 2),
    ('kill -9 $$', 'launch.train', 137),
  ],
)
def test_an_attempt_says_whether_to_start_again(
  tmp_path, python, program, status
):
  python = python.format(run=tmp_path / 'run')
  done, ran = _attempt(tmp_path, python, program)
  assert done.returncode == status
  assert done.stderr.endswith(f'attempt: exit status {status}\n')
  assert ran == f'-m {program} --workdir={tmp_path}/run --say=a "b" $c\n'


def test_an_attempt_tells_the_compiler_of_the_chip(tmp_path):
  tell = (
    f'if [[ $2 == launch.xla_flags ]]; then exec {sys.executable} "$@"; fi;'
    'echo "$LIBTPU_INIT_ARGS; $JAX_COMPILATION_CACHE_DIR"; exit 2'
  )
  done, _ = _attempt(tmp_path, tell, CHIP='v6e', JAX_COMPILATION_CACHE_DIR='')
  told, kept = done.stdout.strip().split('; ')
  assert '--xla_tpu_scoped_vmem_limit_kib=98304' in told
  assert kept == f'{tmp_path}/run/compiled'
  done, _ = _attempt(tmp_path, tell, CHIP='v9')
  assert done.returncode == 2
  assert "error: no flags for the chip 'v9'" in done.stderr


def test_an_attempt_passes_on_that_it_must_stop(tmp_path):
  wait = f"trap 'touch {tmp_path}/told; exit 0' TERM; touch {tmp_path}/up"
  python = scripts.tool(
    tmp_path, 'python', f'{wait}; while :; do sleep 0.05; done'
  )
  attempt = subprocess.Popen(
    ['bash', _ATTEMPT, 'launch.train', tmp_path / 'run'],
    env={**os.environ, 'PYTHON': str(python), 'PATIENCE': '0'},
    stderr=subprocess.DEVNULL,
  )
  while not (tmp_path / 'up').exists():
    assert attempt.poll() is None
  attempt.send_signal(signal.SIGTERM)
  assert attempt.wait(timeout=60) == 75
  assert (tmp_path / 'told').exists()


_SRUN = """
while [[ $1 == --* ]]; do shift; done
export SLURM_NTASKS=2 SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=1
for i in 0 1; do
  SLURM_PROCID=$i SLURM_LOCALID=$i "$@" & tasks[i]=$!
done
worst=0
for task in "${tasks[@]}"; do
  wait "$task" || { status=$?; ((worst = status > worst ? status : worst)); }
done
exit "$worst"
"""


def _sbatch(tmp_path, job, count, *words, **environment):
  """The script as Slurm runs it, for the given time, with stand-ins."""
  path = f'{tmp_path / "bin"}:{os.environ["PATH"]}'
  return scripts.bash(
    scripts.ROOT / 'launch/slurm/train.sbatch',
    tmp_path / 'run',
    *words,
    PATH=path,
    SLURM_JOB_ID=str(job),
    SLURM_JOB_NODELIST='localhost',
    SLURM_RESTART_COUNT=str(count),
    SLURM_SUBMIT_DIR=str(scripts.ROOT),
    **environment,
  )


def _queued(tmp_path):
  file = tmp_path / 'queued'
  return file.read_text().splitlines() if file.exists() else []


def _job():
  """A job for which the port is free that JAX will take, after its number."""
  first = 65535 - 2**12 + 1
  for job in range(os.getpid() % 2**12, 2**13):
    with socket.socket() as trial:
      if trial.connect_ex(('localhost', first + job % 2**12)):
        return job
  raise AssertionError('no port is free')


def test_slurm_starts_a_run_until_it_is_finished(tmp_path):
  """The script itself, with two processes that find one another by Slurm."""
  scripts.tool(tmp_path / 'bin', 'srun', _SRUN)
  scripts.tool(tmp_path / 'bin', 'scontrol', f'echo "$*" >> {tmp_path}/queued')
  job = _job()
  run = {
    'PROGRAM': 'tests.launch.small_run',
    'PYTHON': sys.executable,
    'CHIP': '',
    'DEVICES': '2',
  }
  words = ('--mishap=kill', '--at=3', '--steps=6')
  done = _sbatch(tmp_path, job, 0, *words, **run)
  assert done.returncode == 137, done.stderr
  assert 'error: process 1 of 2' in done.stderr
  assert 'attempt: exit status 75' in done.stderr
  assert _queued(tmp_path) == [f'requeue {job}']
  done = _sbatch(tmp_path, job, 1, '--steps=6', **run)
  assert done.returncode == 0, done.stderr
  assert done.stdout.endswith('finished\n')
  assert '2 processes, 4 devices (cpu): data 1, fsdp 4' in done.stdout
  assert (tmp_path / 'run/report.json').read_text() == '{"steps": 6}\n'
  assert len(_queued(tmp_path)) == 1


@pytest.mark.parametrize(
  ('status', 'count', 'queued'), [(75, 99, 1), (75, 100, 0), (2, 0, 0)]
)
def test_slurm_queues_again_where_that_helps(tmp_path, status, count, queued):
  scripts.tool(tmp_path / 'bin', 'srun', f'exit {status}')
  scripts.tool(tmp_path / 'bin', 'scontrol', f'echo "$*" >> {tmp_path}/queued')
  assert _sbatch(tmp_path, 7, count).returncode == status
  assert len(_queued(tmp_path)) == queued
