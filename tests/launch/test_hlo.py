"""A compiled program's text tells what it computes, moves and sends."""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
import pytest

from launch.pod import collectives as collectives_lib
from launch.pod import hlo
from launch.pod import runs as runs_lib
from launch.pod import work as work_lib
from tv2tv_jax import sharding

_TURNS = 5


def _read(text):
  program = hlo.parse(text)
  return program, runs_lib.runs(program)


def _flops(text):
  return sum(each.flops for each in work_lib.work(*_read(text)))


def _compiled(function, *shapes):
  arrays = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
  return jax.jit(function).lower(*arrays).compile().as_text()


def _stacked(x, weights):
  return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]


def test_a_loop_s_body_counts_as_often_as_it_turns():
  text = _compiled(_stacked, (8, 16), (_TURNS, 16, 16))
  assert _flops(text) == _TURNS * 2 * 8 * 16 * 16


def test_loops_in_loops_multiply():
  def twice(x, weights):
    return jax.lax.fori_loop(0, 3, lambda _, x: _stacked(x, weights), x)

  text = _compiled(twice, (8, 16), (_TURNS, 16, 16))
  assert _flops(text) == 3 * _TURNS * 2 * 8 * 16 * 16


def test_a_loop_whose_end_is_data_is_named():
  def until(x):
    return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)

  program, runs = _read(_compiled(until, (4, 4)))
  assert len(runs.unknown) == 1
  # It counts once, or as often as one says.
  for turns in (0, 1, 5):
    assert set(runs_lib.runs(program, turns).counts.values()) == {1, turns}


# As a TPU's compiler writes a loop: no count, but the bounds of a counter.
_COUNTED = """
%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %x = f32[8]{0:T(128)S(1)} get-tuple-element(%p), index=1
  %step = s32[]{:T(128)} constant(2)
  %next = s32[]{:T(128)} add(%i, %step)
  ROOT %t = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) tuple(%next, %x)
}

%condition (q: (s32[], f32[8])) -> pred[] {
  %q = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %end = s32[]{:T(128)} constant(12)
  %j = s32[]{:T(128)} get-tuple-element(%q), index=0
  ROOT %lt = pred[]{:T(512)} compare(%j, %end), direction=LT
}

ENTRY %main (a: f32[8]) -> (s32[], f32[8]) {
  %a = f32[8]{0} parameter(0)
  %start = s32[]{:T(128)} constant(2)
  %u = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) tuple(%start, %a)
  ROOT %w = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) while(%u), condition=%condition, body=%body
}
"""  # noqa: E501


def test_a_counter_s_bounds_tell_how_often_a_loop_turns():
  _, runs = _read(_COUNTED)
  assert runs.counts == {'main': 1, 'condition': 5, 'body': 5}
  assert not runs.unknown


