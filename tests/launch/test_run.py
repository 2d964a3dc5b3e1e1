"""Where a process stands is said by flags, or found; all else is an error."""

import socket
import threading

from absl import flags
import pytest

from launch.hosts import meeting
from launch.hosts import processes
from tests import ports


@pytest.fixture
def told(monkeypatch):
  """Sets the flags of a program with a mesh, as its command line would."""
  values = flags.FlagValues()
  processes.define_flags(values)
  monkeypatch.setattr(processes, '_FLAGS', values)

  def parse(*words):
    values.unparse_flags()
    values(['program', *words])

  return parse


def test_a_program_alone_waits_for_nobody(told):
  told()
  assert processes.joined() is None
  assert processes.mesh_shape() is None
  told('--coordinator=nowhere:1', '--processes=1', '--process=0')
  assert processes.joined() is None


def test_a_mesh_is_whole_numbers(told):
  told('--mesh=1,-1,2')
  assert processes.mesh_shape() == (1, -1, 2)
  told('--mesh=1,two')
  with pytest.raises(ValueError, match=r'--mesh=1,two: give whole numbers'):
    processes.mesh_shape()


@pytest.mark.parametrize(
  ('words', 'complaint'),
  [
    (['--coordinator=a:1', '--processes=2'], '--process is missing'),
    (
      ['--distributed', '--coordinator=a:1', '--processes=2', '--process=0'],
      'both are given',
    ),
    (
      ['--coordinator=a:1', '--processes=2', '--process=2'],
      '--process=2 is none of --processes=2',
    ),
    (
      ['--coordinator=a', '--processes=2', '--process=1'],
      '--coordinator=a is no HOST:PORT',
    ),
    (['--distributed'], 'finds no Slurm, GKE or TPU VM here'),
  ],
)
def test_flags_that_do_not_fit_are_named(told, words, complaint):
  told(*words)
  with pytest.raises(ValueError, match=complaint):
    processes.joined()


@pytest.fixture
def slurm(monkeypatch):
  monkeypatch.setenv('SLURM_JOB_ID', '4097')
  monkeypatch.setenv('SLURM_STEP_NODELIST', 'node[003-004,007]')
  monkeypatch.setenv('SLURM_NTASKS', '6')
  monkeypatch.setenv('SLURM_PROCID', '3')
  monkeypatch.setenv('SLURM_LOCALID', '1')


def test_slurm_says_where_a_process_stands(told, slurm, monkeypatch):
  """On each node, a process has the GPU of its number."""
  joined = []
  monkeypatch.setattr(
    processes.meeting, 'join', lambda place, terms, **_: joined.append(place)
  )
  told('--distributed')
  processes.joined()
  assert joined == [meeting.Place('node003:61441', 6, 3, (1,))]


def _gathered(*hellos, processes=3, terms=None, wait=20.0, before=None):
  """What process 0 and those who come to it are told."""
  address = f'localhost:{ports.free()}'
  told = {}

  def come(name, place, terms):
    try:
      gather = meeting._gather if place.process == 0 else meeting._report
      told[name] = gather(place, terms, wait)
    except ValueError as error:
      told[name] = str(error)

  threads = [
    threading.Thread(
      target=come, args=(i, meeting.Place(address, *place), terms), daemon=True
    )
    for i, (place, terms) in enumerate([((processes, 0), terms or {}), *hellos])
  ]
  threads[0].start()
  if before:
    before(address)
  for thread in threads[1:]:
    thread.start()
  for thread in threads:
    thread.join()
  return [told[i] for i in range(len(threads))]


def test_those_who_meet_know_one_another():
  leader, *others = _gathered(((3, 2), {}), ((3, 1), {}))
  assert sorted(peer.process for peer in leader) == [1, 2]
  assert [peer.process for peer in others] == [0, 0]


def test_strangers_are_let_go():
  def disturb(address):
    host, _, port = address.partition(':')
    while True:
      try:
        stranger = socket.create_connection((host, int(port)))
        break
      except ConnectionRefusedError:
        continue
    stranger.sendall(b'GET / HTTP/1.1\r\n\r\n')
    stranger.close()

  leader, other = _gathered(((2, 1), {}), processes=2, before=disturb)
  assert [peer.process for peer in leader] == [1]
  assert other.process == 0


@pytest.mark.parametrize(
  ('hellos', 'complaint'),
  [
    ([((3, 1), {}), ((3, 1), {})], 'came where process 1 of 3'),
    ([((2, 1), {})], 'process 1 of 2 .* came to a run of 3 processes'),
    (
      [((3, 1), {'--mesh': '2,1', 'b': 'long ' * 40})],
      "process 1 of 3 .* has --mesh '2,1', process 0 has '1,2'",
    ),
  ],
)
def test_all_that_came_are_told_what_is_wrong(hellos, complaint):
  told = _gathered(*hellos, terms={'--mesh': '1,2'} if hellos[0][1] else None)
  assert len(set(told)) == 1
  with pytest.raises(ValueError, match=complaint):
    raise ValueError(told[0])


def test_a_port_that_is_taken_is_named():
  with socket.create_server(('', 0)) as taken:
    port = taken.getsockname()[1]
    place = meeting.Place(f'localhost:{port}', 2, 0)
    with pytest.raises(ValueError, match=f'cannot listen at port {port}'):
      meeting.meet(place, {}, wait=1.0, silence=1.0)


def test_another_program_at_the_port_is_no_process_0():
  with socket.create_server(('localhost', 0)) as other:
    port = other.getsockname()[1]

    def answer():
      connection, _ = other.accept()
      connection.close()

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(meeting.LostError, match='or it is another program'):
      meeting.meet(
        meeting.Place(f'localhost:{port}', 2, 1), {}, wait=2.0, silence=1.0
      )
