"""Going on needs no more memory than beginning."""

from tests.train import heavy
from tv2tv_jax.train import checkpoint


def test_a_resumed_process_grows_no_larger_than_a_fresh_one(
  run_process, tmp_path
):
  """192 MiB of state, of which neither may hold much twice."""
  grown = {}
  for name in ('fresh', 'again'):
    path = tmp_path / f'{name}.txt'
    assert run_process(heavy.run, tmp_path / name, path) == 0
    grown[name] = int(path.read_text())
  assert checkpoint.finished(tmp_path / 'again') == [1, 2]
  assert grown['fresh'] > 300e6
  assert grown['again'] <= 1.05 * grown['fresh']