@pytest.mark.parametrize(
  'options',
  [
    dict(padding='SAME'),
    dict(padding='VALID', window_strides=(2, 1)),
    dict(padding='SAME', rhs_dilation=(2, 1)),
    dict(padding=((1, 0), (0, 2)), lhs_dilation=(2, 1)),
    dict(padding='SAME', feature_group_count=2),
    dict(padding='SAME', batch_group_count=2),
  ],
)
def test_a_convolution_counts_what_xla_counts(options):
  groups = options.get('feature_group_count', 1)

  def convolve(x, kernel):
    strides = options.get('window_strides', (1, 1))
    return jax.lax.conv_general_dilated(
      x,
      kernel,
      **{'window_strides': strides} | options,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )

  shapes = (4, 9, 8, 6), (3, 2, 6 // groups, 4)
  lowered = jax.jit(convolve).lower(
    *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
  )
  counted = _flops(lowered.as_text(dialect='hlo'))
  assert counted == lowered.cost_analysis()['flops']


# As a TPU's compiler writes products: a fusion of a slice of a stack and a
# convolution, whose sum runs over places, too. Its result stays on the chip.
_FUSED = """
%sliced (s0: bf16[12,64,32], s1: s32[]) -> bf16[64,32] {
  %s0 = bf16[12,64,32]{2,1,0:T(8,128)(2,1)} parameter(0)
  %s1 = s32[]{:T(128)} parameter(1)
  %zero = s32[] constant(0)
  %slice = bf16[1,64,32]{2,1,0} dynamic-slice(%s0, %s1, %zero, %zero), dynamic_slice_sizes={1,64,32}
  ROOT %flat = bf16[64,32]{1,0} bitcast(%slice)
}

%product (p0: bf16[16,64], p1: bf16[12,64,32], p2: s32[]) -> bf16[16,32] {
  %p0 = bf16[16,64]{1,0:T(8,128)(2,1)} parameter(0)
  %p1 = bf16[12,64,32]{2,1,0:T(8,128)(2,1)} parameter(1)
  %p2 = s32[]{:T(128)} parameter(2)
  %inner = bf16[64,32]{1,0} fusion(%p1, %p2), kind=kLoop, calls=%sliced
  ROOT %conv = bf16[16,32]{1,0:S(1)} convolution(%p0, %inner), dim_labels=bf_io->bf
}

ENTRY %main (x: bf16[16,64], w: bf16[12,64,32], i: s32[]) -> bf16[16,32] {
  %x = bf16[16,64]{1,0:T(8,128)(2,1)} parameter(0)
  %w = bf16[12,64,32]{2,1,0:T(8,128)(2,1)} parameter(1)
  %i = s32[]{:T(128)S(6)} parameter(2)
  %moved = (bf16[16,64]{1,0:S(1)}, bf16[16,64]{1,0}, u32[]{:S(2)}) copy-start(%x)
  %near = bf16[16,64]{1,0:S(1)} copy-done(%moved)
  %out = bf16[16,32]{1,0:S(1)} fusion(%near, %w, %i), kind=kOutput, calls=%product
  ROOT %far = bf16[16,32]{1,0} copy(%out)
}
"""  # noqa: E501


def test_a_fusion_reads_what_it_slices_and_nothing_that_is_on_the_chip():
  work = {each.name: each for each in work_lib.work(*_read(_FUSED))}
  assert work['out'].flops == 2 * 16 * 64 * 32
  assert work['out'].bytes == 2 * 64 * 32
  assert work['moved'].bytes == 2 * 16 * 64
  assert work['moved'].apart
  assert work['far'].bytes == 2 * 16 * 32


# A kernel tells its cost itself.
_KERNEL = """
ENTRY %main (x: bf16[16,64]) -> bf16[16,64] {
  %x = bf16[16,64]{1,0} parameter(0)
  ROOT %k = bf16[16,64]{1,0} custom-call(%x), custom_call_target="tpu_custom_call", backend_config={"custom_call_config":{"body":"AA==","cost_estimate":{"flops":"4096","transcendentals":"0","bytes_accessed":"4096"}}}
}
"""  # noqa: E501


def test_a_kernel_counts_as_it_says():
  (work,) = work_lib.work(*_read(_KERNEL))
  assert work.flops == 4096
  assert work.bytes == 2 * 2 * 16 * 64


def _collectives(text, mesh):
  found = collectives_lib.collectives(*_read(text), mesh)
  return sorted((c.kind, c.axes, c.runs, c.size, len(c.group)) for c in found)


@pytest.mark.parametrize('mesh', [(1, 2, 2, 2)], indirect=True)
def test_collectives_are_known_by_kind_axes_count_and_size(mesh):
  """Bytes are those of the whole: gathered, before a reduction, sent."""

  def talk(x, _):
    x = jax.lax.psum(x, 'tensor') / 2
    whole = jax.lax.all_gather(x, ('fsdp', 'context'), tiled=True)
    x = jax.lax.psum_scatter(whole, ('fsdp', 'context'), tiled=True)
    x = jax.lax.ppermute(x, 'context', [(0, 1), (1, 0)])
    return jax.lax.all_to_all(x, 'fsdp', 0, 0, tiled=True), None

  @jax.jit
  @functools.partial(
    jax.shard_map, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False
  )
  def run(x):
    return jax.lax.scan(talk, x, length=_TURNS)[0]

  shape = jax.ShapeDtypeStruct((4, 8), jnp.float32)
  here = 4 * 8 * 4
  assert _collectives(run.lower(shape).compile().as_text(), mesh) == [
    ('all-gather', ('fsdp', 'context'), _TURNS, 4 * here, 4),
    ('all-reduce', ('tensor',), _TURNS, here, 2),
    ('all-to-all', ('fsdp',), _TURNS, here, 2),
    ('collective-permute', ('context',), _TURNS, here, 2),
    ('reduce-scatter', ('fsdp', 'context'), _TURNS, 4 * here, 4),
  ]


_ENTRY = """
%all-reduce-scatter.1 (input: f32[64]) -> f32[16] {{
  %input = f32[64]{{0}} parameter(0)
  %sum = f32[64]{{0}} all-reduce(%input), channel_id=3, {groups}, to_apply=%add
  %zero = s32[] constant(0)
  ROOT %share = f32[16]{{0}} dynamic-slice(%sum, %zero), dynamic_slice_sizes={{16}}
}}

%part.1 (a: f32[16]) -> f32[64] {{
  %a = f32[16]{{0}} parameter(0)
  ROOT %g.1 = f32[64]{{0}} all-gather(%a), channel_id=2, {groups}, dimensions={{0}}
}}

%part.2 (b: f32[16]) -> f32[64] {{
  %b = f32[16]{{0}} parameter(0)
  ROOT %g.2 = f32[64]{{0}} all-gather(%b), channel_id=2, {groups}, dimensions={{0}}
}}

ENTRY %main (x: f32[16]) -> f32[16] {{
  %x = f32[16]{{0}} parameter(0)
  %start = (f32[16]{{0}}, f32[64]{{0}}) all-gather-start(%x), channel_id=1, {groups}, dimensions={{0}}
  %done = f32[64]{{0}} all-gather-done(%start)
  %one = f32[64]{{0}} fusion(%x), kind=kOutput, calls=%part.1
  %two = f32[64]{{0}} fusion(%x), kind=kOutput, calls=%part.2
  ROOT %scattered = f32[16]{{0}} fusion(%two), kind=kCustom, calls=%all-reduce-scatter.1
}}
"""  # noqa: E501


@pytest.mark.parametrize(
  'groups',
  [
    'replica_groups={{0,1,4,5},{2,3,6,7}}',
    'replica_groups=[2,4]<=[2,2,2]T(1,0,2)',
    "replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}",
    "replica_groups=mesh['a'=2,'b'=4] {'a','b':(2)2}",
  ],
)
def test_groups_are_read_however_they_are_written(groups):
  """And a start and its done, or the parts of one, are one collective."""
  mesh = sharding.make_mesh((1, 2, 2, 2))
  over = ('fsdp', 'context')
  assert _collectives(_ENTRY.format(groups=groups), mesh) == [
    ('all-gather', over, 1, 256, 4),
    ('all-gather', over, 1, 256, 4),
    ('reduce-scatter', over, 1, 256, 4),
  ]


def test_a_collective_of_one_device_is_none():
  text = _ENTRY.format(groups='replica_groups={{0},{1},{2},{3}}')
  assert not _collectives(text, sharding.make_mesh((1, 2, 2, 2)))


def test_what_is_no_program_is_refused():
  with pytest.raises(ValueError, match='no ENTRY'):
    hlo.parse('HloModule m\n')
