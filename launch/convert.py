r"""Makes weights of others into weights that a run can begin with.

  python -m launch.convert llama SRC --out DIR

SRC is a Hugging Face folder of a Llama: config.json, model.safetensors or its
shards with their index, tokenizer.json. DIR gets `weights/`, `model.json`, the
tokenizer, and `report.json`, which says what each tensor became; give it to
`launch.train` as `--config.sources.text_tower`. Memory holds a layer at a time.
DIR appears when it is whole; one that was made of these very files is left as
it is.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import json
import pathlib
import shutil
from typing import Any

from absl import flags
from absl import logging
import numpy as np
import tqdm

from launch import run as run_lib
from launch import weights
from tv2tv_jax import config as config_lib
from tv2tv_jax.interop import llama
from tv2tv_jax.train import checkpoint

_OUT = flags.DEFINE_string('out', None, 'Folder of the converted weights.')
_DTYPE = flags.DEFINE_enum(
  'dtype', 'source', ['source', 'float32'], 'Of the numbers on disk.'
)
flags.mark_flags_as_required(['out'])
_TOKENIZERS = ('tokenizer.json', 'tokenizer.model')


def main(argv: Sequence[str]) -> None:
  """Checks all names and shapes, then converts."""
  if len(argv) != 3 or argv[1] != 'llama':
    raise ValueError(
      f'{" ".join(argv[1:]) or "nothing"!r} is not `llama SRC`: give the kind '
      'of weights, which is llama, and their folder'
    )
  folder = pathlib.Path(argv[2])
  out = pathlib.Path(_OUT.value).absolute()
  source = llama.source(folder)
  report = _report(source)
  if _is_there(out, report):
    print(f'{out}: is there already')
    return
  if not flags.FLAGS['verbosity'].present:
    # Orbax tells of what went wrong with a traceback; one line will do.
    logging.set_verbosity(logging.FATAL)
  with _whole(out) as partial:
    with _bar(source, out) as bar:
      checkpoint.write_parts(
        partial / weights.CHECKPOINT, _parts(source, bar.update)
      )
    text = config_lib.to_json(source.model)
    (partial / weights.MODEL).write_text(text)
    for name in _TOKENIZERS:
      if (folder / name).is_file():
        shutil.copy(folder / name, partial / name)
    report |= {'peak_memory_bytes': run_lib.peak_memory()}
    text = json.dumps(report, indent=2) + '\n'
    (partial / weights.REPORT).write_text(text)
  print(f'{out}: {len(source.tensors)} tensors of {folder}')


def _dtype(found: np.dtype) -> np.dtype:
  """What the numbers of a tensor become."""
  return found if _DTYPE.value == 'source' else np.dtype(_DTYPE.value)


def _bar(source: llama.Source, out: pathlib.Path) -> tqdm.tqdm:
  """Bytes that have become ours."""
  leaves = [leaf for part in source.parts for leaf in part]
  return tqdm.tqdm(
    total=sum(source.tensors[leaf.source].size for leaf in leaves),
    desc=f'convert {out.name}',
    unit='B',
    unit_scale=True,
    mininterval=1.0,
    dynamic_ncols=True,
  )


def _parts(
  source: llama.Source, done: Callable[[int], Any]
) -> Iterator[dict[str, np.ndarray]]:
  """Leaves by their names, a part at a time, none of which is kept here."""
  for part in source.parts:
    tensors = [source.tensors[leaf.source] for leaf in part]
    yield {
      leaf.name: leaf.read(tensor, _dtype(tensor.dtype))
      for leaf, tensor in zip(part, tensors, strict=True)
    }
    done(sum(tensor.size for tensor in tensors))


def _report(source: llama.Source) -> dict[str, Any]:
  """The files that were read, and what each of their tensors became."""
  stats = {
    tensor.file.name: tensor.file.stat() for tensor in source.tensors.values()
  }
  became = [
    {
      'source': leaf.source,
      'name': leaf.name,
      'shape': list(leaf.shape),
      'dtype': _dtype(source.tensors[leaf.source].dtype).name,
    }
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
