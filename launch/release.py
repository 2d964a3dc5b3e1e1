r"""Makes of a finished run what others need of it to tell stories.

  python -m launch.release --workdir RUN --out DIR --license FILE \
      [--report REPORT] [--title TITLE]

RUN is of launch.train. DIR is a workdir, too: launch.generate, launch.studio
and launch.obedience take it as it is. It has the averaged weights of the newest
checkpoint, the VAE's, the tokenizer, the starting frames, the curves of the
losses, and a card: CARD.md to read, card.json to compute with. Stories told
from it are the run's own, bit for bit. It names no folder of this machine.

FILE says under which license the film may be passed on: it becomes DIR/LICENSE,
its first line stands in the card. REPORT is the report.json that
launch.obedience wrote of the run. DIR appears when it is whole; an older
release under this name goes.
"""

import pathlib

from absl import flags

from launch import card as card_lib
from launch import packing
from launch import run as run_lib

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_OUT = flags.DEFINE_string('out', None, 'Folder of the release.')
_LICENSE = flags.DEFINE_string('license', None, 'License of the film.')
_REPORT = flags.DEFINE_string('report', None, 'Of launch.obedience.')
_TITLE = flags.DEFINE_string('title', None, 'Of the card; the name of OUT.')
_RECORDS = flags.DEFINE_string(
  'records', None, 'Dataset of takes; what the VAE was trained on.'
)
_CONFIG = flags.DEFINE_string(
  'config', 'configs/doom.py', 'What the run began with.'
)
_VAE_CONFIG = flags.DEFINE_string(
  'vae_config', 'configs/doom_vae.py', 'What the run of its VAE began with.'
)
_MEGABYTES = flags.DEFINE_float(
  'megabytes', 25.0, 'The most that it may take.', lower_bound=0.01
)
flags.mark_flags_as_required(['workdir', 'out', 'license'])


def main(_) -> None:
  """Copies what is needed, and says what it is."""
  out = pathlib.Path(_OUT.value)
  terms = packing.Terms(
    title=_TITLE.value or out.name,
    license=pathlib.Path(_LICENSE.value),
    configs=card_lib.Configs(vae=_VAE_CONFIG.value, story=_CONFIG.value),
    records=_path(_RECORDS.value),
    report=_path(_REPORT.value),
    megabytes=_MEGABYTES.value,
  )
  size = packing.pack(pathlib.Path(_WORKDIR.value), out, terms)
  print((out / card_lib.MARKDOWN).read_text())
  print(f'{out}: {size / 1e6:.1f} MB')


def _path(value: str | None) -> pathlib.Path | None:
  return None if value is None else pathlib.Path(value)


if __name__ == '__main__':
  run_lib.app(main, mesh='none')
