"""The JobSet says what GKE must know, and its pods run what was said."""

import os
import subprocess

import pytest
import yaml

from tests.launch import scripts


def _jobset(*words, **environment):
  """What the script of GKE writes."""
  done = scripts.bash(
    scripts.ROOT / 'launch/gke/jobset.sh',
    '/shared/run',
    *words,
    NAME='run',
    IMAGE='registry/image:1',
    CLAIM='films',
    **environment,
  )
  assert done.returncode == 0, done.stderr
  return yaml.safe_load(done.stdout)


def _job_of(jobset):
  """The only kind of job of a JobSet, and the container of its pods."""
  (job,) = jobset['spec']['replicatedJobs']
  (container,) = job['template']['spec']['template']['spec']['containers']
  return job, container


_TPU = {'CHIP': 'v5p', 'TOPOLOGY': '4x4x8', 'HOSTS': '32'}


def test_a_jobset_is_as_large_as_the_slices():
  jobset = _jobset(**_TPU, SLICES='2', SPOT='1')
  assert (jobset['apiVersion'], jobset['kind']) == (
    'jobset.x-k8s.io/v1alpha2',
    'JobSet',
  )
  job, container = _job_of(jobset)
  spec = job['template']['spec']
  assert job['replicas'] == 2
  assert spec['parallelism'] == spec['completions'] == 32
  assert spec['completionMode'] == 'Indexed'
  assert spec['template']['spec']['nodeSelector'] == {
    'cloud.google.com/gke-tpu-accelerator': 'tpu-v5p-slice',
    'cloud.google.com/gke-tpu-topology': '4x4x8',
    'cloud.google.com/gke-spot': 'true',
  }
  assert container['resources']['limits'] == {'google.com/tpu': 4}
  assert '--distributed' in container['args']


def test_a_jobset_begins_again_but_for_errors_that_stay():
  jobset = _jobset(**_TPU)
  policy = jobset['spec']['failurePolicy']
  assert policy['maxRestarts'] == 100
  (rule,) = policy['rules']
  assert (rule['action'], rule['onJobFailureReasons']) == (
    'FailJobSet',
    ['PodFailurePolicy'],
  )
  job, container = _job_of(jobset)
  spec = job['template']['spec']
  assert spec['backoffLimit'] == 0
  (rule,) = spec['podFailurePolicy']['rules']
  assert rule['onExitCodes'] == {
    'containerName': container['name'],
    'operator': 'In',
    'values': [2],
  }
  pod = spec['template']['spec']
  assert pod['restartPolicy'] == 'Never'
  assert pod['terminationGracePeriodSeconds'] == 600


def test_a_jobset_mounts_what_it_names():
  job, container = _job_of(_jobset(**_TPU))
  volumes = job['template']['spec']['template']['spec']['volumes']
  assert {v['name'] for v in volumes} == {
    mount['name'] for mount in container['volumeMounts']
  }
  assert volumes[0]['persistentVolumeClaim'] == {'claimName': 'films'}
  assert container['volumeMounts'][0]['mountPath'] == '/shared'


def test_nodes_with_gpus_are_told_who_they_are():
  job, container = _job_of(_jobset(CHIP='h200', HOSTS='4'))
  assert container['resources']['limits'] == {'nvidia.com/gpu': 8}
  name = f'run-{job["name"]}-0-0.run'  # As a JobSet names its first pod.
  flags = [word for word in container['args'] if word.startswith('--')]
  assert flags == [
    f'--coordinator={name}:8476',
    '--processes=4',
    '--process=$(JOB_COMPLETION_INDEX)',
    '--coordinator_timeout=3600',
  ]


def test_what_a_pod_runs_is_what_was_said(tmp_path):
  words = ['--config.a="b"', "--it's=${x} \\ : #", '--empty=']
  _, container = _job_of(
    _jobset(*words, CHIP='h100', HOSTS='1', PROGRAM='launch.evaluate')
  )
  python = scripts.tool(
    tmp_path, 'python', f'printf "%s\\n" "$@" >> {tmp_path}/ran'
  )
  command = [*container['command'][1:], *container['args']]
  command = [word.replace('/shared', str(tmp_path)) for word in command]
  done = subprocess.run(
    ['bash', *command],
    cwd=scripts.ROOT,  # As in the image.
    env={**os.environ, 'PYTHON': str(python)},
    check=False,
  )
  assert done.returncode == 0
  assert (tmp_path / 'ran').read_text().splitlines() == [
    '-m',
    'launch.evaluate',
    f'--workdir={tmp_path}/run',
    '--coordinator_timeout=3600',
    *words,
  ]


@pytest.mark.parametrize(
  ('wrong', 'complaint'),
  [
    ({'CHIP': 'v9'}, 'error: CHIP=v9: give v5e'),
    ({'CHIP': 'v5p'}, 'TOPOLOGY'),
    ({'CHIP': 'h200', 'SLICES': '2'}, 'error: SLICES is for TPUs'),
  ],
)
def test_a_jobset_that_could_not_run_is_not_written(wrong, complaint):
  done = scripts.bash(
    scripts.ROOT / 'launch/gke/jobset.sh',
    '/shared/run',
    NAME='run',
    IMAGE='image',
    CLAIM='films',
    HOSTS='2',
    **wrong,
  )
  assert done.returncode != 0 and not done.stdout
  assert complaint in done.stderr
