"""Processes of one run find one another, before JAX joins them.

They meet where JAX's own service will be: each connects to process 0, says who
it is and on what terms it comes, and hears whether all others have come. JAX
would abort them from C++ where one is missing.
"""

from collections.abc import Mapping
import socket
import textwrap
import time
from typing import NamedTuple

import jax

from launch.hosts import bond as bond_lib

_TRY = 5  # seconds of one try to connect
_LATE = 5  # seconds that process 0 may answer late


class LostError(ValueError):
  """Another process is not there: starting again may help."""


class Place(NamedTuple):
  """Where a process stands among those of a run.

  Attributes:
    coordinator: `HOST:PORT` of process 0; the others connect there.
    processes: how many there are.
    process: which of them this is, from 0.
    devices: which accelerators of its machine are its own; None for all.
  """

  coordinator: str
  processes: int
  process: int
  devices: tuple[int, ...] | None = None

  @property
  def address(self) -> tuple[str, int]:
    """The coordinator's host and port; ValueError if it is neither."""
    host, _, port = self.coordinator.rpartition(':')
    if not host or not port.isdigit() or int(port) > 65535:
      raise ValueError(
        f'--coordinator={self.coordinator} is no HOST:PORT of process 0'
      )
    return host.strip('[]'), int(port)


def join(
  place: Place, terms: Mapping[str, str], *, wait: float, silence: float
) -> bond_lib.Bond:
  """Meets all other processes, then joins them by `jax.distributed`.

  Must come before anything asks JAX for a device. Arguments and errors are
  those of `meet`.
  """
  bond = meet(place, terms, wait=wait, silence=silence)
  jax.distributed.initialize(
    place.coordinator,
    place.processes,
    place.process,
    local_device_ids=place.devices,
    cluster_detection_method='deactivate',
    initialization_timeout=max(1, round(wait)),
    # The bond notices first; this is for the case that it does not.
    heartbeat_timeout_seconds=max(10, round(2 * silence)),
    # Process 0 may still be at its report while the others are done.
    shutdown_timeout_seconds=24 * 3600,
  )
  return bond


def meet(
  place: Place, terms: Mapping[str, str], *, wait: float, silence: float
) -> bond_lib.Bond:
  """Meets all other processes; from then on all go on, or none does.

  Args:
    place: of this process.
    terms: what must be the same for all, by name.
    wait: seconds for all to come.
    silence: seconds after which a process that says nothing is lost.

  Raises:
    LostError: not all came; says the same for all that did.
    ValueError: not all came on the same terms; likewise.
  """
  name = _name(place.process, place.processes)
  if place.process == 0:
    peers = _gather(place, terms, wait)
  else:
    peers = [_report(place, terms, wait)]
  return bond_lib.Bond(place.process, name, peers, silence)


def _gather(
  place: Place, terms: Mapping[str, str], wait: float
) -> list[bond_lib.Peer]:
  """All other processes, once they have come to process 0."""
  deadline = time.monotonic() + wait
  peers: list[bond_lib.Peer] = []
  complaint, kind = None, ValueError
  with _server(place) as server:
    while len(peers) < place.processes - 1 and not complaint:
      server.settimeout(max(0.01, deadline - time.monotonic()))
      try:
        connection, _ = server.accept()
      except TimeoutError:
        kind = LostError
        missing = set(range(1, place.processes)) - {p.process for p in peers}
        complaint = (
          f'{1 + len(peers)} of {place.processes} processes came to '
          f'{place.coordinator} within {wait:g} s; missing: '
          f'{", ".join(map(str, sorted(missing)))}'
        )
      else:
        complaint = _admit(connection, place, terms, peers)
  for peer in peers:
    peer.send({'complaint': complaint, 'lost': kind is LostError})
  if complaint:
    raise kind(complaint)
  return peers


def _server(place: Place) -> socket.socket:
  """Listens where the others will come; JAX has the port after that."""
  _, port = place.address
  dual = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if dual else socket.AF_INET
  try:
    return socket.create_server(
      ('', port), family=family, backlog=1024, dualstack_ipv6=dual
    )
  except OSError as error:
    raise ValueError(
      f'process 0 cannot listen at port {port}: {error.strerror}; '
      'give another by --coordinator=HOST:PORT'
    ) from error


def _admit(
  connection: socket.socket,
  place: Place,
  terms: Mapping[str, str],
  peers: list[bond_lib.Peer],
) -> str | None:
  """Adds who connected to `peers`; returns what keeps the run from starting."""
  peer = bond_lib.Peer(connection, 0, '')
  try:
    hello = peer.first(bond_lib.WHOLE)
    process, processes = int(hello['process']), int(hello['processes'])
    theirs, host = dict(hello['terms']), str(hello['host'])
  except (OSError, EOFError, ValueError, KeyError, TypeError):
    connection.close()  # Whoever that was, it is none of ours.
    return None
  peer.process, peer.name = process, _name(process, processes, host)
  before = next((p.name for p in peers if p.process == process), None)
  peers.append(peer)
  if processes != place.processes:
    return f'{peer.name} came to a run of {place.processes} processes'
  if before:
    return f'{peer.name} came where {before} already was'
  return _difference(terms, theirs, peer.name)


def _difference(
  ours: Mapping[str, str], theirs: Mapping[str, str], name: str
) -> str | None:
  """The shortest difference between two processes' terms, if there is one."""
  differ = [
    (ours.get(key, ''), theirs.get(key, ''), key)
    for key in ours.keys() | theirs.keys()
    if ours.get(key) != theirs.get(key)
  ]
  if not differ:
    return None
  mine, other, key = min(differ, key=lambda each: len(each[0]) + len(each[1]))
  mine, other = (repr(textwrap.shorten(text, 80)) for text in (mine, other))
  return f'{name} has {key} {other}, process 0 has {mine}'


def _report(
  place: Place, terms: Mapping[str, str], wait: float
) -> bond_lib.Peer:
  """Process 0, once it has said that all have come."""
  deadline = time.monotonic() + wait
  while True:
    left = deadline - time.monotonic()
    try:
      connection = socket.create_connection(
        place.address, timeout=max(0.1, min(_TRY, left))
      )
      break
    except OSError as error:
      if left <= 0:
        raise LostError(
          f'process {place.process} does not reach process 0 at '
          f'{place.coordinator} within {wait:g} s ({error}): is it running, '
          'and is the port open?'
        ) from error
      time.sleep(min(0.2, left))
  peer = bond_lib.Peer(
    connection, 0, _name(0, place.processes, place.address[0])
  )
  peer.send(
    {
      'process': place.process,
      'processes': place.processes,
      'host': socket.gethostname(),
      'terms': dict(terms),
    }
  )
  try:
    # Process 0 may have come late, and waits as long for the others.
    answer = peer.first(wait + _LATE)
  except (OSError, EOFError, ValueError) as error:
    raise LostError(
      f'process 0 at {place.coordinator} ended before all processes had come, '
      'or it is another program'
    ) from error
  if answer.get('complaint'):
    raise (LostError if answer['lost'] else ValueError)(answer['complaint'])
  return peer


def _name(process: int, processes: int, host: str | None = None) -> str:
  """How a process is called in a line for people."""
  return f'process {process} of {processes} ({host or socket.gethostname()})'
