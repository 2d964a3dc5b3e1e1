r"""Makes weights of others into weights that a run can begin with.

  python -m launch.convert llama SRC --out DIR
  python -m launch.convert wan-vae SRC --out DIR
  python -m launch.convert cosmos-vae SRC --out DIR

SRC of a Llama is a Hugging Face folder: config.json, model.safetensors or its
shards with their index, tokenizer.json. DIR gets `weights/`, `model.json`, the
tokenizer, and `report.json`, which says what each tensor became; give it to
`launch.train` as `--config.sources.text_tower`. Memory holds a layer at a time.

SRC of a VAE is a folder of diffusers, of `AutoencoderKLWan` (Wan 2.1) or
`AutoencoderKLCosmos`: config.json, diffusion_pytorch_model.safetensors or its
shards. DIR becomes the folder of a VAE: `weights/`, `config.json`,
`latents.json` with the statistics of SRC, and `report.json`; give it to every
program that asks for `--vae`.

DIR appears when it is whole; one that was made of these very files is left as
it is.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import json
import pathlib
import shutil
from typing import Any, NamedTuple

from absl import flags
from absl import logging
import numpy as np
import tqdm

from data_pipelines import tokenize
from launch import run as run_lib
from launch import weights
from tv2tv_jax import config as config_lib
from tv2tv_jax.interop import cosmos
from tv2tv_jax.interop import diffusers
from tv2tv_jax.interop import fields
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import llama
from tv2tv_jax.interop import llama_config
from tv2tv_jax.interop import wan
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights as weights_lib
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib

_OUT = flags.DEFINE_string('out', None, 'Folder of the converted weights.')
_DTYPE = flags.DEFINE_enum(
  'dtype', 'source', ['source', 'float32'], 'Of the numbers on disk.'
)
flags.mark_flags_as_required(['out'])


def main(argv: Sequence[str]) -> None:
  """Checks all names and shapes, then converts."""
  if len(argv) != 3 or argv[1] not in _KINDS:
    kinds = ', '.join(f'`{kind} SRC`' for kind in _KINDS)
    raise ValueError(
      f'{" ".join(argv[1:]) or "nothing"!r} is none of {kinds}: give the kind '
      'of weights and their folder'
    )
  kind, folder = _KINDS[argv[1]], pathlib.Path(argv[2])
  out = pathlib.Path(_OUT.value).absolute()
  source = kind.source(folder)
  report = _report(folder, source)
  if _is_there(out, report):
    print(f'{out}: is there already')
    return
  if not flags.FLAGS['verbosity'].present:
    # Orbax tells of what went wrong with a traceback; one line will do.
    logging.set_verbosity(logging.FATAL)
  with _whole(out) as partial:
    with _bar(source, out) as bar:
      weights_lib.write_parts(
        partial / weights.CHECKPOINT, _parts(source, bar.update)
      )
    remarks = kind.rest(folder, source.model, partial)
    report |= {'remarks': remarks, 'peak_memory_bytes': run_lib.peak_memory()}
    text = json.dumps(report, indent=2) + '\n'
    (partial / weights.REPORT).write_text(text)
  done = f'{out}: {len(source.tensors)} tensors of {folder}'
  print('; '.join([done, *remarks]))


def _llama(
  folder: pathlib.Path, model: llama_config.TextModel, partial: pathlib.Path
) -> list[str]:
  """Writes the shape of the model beside its weights, and its tokenizer."""
  (partial / weights.MODEL).write_text(config_lib.to_json(model))
  for path in sorted(folder.glob('tokenizer.*')):
    with contextlib.suppress(ValueError):  # Of no kind that is known.
      shutil.copy(tokenize.find(path), partial)
  return []


def _vae(
  _: pathlib.Path, model: diffusers.VaeModel, partial: pathlib.Path
) -> list[str]:
  """Makes the folder of a VAE of its weights; says what it has not."""
  workdir_lib.claim(partial, train_vae.VaeRun(vae=model.config))
  fingerprint = latents_lib.fingerprint(
    vae_folder.restored(partial), config_lib.to_json(model.config)
  )
  statistics, remarks = model.statistics, []
  if statistics is None:
    size = model.config.latent_channels
    statistics = latents_lib.LatentStatistics(np.zeros(size), np.ones(size))
    remarks = ['it has no statistics of latents: mean 0, deviation 1']
  latents_lib.save(partial / vae_folder.LATENTS, statistics, fingerprint)
  return remarks


class _Kind(NamedTuple):
  """Weights of others.

  Attributes:
    source: reads their folder.
    rest: writes what stands beside the weights, from their folder, the model
      and ours; gives remarks.
  """

  source: Callable[[pathlib.Path], leaf_lib.Source]
  rest: Callable[[pathlib.Path, Any, pathlib.Path], list[str]]


_KINDS = {
  'llama': _Kind(llama.source, _llama),
  'wan-vae': _Kind(wan.source, _vae),
  'cosmos-vae': _Kind(cosmos.source, _vae),
}


def _dtype(found: np.dtype) -> np.dtype:
  """What the numbers of a tensor become."""
  return found if _DTYPE.value == 'source' else np.dtype(_DTYPE.value)


def _bar(source: leaf_lib.Source, out: pathlib.Path) -> tqdm.tqdm:
  """Bytes that have become ours."""
  leaves = [leaf for part in source.parts for leaf in part]
  return tqdm.tqdm(
    total=sum(leaf.size(source.tensors[leaf.source]) for leaf in leaves),
    desc=f'convert {out.name}',
    unit='B',
    unit_scale=True,
    mininterval=1.0,
    dynamic_ncols=True,
  )


def _parts(
  source: leaf_lib.Source, done: Callable[[int], Any]
) -> Iterator[dict[str, np.ndarray]]:
  """Leaves by their names, a part at a time, none of which is kept here."""
  for part in source.parts:
    pairs = [(leaf, source.tensors[leaf.source]) for leaf in part]
    yield {
      leaf.name: leaf.read(tensor, _dtype(tensor.dtype))
      for leaf, tensor in pairs
    }
    done(sum(leaf.size(tensor) for leaf, tensor in pairs))


def _report(folder: pathlib.Path, source: leaf_lib.Source) -> dict[str, Any]:
  """The files that were read, and what each of their tensors became."""
  files = {tensor.file for tensor in source.tensors.values()}
  stats = {path.name: path.stat() for path in files | {folder / fields.NAME}}
  became = [
    {
      'source': leaf.source,
      'name': leaf.name,
      'shape': list(leaf.shape),
      'dtype': _dtype(source.tensors[leaf.source].dtype).name,
    }
    | ({'part': list(leaf.part)} if leaf.part[1] > 1 else {})
    for part in source.parts
    for leaf in part
  ]
  left = [{'source': n, 'left out': why} for n, why in source.left.items()]
  return {
    'files': [
      {'name': name, 'bytes': stat.st_size, 'changed_ns': stat.st_mtime_ns}
      for name, stat in sorted(stats.items())
    ],
    'tensors': became + left,
  }


def _is_there(out: pathlib.Path, report: dict[str, Any]) -> bool:
  """Whether `out` was made of the same files, to the same end.

  Raises:
    ValueError: it holds something else.
  """
  if not out.exists() or (out.is_dir() and not any(out.iterdir())):
    return False
  try:
    held = json.loads((out / weights.REPORT).read_bytes())
    same = all(held[name] == value for name, value in report.items())
  except (OSError, ValueError, KeyError, TypeError):
    same = False
  if not same:
    raise ValueError(
      f'{out}: is there, and not made of these files; choose another --out, '
      'or delete it'
    )
  return True


@contextlib.contextmanager
def _whole(out: pathlib.Path) -> Iterator[pathlib.Path]:
  """A folder beside `out` that becomes it at the end, or is taken away."""
  partial = out.with_name(f'.{out.name}.partial')
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  try:
    yield partial
    partial.rename(out)
  except BaseException:
    shutil.rmtree(partial, ignore_errors=True)
    raise


if __name__ == '__main__':
  run_lib.app(main, mesh=False, arguments=2)
