"""What a step takes of a slice is told without the slice, or refused."""

import dataclasses
import importlib.util
import json

import pytest

from configs import doom
from configs import schema
from launch.pod import filming as filming_lib
from launch.pod import program as program_lib
from launch.pod import report as report_lib
from launch.pod import topology as topology_lib
from tests import tiny
from tests.launch import programs
from tv2tv_jax import config as config_lib

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None, reason='libtpu is not here'
)
_SMALL = ('--config=configs/doom.py', '--config.data.batch=8')


def _run() -> schema.StoryRun:
  """A run small enough to compile in a test."""
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  model = tiny.config(depth=2, remat='layer', dtype='bfloat16')
  frames = dataclasses.replace(
    model.frames, blocks=(0, 1), attention_heads=0, channels=(8, 16)
  )
  return dataclasses.replace(
    run,
    model=dataclasses.replace(model, frames=frames),
    data=dataclasses.replace(run.data, chunks=2, text_length=16, batch=8),
  )


@pytest.fixture(scope='module', params=['v5p:2x2x1', 'v5e:2x2'])
def told(request):
  """The report of a step on four chips, and the bytes of its state there."""
  topology = topology_lib.described(request.param)
  mesh = topology_lib.mesh(topology, (1, 2, 2, 1))
  run = _run()
  made = program_lib.compiled(program_lib.lowered(run, mesh))
  return report_lib.report(run, topology, mesh, made)


@pytest.mark.slow
@needs_libtpu
def test_a_step_is_compiled_for_chips_that_are_not_here(told):
  held = told['memory']
  parts = ('arguments', 'outputs', 'temporaries', 'program')
  total = sum(held[name] for name in parts) - held['aliased']
  assert held['total'] == total < held['chip']
  assert held['fits']
  assert not told['unknown_loops']
  assert told['bound'] in ('matmul', 'HBM', 'ICI')
  assert 0 < told['mfu'] < 1
  json.dumps(told)
  for word in ('arguments', 'all-gather', 'MFU', 'bound'):
    assert word in report_lib.text(told)


@pytest.mark.slow
@needs_libtpu
def test_the_new_state_takes_the_place_of_the_old(told):
  held = told['memory']
  # What is not given up is the batch, the key and the metrics.
  assert held['arguments'] - held['aliased'] < 2**17
  assert held['outputs'] - held['aliased'] < 2**17
  assert held['aliased'] > 2**20


@pytest.mark.slow
@needs_libtpu
def test_collectives_are_over_axes_that_split_something(told):
  rows = told['collectives']
  assert {axis for row in rows for axis in row['axes']} == {'fsdp', 'tensor'}
  kinds = {row['kind'] for row in rows if row['axes'] == ['fsdp']}
  assert 'all-gather' in kinds


@pytest.mark.slow
@needs_libtpu
def test_what_is_computed_is_what_is_needed_and_what_is_computed_again(told):
  flops = told['flops']
  assert flops['needed'] < flops['computed'] < 2 * flops['needed']


@pytest.mark.parametrize(
  'name', ['v9:2x2', 'v5p', 'v5p:4x', 'v5p:axb', 'b200', 'v4:2x2x1', '']
)
def test_an_unknown_topology_is_refused(name):
  with pytest.raises(ValueError, match=r'--topology is .*: give one like v5e'):
    topology_lib.described(name)


@needs_libtpu
def test_a_slice_that_is_none_is_refused():
  with pytest.raises(ValueError, match='v5p:3x5x7: libtpu knows no such'):
    topology_lib.described('v5p:3x5x7')


def test_without_libtpu_one_is_told_what_to_install(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"pip install -e '\.\[tpu\]'"):
    topology_lib.described('v5p:2x2x1')


