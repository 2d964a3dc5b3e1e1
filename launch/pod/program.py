"""The train step of a config, compiled for a mesh that is not there.

Nothing is allocated: the state, the batch and the key are shapes and layouts.
"""

import functools
import hashlib
import re
import time
from typing import Any, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding

from configs import schema
from launch import lessons
from launch import run as run_lib
from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import loop
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.tv2tv import model as model_lib

_USED = re.compile(
  r'[Uu]sed ([\d.]+)([KMGT]) of ([\d.]+)[KMGT]|'
  r'temporaries \(([\d.]+)([KMGT])\) exceeds'
)
_UNITS = {'K': 2**10, 'M': 2**20, 'G': 2**30, 'T': 2**40}


class Memory(NamedTuple):
  """Bytes of HBM of a device while a step runs.

  Attributes:
    arguments: state, batch and key.
    outputs: the new state and the metrics,
    aliased: of which so much takes the place of the old state.
    temporaries: all between.
    program: the compiled code.
  """

  arguments: int
  outputs: int
  aliased: int
  temporaries: int
  program: int

  @property
  def total(self) -> int:
    """All together."""
    return (
      self.arguments
      + self.outputs
      - self.aliased
      + self.temporaries
      + self.program
    )


class Lowered(NamedTuple):
  """A step that its compiler has not seen.

  Attributes:
    stage: what it is to JAX.
    seconds: it took to trace.
  """

  stage: jax.stages.Lowered
  seconds: float

  @property
  def fingerprint(self) -> str:
    """Of the program: another one, another print."""
    return hashlib.sha256(self.stage.as_text().encode()).hexdigest()[:16]


class Compiled(NamedTuple):
  """A compiled step.

  Attributes:
    text: the optimised program; '' where it does not fit.
    memory: what it takes; None where it does not fit.
    needed: bytes that it would need where it does not fit, if that is said.
    traced: seconds it took to trace.
    seconds: it took to compile.
    host_memory: the most bytes that this process has held.
  """

  text: str
  memory: Memory | None
  needed: int | None
  traced: float
  seconds: float
  host_memory: int


def lowered(run: schema.StoryRun, mesh: Mesh) -> Lowered:
  """The step of a run, for the devices of a mesh.

  Raises:
    ValueError: a batch or a model that does not fit the mesh.
  """
  check(run, mesh)
  began = time.monotonic()
  with jax.set_mesh(mesh):
    told = lessons.lesson(run)
    step = loop.program(told, run.train)
    state = abstract_state(run, told)
    stage = step.lower(
      state, abstract_batch(run), abstract_key(), state.progress
    )
  return Lowered(stage, time.monotonic() - began)


def compiled(step: Lowered) -> Compiled:
  """The step as its chips would run it, or how much too large it is."""
  began = time.monotonic()
  text, memory, needed = '', None, None
  try:
    made = step.stage.compile()
    text, memory = made.as_text(), _memory(made.memory_analysis())
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    needed = _needed(str(error))
  seconds = time.monotonic() - began
  held = run_lib.peak_memory()
  return Compiled(text, memory, needed, step.seconds, seconds, held)


def check(run: schema.StoryRun, mesh: Mesh) -> None:
  """Whether a batch can be shared out over a mesh, part by part.

  Raises:
    ValueError: it cannot.
  """
  sizes = dict(zip(mesh.axis_names, mesh.devices.shape, strict=True))
  shares = sizes['data'] * sizes['fsdp']
  parts = run.train.accumulate
  if run.data.batch % (shares * parts):
    raise ValueError(
      f'config.data.batch is {run.data.batch}, which the mesh shares out over '
      f'{shares} devices (data {sizes["data"]} x fsdp {sizes["fsdp"]}) in '
      f'{parts} parts (config.train.accumulate): give a multiple of '
      f'{shares * parts}'
    )


def abstract_model(run: schema.StoryRun) -> model_lib.Tv2tv:
  """Shapes and layouts of the model, under the mesh that is set."""
  return sharding.abstract(functools.partial(_born, run), _birth_key())


def abstract_state(run: schema.StoryRun, told: step_lib.Lesson) -> Any:
  """Likewise of the train state."""
  optimizer = run.train.optimizer
  return sharding.abstract(
    lambda key: step_lib.born(_born(run, key), told, optimizer), _birth_key()
  )


def _born(run: schema.StoryRun, key: jax.Array) -> model_lib.Tv2tv:
  """The model."""
  return model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key))


def _birth_key() -> jax.ShapeDtypeStruct:
  """The key that it is born of."""
  return jax.eval_shape(lambda: jax.random.key(0, impl='rbg'))


def abstract_batch(run: schema.StoryRun) -> dict[str, Any]:
  """Shapes and layouts of a batch; latents in two bytes, as they are stored."""
  data, frames = run.data, run.model.frames
  layout = None
  if sharding.has_mesh():
    layout = NamedSharding(jax.sharding.get_mesh(), sharding.spec('batch'))

  def rows(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((data.batch, *shape), dtype, sharding=layout)

  batch = {
    name: rows(jnp.int32, data.chunks if 'chunk' in name else data.text_length)
    for name in story_lib.Row._fields
  }
  shape = (data.chunks, frames.rows, frames.columns, frames.latent)
  return batch | {'latents': rows(jnp.bfloat16, *shape)}


def abstract_key() -> jax.ShapeDtypeStruct:
  """The key of a run, on every device."""
  return sharding.abstract(lambda: jax.random.key(0))


def _memory(told: Any) -> Memory:
  """What the compiler says of a program's memory."""
  return Memory(
    arguments=told.argument_size_in_bytes,
    outputs=told.output_size_in_bytes,
    aliased=told.alias_size_in_bytes,
    temporaries=told.temp_size_in_bytes,
    program=told.generated_code_size_in_bytes,
  )


def _needed(message: str) -> int | None:
  """Bytes that a program needs, by the complaint that they are too many."""
  found = _USED.search(message)
  if not found:
    return None
  number, unit = found.group(1, 2) if found.group(1) else found.group(4, 5)
  return int(float(number) * _UNITS[unit])
