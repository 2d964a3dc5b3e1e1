r"""Films game play with its controls as words.

  python -m launch.record --source vizdoom --out DIR --minutes 30 --seed 0

A scripted player plays the game without a window; DIR becomes a TFDS dataset
of ArrayRecord files with the splits train and test (see
data_pipelines/README.md). Run the command again to go on after an
interruption; a finished recording is left as it is. The same seed gives the
same film, whatever the number of processes.
"""

from absl import flags
import tqdm

from data_pipelines.prepare import record

_SOURCE = flags.DEFINE_string(
  'source', 'vizdoom', f'What to film: {", ".join(record.SOURCES)}.'
)
_OUT = flags.DEFINE_string('out', None, 'Directory of the dataset.')
_MINUTES = flags.DEFINE_float(
  'minutes', 30.0, 'Minutes of play, rounded up to whole takes of 7.3 s.'
)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the game and the player.')
_SIZE = flags.DEFINE_string('size', '64x48', 'Width x height of a frame.')
_MAPS = flags.DEFINE_list(
  'maps', [], "Maps, with commas between; the source's choice if not given."
)
_PROCESSES = flags.DEFINE_integer(
  'processes', 0, 'Games at once; 0 means one a core.', lower_bound=0
)
flags.mark_flag_as_required('out')


def main(_):
  """Films, and reports in one line."""
  request = record.Request(
    source=_SOURCE.value,
    minutes=_MINUTES.value,
    seed=_SEED.value,
    size=_SIZE.value,
    maps=tuple(_MAPS.value),
  )
  with tqdm.tqdm(desc='record', unit='episode') as bar:

    def progress(done, total):
      bar.total = total
      bar.update(done - bar.n)

    report = record.record(
      request, _OUT.value, processes=_PROCESSES.value, progress=progress
    )
  print(f'{_OUT.value}: {report.line()}')


if __name__ == '__main__':
  from launch import run  # here: the processes that film need no JAX

  run.app(main)
