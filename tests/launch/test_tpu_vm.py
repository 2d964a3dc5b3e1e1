"""A slice of TPU VMs is asked for, prepared and started until it is done."""

import os
import shutil

import pytest

from tests.launch import scripts

# Two hosts, whose homes are folders here; a slice is a file with its state.
_GCLOUD = """
cd {cloud}
shift 2 # compute tpus
case $1-$2 in
  queued-resources-list) cat slice 2> /dev/null; exit 0 ;;
  queued-resources-create) echo "$*" >> asked; echo ACTIVE > slice ;;
  queued-resources-delete) rm slice ;;
  tpu-vm-scp)
    for host in 0 1; do mkdir -p $host && cp "$3" $host/tv2tv.tgz; done ;;
  tpu-vm-ssh)
    for word in "$@"; do
      if [[ $word == --command=* ]]; then command=${{word#--command=}}; fi
    done
    worst=0
    for host in 0 1; do (cd $host && bash -c "$command") || worst=$?; done
    exit $worst ;;
esac
"""


def _slice(tmp_path, python, **environment):
  """The script of a TPU slice, whose hosts' Python does as told."""
  clone, cloud = tmp_path / 'clone', tmp_path / 'cloud'
  for name in ('launch/hosts/attempt.sh', 'launch/tpu_vm/train.sh'):
    (clone / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(scripts.ROOT / name, clone / name)
  cloud.mkdir()
  scripts.tool(tmp_path / 'bin', 'gcloud', _GCLOUD.format(cloud=cloud))
  scripts.tool(
    clone, 'host_python', f'if [[ $2 == *flags ]]; then exit; fi; {python}'
  )
  done = scripts.bash(
    clone / 'launch/tpu_vm/train.sh',
    tmp_path / 'run',
    '--say=a "b" $c',
    PATH=f'{tmp_path / "bin"}:{os.environ["PATH"]}',
    NAME='slice',
    ZONE='here',
    TYPE='v5p-16',
    CHIP='v5p',
    MOUNT=f'mkdir -p {tmp_path}/run',
    SETUP='mkdir -p .venv/bin && cp host_python .venv/bin/python',
    PAUSE='0',
    PATIENCE='0',
    **environment,
  )
  return done, (cloud / 'asked').read_text().splitlines()


def test_a_slice_is_asked_for_until_the_run_is_finished(tmp_path):
  """The first slice is taken away, the second trains to the end."""
  run, cloud = tmp_path / 'run', tmp_path / 'cloud'
  python = (
    f'echo "$*" >> {tmp_path}/ran;'
    f'if (($(wc -l < {tmp_path}/ran) <= 2)); then '
    f'echo SUSPENDED > {cloud}/slice; exit 75; fi;'
    f'echo > {run}/report.json'
  )
  done, asked = _slice(tmp_path, python, SPOT='1')
  assert done.returncode == 0, done.stdout + done.stderr
  assert len(asked) == 2
  assert asked[0] == (
    'queued-resources create slice --node-id=slice --accelerator-type=v5p-16 '
    '--runtime-version=v2-alpha-tpuv5 --spot --zone=here --quiet'
  )
  ran = (tmp_path / 'ran').read_text().splitlines()
  assert len(ran) == 4
  assert set(ran) == {
    f'-m launch.train --workdir={run} --distributed '
    '--coordinator_timeout=900 --say=a "b" $c'
  }


@pytest.mark.parametrize(('status', 'expected'), [(2, 2), (75, 75)])
def test_a_slice_is_not_started_for_ever(tmp_path, status, expected):
  done, asked = _slice(
    tmp_path,
    f'echo >> {tmp_path}/ran; exit {status}',
    RESTARTS='2',
  )
  assert done.returncode == expected
  assert len(asked) == 1
  starts = len((tmp_path / 'ran').read_text().splitlines()) // 2
  assert starts == (1 if status == 2 else 3)
