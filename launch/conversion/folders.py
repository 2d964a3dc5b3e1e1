"""What a folder for PyTorch holds, beside what it holds of tensors."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import pathlib
import shutil
from typing import Any, NamedTuple

import jinja2
import numpy as np

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import tokenize
from launch import storyteller
from launch.conversion import held as held_lib
from launch.conversion import plan as plan_lib
from tv2tv_jax.interop import cosmos
from tv2tv_jax.interop import diffusers
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import llama
from tv2tv_jax.interop import llama_config
from tv2tv_jax.interop import pytorch
from tv2tv_jax.interop import wan
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib

VAE, CONFIG, OURS, STEM = 'vae', 'config.json', 'tv2tv_jax', 'model'
LICENSE = 'LICENSE'
_HERE = pathlib.Path(__file__).parents[1] / 'pytorch'
_MODELING, _GENERATION = 'modeling_tv2tv.py', 'generation_config.json'
_LENGTH = 131072  # What a text tower may be told of as its longest text.


class Run(NamedTuple):
  """A workdir, of which nothing large has been read.

  Attributes:
    workdir: where it is.
    run: its configuration.
    vae: that of its VAE.
    statistics: of the VAE's latents.
  """

  workdir: pathlib.Path
  run: schema.StoryRun
  vae: train_vae.VaeRun
  statistics: latents_lib.LatentStatistics


class Group(NamedTuple):
  """Tensors, and the arrays that they are made of."""

  held: held_lib.Held
  leaves: list[leaf_lib.Leaf]


class Folder(NamedTuple):
  """What a folder for PyTorch will hold.

  Attributes:
    stem: of the names of its files of tensors.
    groups: the tensors.
    rest: writes what stands beside them, given the name of their dtype.
    remarks: for the report.
  """

  stem: str
  groups: list[Group]
  rest: Callable[[pathlib.Path, str], None]
  remarks: Sequence[str] = ()


def run(workdir: pathlib.Path) -> Run:
  """What is said of a workdir.

  Raises:
    ValueError: it is none.
  """
  own, vae = workdir_lib.read(workdir, schema.StoryRun), workdir / VAE
  statistics, _ = latents_lib.load(vae / vae_folder.LATENTS)
  return Run(workdir, own, workdir_lib.read(vae, train_vae.VaeRun), statistics)


def whole(read: Run, asked: plan_lib.Asked) -> Folder:
  """Model and VAE, and all that tells stories with them."""
  model = held_lib.model(read.workdir, ema=asked.ema)
  vae = held_lib.vae(read.workdir / VAE)
  tokenizer = tokenize.load(read.workdir)
  groups = [
    Group(model, pytorch.model(read.run.model)),
    Group(vae, pytorch.vae(read.vae.vae)),
  ]

  def rest(partial: pathlib.Path, kind: str) -> None:
    metadata = latents_data.read_metadata(read.workdir)
    text = (read.workdir / latents_data.METADATA).read_text()
    bare = dataclasses.replace(read.run, sources=schema.Sources())
    data = dataclasses.replace(read.vae.data, records='', image_records='')
    config = {
      'architectures': ['Tv2tv'],
      'model_type': 'tv2tv',
      'auto_map': {
        'AutoConfig': 'modeling_tv2tv.Tv2tvConfig',
        'AutoModel': 'modeling_tv2tv.Tv2tv',
      },
      'torch_dtype': kind,
      'model': dataclasses.asdict(read.run.model),
      'vae': dataclasses.asdict(read.vae.vae),
      'statistics': _lists(read.statistics),
      'layout': read.run.data.layout,
      'rate': metadata.rate,
      'chunk_frames': metadata.chunk_frames,
      'special': tokenizer.special._asdict(),
      'vocab_size': tokenizer.vocab_size,
      'silent': sorted(tokenizer.silent),
      OURS: {
        'step': model.known['step'],
        'run': dataclasses.asdict(bare),
        'vae': dataclasses.asdict(
          dataclasses.replace(read.vae, data=data, weights='')
        ),
        'latents': json.loads(text),
      },
    }
    _dump(partial / CONFIG, config)
    _dump(partial / _GENERATION, dataclasses.asdict(read.run.sample))
    shutil.copyfile(_HERE / _MODELING, partial / _MODELING)
    for name in (storyteller.STARTS, LICENSE):
      if (read.workdir / name).exists():
        shutil.copyfile(read.workdir / name, partial / name)
    _copy_tokenizer(read.workdir, partial)
    _describe(partial / 'README.md', read, model, kind)

  return Folder(STEM, groups, rest)


def text(read: Run, asked: plan_lib.Asked) -> Folder:
  """The text tower as a Llama."""
  model = llama_config.TextModel(
    vocabulary=read.run.model.vocabulary,
    towers=read.run.model.towers,
    tied=read.run.model.tied,
  )
  values = llama_config.values(model)
  special = tokenize.load(read.workdir).special
  held = held_lib.model(read.workdir, ema=asked.ema)
  leaves = llama.text_tower(model)
  kept = {leaf.name for leaf in leaves}
  arrays = {n: a for n, a in held.arrays.items() if n in kept}

  def rest(partial: pathlib.Path, kind: str) -> None:
    tokens = {
      f'{name}_token_id': getattr(special, name)
      for name in ('bos', 'eos', 'pad')
    }
    longest = {'max_position_embeddings': _LENGTH}
    own = {'torch_dtype': kind}
    _dump(partial / CONFIG, values | longest | tokens | own)
    _dump(partial / _GENERATION, tokens)
    _copy_tokenizer(read.workdir, partial)

  return Folder(STEM, [Group(held._replace(arrays=arrays), leaves)], rest)


def vae(read: Run, _: plan_lib.Asked) -> Folder:
  """The VAE as one of diffusers."""
  families = {'wan': wan, 'cosmos': cosmos}
  config = read.vae.vae
  if config.family not in families:
    raise ValueError(
      f'the VAE is of the family {config.family!r}; diffusers has '
      f'{" and ".join(map(repr, families))}: leave out --part vae'
    )
  family = families[config.family]
  held = held_lib.vae(read.workdir / VAE)

  def rest(partial: pathlib.Path, _: str) -> None:
    _dump(partial / CONFIG, family.values(config, read.statistics))

  group = Group(held, list(family.leaves(config)))
  return Folder(diffusers.STEM, [group], rest)


def _lists(statistics: latents_lib.LatentStatistics) -> dict[str, list[float]]:
  """Statistics as JSON."""
  return {n: list(map(float, v)) for n, v in statistics._asdict().items()}


def _dump(path: pathlib.Path, values: Mapping[str, Any]) -> None:
  """Writes JSON."""
  path.write_text(json.dumps(values, indent=2) + '\n')


def _copy_tokenizer(workdir: pathlib.Path, partial: pathlib.Path) -> None:
  """Its file; transformers is told what a `tokenizer.json` is."""
  path = tokenize.find(workdir)
  shutil.copyfile(path, partial / path.name)
  if path.suffix == '.json':
    kind = {'tokenizer_class': 'PreTrainedTokenizerFast'}
    _dump(partial / 'tokenizer_config.json', kind)


def _describe(
  path: pathlib.Path, read: Run, held: held_lib.Held, kind: str
) -> None:
  """Writes the card of the model."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
  )
  metadata = latents_data.read_metadata(read.workdir)
  frames, stride = read.run.model.frames, read.vae.vae.stride
  text = environment.get_template('card.md').render(
    model=read.run.model,
    sample=read.run.sample,
    vae=read.vae.vae,
    layout=read.run.data.layout,
    kind=kind,
    parameters=sum(int(np.prod(a.shape)) for a in held.arrays.values()),
    known=held.known,
    rate=metadata.rate,
    chunk_frames=metadata.chunk_frames,
    size=(frames.columns * stride[2], frames.rows * stride[1]),
    tokenizer=tokenize.find(read.workdir).name,
    licensed=(read.workdir / LICENSE).exists(),
    starts=(read.workdir / storyteller.STARTS).exists(),
  )
  path.write_text(text)
