"""The program: it says where it is, and ends when it is told to."""

import contextlib
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from launch import card
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.serving import server as server_lib
from tests.launch import browsing
from tests.launch import fake_teller

# The program as it is, with a storyteller that needs no model.
_PROGRAM = """
from launch import run, studio, storyteller
from tests.launch import fake_teller
def teller(workdir, *, layout, lanes):
  assert (layout, lanes) == (None, 3)
  return fake_teller.Storyteller(lanes=lanes)
storyteller.Storyteller = teller
run.app(studio.main, mesh='here')
"""


@pytest.fixture
def workdir(tmp_path):
  starts = fake_teller.starts()
  workdir = tmp_path / 'doom'
  workdir.mkdir()
  np.savez(
    workdir / storyteller_lib.STARTS,
    frames=np.concatenate([start.frames for start in starts]),
    prompts=[start.prompt for start in starts],
  )
  return workdir


@contextlib.contextmanager
def _begun(workdir, *arguments):
  program = subprocess.Popen(
    [
      sys.executable,
      '-c',
      _PROGRAM,
      f'--workdir={workdir}',
      '--lanes=3',
      *arguments,
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  with program:
    try:
      yield program
    finally:
      program.kill()


def _address(program):
  for line in program.stdout:
    if match := re.search(r'open (http://\S+/)', line):
      return match[1]
  raise AssertionError(program.stderr.read())


def test_it_serves_until_it_is_interrupted(workdir, tmp_path):
  (workdir / 'CARD.md').write_text('# Doom, small\n\nFilmed in a hall.\n')
  stories = tmp_path / 'kept' / 'stories'
  with _begun(
    workdir, '--port=0', f'--stories={stories}', '--limit=5'
  ) as program:
    client = browsing.Client(_address(program))
    model = client.get('/api/model').json
    assert model['title'] == 'Doom, small'
    assert 'Filmed in a hall.' in model['card']
    limits = model['limits']
    assert (limits['waiting'], limits['lanes']) == (5, 3)
    page = client.get('/')
    assert page.headers['content-type'].startswith('text/html')
    assert b'studio.js' in page.body
    for path, kind in (
      ('/studio.css', 'text/css'),
      ('/studio.js', 'text/javascript'),
    ):
      assert client.get(path).headers['content-type'].startswith(kind)

    name = client.ask(seconds=2)
    client.film(name)
    with client.following(client.ask(seconds=64)) as events:
      next(events)
      program.send_signal(signal.SIGINT)
      assert [event for _, event, _ in events][-1] in ('cancelled', 'ended')
    said, complained = program.communicate()
  assert program.returncode == 0
  assert said.endswith('closed\n')
  assert complained == ''
  script, _, record = story_folder.load(stories / name)
  assert (script.chunks, record['frames']) == (5, 17)
  assert not [path for path in workdir.iterdir() if path.is_dir()]


def test_a_place_that_is_taken_or_nowhere_is_named():
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(OSError, match=f'--port={port}: Address already in use'):
      server_lib.bound('127.0.0.1', port)
  with pytest.raises(OSError, match='--host=nowhere'):
    server_lib.bound('nowhere.invalid', 0)


def test_a_workdir_without_starts_is_named(workdir, tmp_path):
  with pytest.raises(ValueError, match=f'{tmp_path}/starts.npz: not there'):
    storyteller_lib.kept_starts(tmp_path)
  assert len(storyteller_lib.kept_starts(workdir)) == 3


def test_a_model_without_a_card_has_the_name_of_its_folder(workdir):
  assert card.described(workdir) == ('doom', '')
  (workdir / 'CARD.md').write_bytes(b'\xff')
  assert card.described(workdir) == ('doom', '')
