"""Curves for TensorBoard say what the metrics file says."""

from tensorboardX.proto import event_pb2

from tv2tv_jax.train import tensorboard


def _events(workdir):
  """What was written: records of a length, its checksum, data, theirs."""
  events = []
  for path in sorted((workdir / tensorboard.FOLDER).iterdir()):
    data = path.read_bytes()
    while data:
      length = int.from_bytes(data[:8], 'little')
      events.append(event_pb2.Event.FromString(data[12 : 12 + length]))
      data = data[16 + length :]
  return events


def test_numbers_become_points_of_curves(tmp_path):
  tell = tensorboard.board(tmp_path, 0)
  tell(5, {'loss': 2.0, 'pace/goodput': 0.5})
  tell(10, {'loss': 1.0})
  points = [
    (event.step, value.tag, value.simple_value)
    for event in _events(tmp_path)
    for value in event.summary.value
  ]
  assert points == [
    (5, 'loss', 2.0),
    (5, 'pace/goodput', 0.5),
    (10, 'loss', 1.0),
  ]


def test_what_a_resumed_run_redoes_is_hidden(tmp_path):
  """TensorBoard drops points from the step on at which a session starts."""
  tensorboard.board(tmp_path, 3)(4, {'loss': 1.0})
  starts = [
    event.step
    for event in _events(tmp_path)
    if event.session_log.status == event_pb2.SessionLog.START
  ]
  assert starts == [4]
