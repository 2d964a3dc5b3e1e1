"""Rings and links, memory by formula, and which setting a sweep tries next."""

import dataclasses
import functools
import importlib
import json
import pathlib
import types

import numpy as np
import pytest

from configs import doom
from configs import schema
from configs import sports_8b
from launch.pod import collectives as collectives_lib
from launch.pod import guess as guess_lib
from launch.pod import plan as plan_lib
from launch.pod import roofline as roofline_lib
from launch.pod import sweep as sweep_lib
from launch.pod import topology as topology_lib
from launch.pod import work as work_lib
from tests import tiny
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import chips

_V5P, _V5E = chips.of('TPU v5'), chips.of('TPU v5 lite')


@pytest.fixture(autouse=True, scope='module')
def _remembered():
  """Tracing takes seconds: what was planned once is not planned again."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(plan_lib, 'plan', functools.cache(plan_lib.plan))
    yield


def _slice(chip, torus, slices=1) -> topology_lib.Topology:
  """A slice of chips, in order of their places."""
  devices = [
    types.SimpleNamespace(coords=place, slice_index=number)
    for number in range(slices)
    for place in np.ndindex(torus)
  ]
  return topology_lib.Topology('some', chip, devices, torus, slices)


def _seconds(topology, kind, group, size=2**30):
  """Of one collective on the fast network and on the slow one."""
  mesh = types.SimpleNamespace(devices=np.array(topology.devices, object))
  one = collectives_lib.Collective('c', kind, tuple(group), (), size, 1)
  return roofline_lib.seconds(one, topology, mesh)


@pytest.mark.parametrize(
  ('chip', 'torus', 'wraps'),
  [
    (_V5P, (4, 4, 8), (True, True, True)),
    (_V5P, (2, 4, 4), (False, False, False)),
    (_V5P, (2, 2, 1), (False, False, False)),
    (_V5E, (8, 16, 1), (False, True, False)),
    (_V5E, (4, 8, 1), (False, False, False)),
  ],
)
def test_a_torus_closes_where_its_maker_closes_it(chip, torus, wraps):
  topology = _slice(chip, torus)
  assert tuple(topology.wraps(d) for d in range(3)) == wraps


def test_a_ring_uses_both_ways_of_every_dimension_it_closes_in():
  topology = _slice(_V5P, (4, 4, 8))
  last, all_of_it = range(8), range(128)
  one, _ = _seconds(topology, 'all-gather', last)
  assert one == pytest.approx(7 / 8 * 2**30 / (2 * 100e9))
  three, _ = _seconds(topology, 'all-gather', all_of_it)
  assert three == pytest.approx(127 / 128 * 2**30 / (6 * 100e9))


def test_half_a_dimension_is_a_line_with_one_way():
  half, _ = _seconds(_slice(_V5P, (4, 4, 8)), 'all-gather', range(4))
  assert half == pytest.approx(3 / 4 * 2**30 / 100e9)


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather():
  topology = _slice(_V5E, (4, 4, 1))
  parts = [
    _seconds(topology, kind, range(4))[0]
    for kind in ('reduce-scatter', 'all-gather')
  ]
  assert _seconds(topology, 'all-reduce', range(4))[0] == sum(parts)


def test_slices_exchange_shares_over_the_slow_network():
  topology = _slice(_V5P, (4, 4, 4), slices=2)
  ici, dcn = _seconds(topology, 'all-reduce', range(128))
  assert ici == pytest.approx(2 * 63 / 64 * 2**30 / (6 * 100e9))
  assert dcn == pytest.approx(2**30 / 64 / _V5P.network)
  # The same device of each slice.
  ici, dcn = _seconds(topology, 'all-reduce', (0, 64))
  assert (ici, dcn) == (0.0, pytest.approx(2**30 / _V5P.network))


@pytest.mark.parametrize(
  ('flops', 'bytes_', 'size', 'bound'),
  [
    (4e14, 1e9, 2**20, 'matmul'),
    (1e9, 4e12, 2**20, 'HBM'),
    (1e9, 1e9, 2**40, 'ICI'),
  ],
)
def test_the_bound_is_what_takes_longest(flops, bytes_, size, bound):
  topology = _slice(_V5P, (2, 2, 1))
  mesh = types.SimpleNamespace(devices=np.array(topology.devices, object))
  work = [work_lib.Work('w', flops, bytes_, apart=False, runs=1)]
  sent = collectives_lib.Collective('c', 'all-gather', (0, 1), (), size, 1)
  line = roofline_lib.roofline(work, [sent], topology, mesh)
  assert line.bound == bound
  assert line.step == max(line.busy, line.links)
  assert line.apart == line.busy + line.links


def _run(**changes) -> schema.StoryRun:
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  data = dataclasses.replace(run.data, chunks=3, text_length=16, batch=8)
  return dataclasses.replace(run, model=tiny.config(**changes), data=data)


def _parts(run, parts):
  train = dataclasses.replace(run.train, accumulate=parts)
  return dataclasses.replace(run, train=train)


def test_the_state_is_parameters_their_average_and_two_moments():
  held = plan_lib.plan(_run())
  assert held.state == pytest.approx(4 * held.gradients, rel=0.001)
  assert held.casts == 0  # In fp32 nothing is cast.


def test_parts_of_a_batch_keep_less_and_sum_gradients():
  run = _run(remat='layer')
  whole, four = plan_lib.plan(run), plan_lib.plan(_parts(run, 4))
  assert four.gradients == 2 * whole.gradients
  assert four.state == whole.state
  assert four.kept < whole.kept
  assert four.layer == pytest.approx(whole.layer / 4, rel=0.1)


def test_less_is_kept_the_more_is_computed_again():
  kept = [
    plan_lib.plan(_run(remat=remat, attention='flash')).kept
    for remat in ('none', 'projections', 'attention', 'layer')
  ]
  assert kept == sorted(kept, reverse=True)
  assert len(set(kept)) == len(kept)


def test_what_is_kept_grows_with_depth():
  """By the same for every layer: what enters it, if all is computed again."""
  shallow, deep = (
    plan_lib.plan(_run(remat='layer', depth=depth)).kept for depth in (2, 4)
  )
  run = _run()
  tokens = 16 + 2 * 3 * run.model.frames.tokens
  assert deep - shallow >= 2 * 8 * tokens * 32 * 4


def test_a_mesh_shares_the_plan_out():
  run = _run(remat='layer')
  alone = plan_lib.plan(run)
  shared = plan_lib.plan(run, sharding.make_mesh((1, 8)))
  assert shared.kept < alone.kept / 4
  assert shared.state < alone.state / 2


def test_a_gpu_s_plan_recommends_the_fewest_parts_that_leave_room():
  run, h200 = _run(remat='layer'), topology_lib.described('h200')
  assert h200.chip == chips.of('NVIDIA H200')
  told = plan_lib.report(run, h200)
  json.dumps(told)
  assert told['recommended'] == 1
  totals = {parts: each['total'] for parts, each in told['plans'].items()}
  assert list(totals) == [1, 2, 4, 8]
  # What is kept grows by the same for every row.
  by_tracing = plan_lib.plan(_parts(run, 4)).total
  assert totals[4] == pytest.approx(by_tracing, rel=0.01)
  for memory in (max(totals.values()) // 2, 1):
    small = h200._replace(chip=h200.chip._replace(memory=memory))
    told = plan_lib.report(run, small)
    fit = [parts for parts in totals if totals[parts] <= 0.9 * memory]
    assert told['recommended'] == min(fit, default=None)
  assert 'DOES NOT FIT' in plan_lib.text(told)


def _sports() -> schema.StoryRun:
  return config_lib.from_config_dict(schema.StoryRun, sports_8b.get_config())


def test_settings_divide_slice_widths_and_batch():
  run, topology = _sports(), _slice(_V5P, (4, 4, 8))
  found = list(guess_lib.settings(run, topology))
  assert len(found) == len(set(found)) > 100
  film = run.data.chunks * run.model.frames.tokens
  for (copies, shares, tensor, context), _, parts in found:
    assert copies * shares * tensor * context == 128
    assert run.data.batch % (copies * shares * parts) == 0
    assert run.model.towers.key_heads % tensor == 0
    assert film % context == run.data.text_length % context == 0


def test_slices_hold_copies():
  topology = _slice(_V5P, (4, 4, 4), slices=2)
  for setting in guess_lib.settings(_sports(), topology):
    assert setting.mesh[0] % 2 == 0


def test_copies_in_a_slice_are_not_tried():
  for setting in guess_lib.settings(_sports(), _slice(_V5P, (4, 4, 4))):
    assert setting.mesh[0] == 1


_COMPILED = sorted(pathlib.Path('launch/recipes').glob('*/step-*.json'))


@pytest.mark.parametrize('path', _COMPILED, ids=lambda p: f'{p.parts[-2:]}')
def test_a_guess_is_close_to_what_was_compiled(path):
  """Of whole models on whole slices: a fifth in time, a third in memory."""
  told = json.loads(path.read_text())
  module = importlib.import_module(f'configs.{path.parent.name}')
  run = config_lib.from_config_dict(schema.StoryRun, module.get_config())
  topology = topology_lib.described(told['topology'])
  setting = guess_lib.Setting(
    tuple(told['mesh'].values()), told['remat'], told['accumulate']
  )
  guess = guess_lib.guess(setting, run, topology)
  seconds = (told['seconds']['step'] + told['seconds']['apart']) / 2
  assert guess.seconds == pytest.approx(seconds, rel=0.2)
  assert guess.memory == pytest.approx(told['memory']['total'], rel=0.34)


def test_kernels_keep_no_scores():
  run = _run(remat='layer', attention='flash')
  scores, none = plan_lib.plan(run), plan_lib.plan(run, kernels=True)
  assert none.layer < scores.layer
  assert none.kept == scores.kept


def _guess(mesh, remat, memory, seconds):
  return guess_lib.Guess(guess_lib.Setting(mesh, remat, 1), memory, seconds)


def test_the_next_try_is_the_fastest_that_should_fit():
  a = _guess((1, 8, 1, 1), 'none', 80.0, 1.0)
  b = _guess((1, 4, 2, 1), 'none', 60.0, 2.0)
  c = _guess((1, 4, 2, 1), 'layer', 20.0, 3.0)
  assert sweep_lib._next([a, b, c], [], 90.0) == a
  # It took twice as much as was thought: so will the next of its policy.
  tried = [sweep_lib.Try(a, {'memory': {'total': 160}})]
  assert sweep_lib._next([b, c], tried, 90.0) == c
  assert sweep_lib._next([b], tried, 90.0) is None


def test_a_sweep_goes_on_where_it_stopped(tmp_path, monkeypatch):
  """And recommends the fastest that leaves room."""
  run, topology = _run(), _slice(_V5P, (2, 2, 1))
  a = _guess((1, 4, 1, 1), 'none', 1.0, 1.0)
  b = _guess((1, 2, 2, 1), 'layer', 1.0, 2.0)
  c = _guess((1, 1, 4, 1), 'layer', 1.0, 3.0)
  free = {a.setting.mesh: 0.05, b.setting.mesh: 0.2, c.setting.mesh: 0.3}
  compiled = []

  def report(run, topology, mesh, step):
    compiled.append(mesh)
    seconds = {'step': float(mesh[1]), 'apart': float(mesh[1])}
    memory = {'total': 1, 'free': free[mesh], 'fits': True}
    told = {'memory': memory, 'seconds': seconds, 'mfu': 0.5}
    return told | {'bound': 'HBM'}

  def lowered(run, mesh):
    return types.SimpleNamespace(fingerprint=str(mesh))

  monkeypatch.setattr(sweep_lib.guess_lib, 'guesses', lambda *_: [a, b, c])
  monkeypatch.setattr(sweep_lib.topology_lib, 'mesh', lambda _, mesh: mesh)
  monkeypatch.setattr(sweep_lib.program_lib, 'lowered', lowered)
  monkeypatch.setattr(sweep_lib.program_lib, 'compiled', lambda step: step)
  monkeypatch.setattr(sweep_lib.report_lib, 'report', report)
  first = sweep_lib.sweep(run, topology, tries=1, out=tmp_path)
  assert first['recommended'] is None
  assert 'larger slice' in sweep_lib.text(first)
  whole = sweep_lib.sweep(run, topology, tries=9, out=tmp_path)
  assert compiled == [a.setting.mesh, b.setting.mesh, c.setting.mesh]
  assert whole['recommended'] == c.setting._asdict()
  assert len(whole['tried']) == 3
  told = sweep_lib.text(json.loads(json.dumps(whole)))
  assert 'recommended: --mesh=1,1,4,1' in told