@needs_libtpu
def test_a_batch_that_a_mesh_does_not_divide_is_refused():
  mesh = topology_lib.mesh(topology_lib.described('v5e:2x2'), (1, 4))
  run = _run()
  odd = dataclasses.replace(run, data=dataclasses.replace(run.data, batch=6))
  with pytest.raises(ValueError, match=r'config\.data\.batch is 6, .*of 4'):
    program_lib.lowered(odd, mesh)
  train = dataclasses.replace(run.train, accumulate=4)
  with pytest.raises(ValueError, match=r'batch is 8, .* 4 parts .*of 16'):
    program_lib.lowered(dataclasses.replace(run, train=train), mesh)


@needs_libtpu
@pytest.mark.parametrize('mesh', ['1,3', '1,-1,x', '1,2,1,1,2'])
def test_a_mesh_that_does_not_fit_is_one_line_and_status_2(mesh):
  done = programs.run(
    'launch.compile', *_SMALL, '--topology=v5e:2x2', f'--mesh={mesh}'
  )
  assert 'mesh' in programs.error(done)


@pytest.fixture(scope='module')
def filmed():
  """What stories take of four chips that share rows and heads."""
  topology = topology_lib.described('v5e:2x2')
  mesh = topology_lib.mesh(topology, (2, 1, 2))
  return filming_lib.report(_run(), topology, mesh)


@pytest.mark.slow
@needs_libtpu
def test_stories_are_compiled_for_chips_that_are_not_here(filmed):
  going_on = {'write', 'film', 'film, guided'}
  reading = {'read a prompt', 'read words', 'read a chunk'}
  assert filmed['parts'].keys() == going_on | reading
  for name, part in filmed['parts'].items():
    assert part['memory']['fits']
    assert part['once']['busy'] > 0 and part['once']['links'] > 0
    # Tokens and steps are as many as there must be; all else happens once.
    assert ('each' in part) == (name in going_on)
    assert part.get('each', part['once'])['busy'] > 0
  page = filming_lib.text(filmed)
  for word in (*filmed['parts'], 'data 2, tensor 2', 'chunks/s', 'free'):
    assert word in page
  json.dumps(filmed)


@pytest.mark.slow
@needs_libtpu
def test_a_chunk_is_its_words_and_its_steps(filmed):
  sample = _run().sample
  turns = {'write': sample.words_budget, 'film, guided': sample.steps}
  parts = filmed['parts']
  wanted = sum(
    parts[name]['once']['apart']
    for name in ('read words', 'read a chunk', *turns)
  ) + sum(n * parts[name]['each']['apart'] for name, n in turns.items())
  assert filmed['chunk_seconds'] == pytest.approx(wanted)


@needs_libtpu
def test_nothing_is_guided_where_there_are_no_words():
  run = _run()
  data = dataclasses.replace(run.data, layout='t2v')
  mesh = topology_lib.mesh(topology_lib.described('v5e:2x2'), (1, 2, 2))
  parts = filming_lib.lowered(dataclasses.replace(run, data=data), mesh)
  assert 'film' in parts and 'film, guided' not in parts


@needs_libtpu
def test_a_mesh_that_fits_no_stories_is_refused():
  topology = topology_lib.described('v5e:2x4')
  with pytest.raises(ValueError, match='the mesh splits `context`'):
    filming_lib.lowered(_run(), topology_lib.mesh(topology, (1, 1, 2, 4)))


@needs_libtpu
@pytest.mark.parametrize(
  ('flags', 'said'),
  [
    (('--topology=v5e:2x2', '--sweep'), '--film and --sweep contradict'),
    (('--topology=h200',), '--film needs a compiler, and there is none'),
  ],
)
def test_films_are_compiled_or_refused(flags, said):
  done = programs.run('launch.compile', *_SMALL, '--film', *flags)
  assert said in programs.error(done)


@pytest.mark.parametrize(
  ('devices', 'shape'),
  [(1, (1, 1, 1)), (2, (1, 1, 2)), (6, (3, 1, 2)), (8, (4, 1, 2))],
)
def test_devices_share_heads_as_far_as_they_can(devices, shape):
  assert filming_lib.mesh_shape(_run(), devices) == shape  # Of two key heads.
