r"""Makes a dataset of takes: film with timed words.

  python -m launch.record --source vizdoom --out DIR --minutes 30 --seed 0
  python -m launch.record --source videos --out DIR --input FOLDER
  python -m launch.record inspect DIR

The first command plays a game, others read a corpus; `--source NAME --help`
lists the flags of each. DIR becomes a TFDS dataset of ArrayRecord files with
the splits train and test (see data_pipelines/README.md). Run the command again
to go on after an interruption; a finished recording is left as it is. The same
flags give the same bytes, whatever the number of processes.

What was dropped, and why, is counted at the end and named in DIR/dropped.jsonl.
With `--on_error skip` that is also what cannot be read; else the run ends there
and keeps what is whole.

`inspect` says what is in a dataset of takes or of latents and draws a contact
sheet, `--sheet FILE`.
"""

import importlib
import pathlib
import sys

from absl import app as absl_app
from absl import flags
import tqdm

from data_pipelines.prepare import executor as executor_lib
from data_pipelines.prepare import record
from data_pipelines.prepare import report as report_lib
from data_pipelines.sources import catalog
from launch import source_flags

_SOURCE = flags.DEFINE_enum(
  'source', next(iter(catalog.SOURCES)), [*catalog.SOURCES], 'What to record.'
)
_OUT = flags.DEFINE_string('out', None, 'Directory of the dataset.')
_PROCESSES = flags.DEFINE_integer(
  'processes', 0, 'Units at once; 0 means one a core.', lower_bound=0
)
_ON_ERROR = flags.DEFINE_enum(
  'on_error', 'stop', record.ON_ERROR, 'What to do where a file is damaged.'
)
_ENGINE = flags.DEFINE_enum(
  'engine', 'local', ['local', 'beam'], 'Who works: this machine, or a cluster.'
)
_BEAM_OPTIONS = flags.DEFINE_string(
  'beam_options', '', "Options of Apache Beam, as '--runner=FlinkRunner ...'."
)
_SHEET = flags.DEFINE_string(
  'sheet', None, 'Picture that inspect draws; ./NAME.png of DIR if not given.'
)


def main(argv) -> None:
  """Records, or inspects."""
  if len(argv) > 1:
    if argv[1] != 'inspect' or len(argv) != 3:
      raise absl_app.UsageError(f'{argv[1:]}: only `inspect DIR` is understood')
    from launch import inspect_dataset  # It draws; recording does not.

    path = pathlib.Path(argv[2])
    sheet = pathlib.Path(_SHEET.value or f'{path.resolve().name}.png')
    print(inspect_dataset.report(path, sheet))
    return
  if _OUT.value is None:
    raise ValueError('--out is missing: the directory of the dataset')
  source = source_flags.made(_SOURCE.value)
  with tqdm.tqdm(desc='record', unit='unit', dynamic_ncols=True) as bar:

    def progress(now: report_lib.Progress):
      bar.total = now.units
      bar.set_postfix_str(
        f'{now.takes} takes, {now.seconds / 3600:.3f} h, {now.dropped} dropped',
        refresh=False,
      )
      bar.update(now.done - bar.n)

    report = record.record(
      source,
      _OUT.value,
      processes=_PROCESSES.value,
      on_error=_ON_ERROR.value,
      progress=progress,
      executor=_executor(),
    )
  print(f'{_OUT.value}: {report.text()}')


def _executor() -> executor_lib.Executor | None:
  """What works instead of this machine's processes."""
  if _ENGINE.value == 'local':
    return None
  try:
    beam = importlib.import_module('data_pipelines.prepare.beam')
  except ModuleNotFoundError as error:
    raise ValueError(
      f"--engine=beam needs the package {error.name}: pip install -e '.[beam]'"
    ) from None
  return beam.executor(_BEAM_OPTIONS.value)


if __name__ == '__main__':
  try:
    source_flags.define(sys.argv)
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)

  from launch import run  # here: the processes that record need no JAX

  run.app(main, mesh='none', arguments=2)
