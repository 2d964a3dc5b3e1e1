r"""Films stories, asks whether they obey, and shows all of it on a page.

  python -m launch.obedience --workdir DIR --records DIR --out OUT

DIR is the finished workdir of launch.train, RECORDS the dataset its film was
recorded into. OUT gets `index.html`, one file that needs no other, and
`report.json` with every figure of the page; OUT/obedience keeps the inverse
dynamics model and the films. Run the command again to go on after an
interruption. Where OUT/stages.json holds seconds per stage, they are shown.
With `--released FOLDER`, of launch.release, the page has what that model tells
from the same starts, too.
"""

import json
import pathlib
import time
from typing import Any, NamedTuple

from absl import flags
import numpy as np

from launch import card as card_lib
from launch import figures
from launch import page
from launch import roll_outs
from launch import run as run_lib
from launch import verdicts
from launch import witness
from tv2tv_jax.evaluate import obedience
from tv2tv_jax.evaluate import pictures
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import vae as vae_lib

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_RECORDS = flags.DEFINE_string('records', None, 'Dataset of takes.')
_OUT = flags.DEFINE_string('out', None, 'Folder of the page.')
_SEEDS = flags.DEFINE_integer(
  'seeds', 20, 'Starts and seeds of each instruction.', lower_bound=1
)
_WINDOW = flags.DEFINE_integer(
  'window', 4, 'Chunks for which an instruction holds.', lower_bound=1
)
_STORIES = flags.DEFINE_integer(
  'stories', 3, 'Free stories, filmed side by side.', lower_bound=1
)
_SECONDS = flags.DEFINE_float(
  'seconds', 6.0, 'Length of a free story.', lower_bound=0.5
)
_SHOWN = flags.DEFINE_integer(
  'shown', 3, 'Starts whose films are on the page.', lower_bound=0
)
_RELEASED = flags.DEFINE_string(
  'released', None, 'Released model whose stories are shown, too.'
)
flags.mark_flags_as_required(['workdir', 'records', 'out'])

_CLIPS = 3  # held-out clips shown beside their copies
_CLIP_CHUNKS = 8
# Of the card of a released model, what the page tells.
_CARD = ('title', 'made', 'data', 'model', 'vae', 'checkpoint', 'license')


def main(_) -> None:
  """Witness, films, table, page."""
  began = time.monotonic()
  workdir, out = pathlib.Path(_WORKDIR.value), pathlib.Path(_OUT.value)
  plan = roll_outs.Plan(
    stories=_STORIES.value,
    story_seconds=_SECONDS.value,
    seeds=_SEEDS.value,
    window=_WINDOW.value,
  )
  released = _released(out, plan)
  vae = vae_folder.restored(workdir / 'vae')
  real = witness.footage(_RECORDS.value, vae)
  reader = witness.train(
    _RECORDS.value, vae, out / 'obedience' / 'inverse_dynamics'
  )
  trained = time.monotonic() - began
  looked = witness.read(reader, real)
  films = roll_outs.film(workdir, _RECORDS.value, out / 'obedience/films', plan)
  begin = films[roll_outs.TWIN].frames.shape[1] - 1
  begin -= plan.window * vae.config.stride[0]
  seen = {
    part: witness.seen(reader, films[part].frames[:, begin:])
    for part in (roll_outs.TWIN, *roll_outs.TOLD)
  }
  table = verdicts.table(
    {word: seen[word] for word in roll_outs.TOLD},
    seen[roll_outs.TWIN],
    witness.real_windows(looked, plan.window),
  )
  report = {
    'title': 'A film that listens to words',
    'made': time.strftime('%Y-%m-%d %H:%M'),
    'obedience': {
      **table,
      'told_at': (begin + 1) / real.rate,
      'window_chunks': plan.window,
      'window_seconds': plan.window * vae.config.stride[0] / real.rate,
    },
    'inverse_dynamics': {
      **witness.tested(looked),
      'wall_seconds': round(trained, 1),
    },
    'film': _filming(films, plan, real, vae),
    'vae': _vae(workdir / 'vae', vae, real),
    'losses': {
      'vae': figures.losses('The VAE', workdir / 'vae'),
      'model': figures.losses('TV2TV', workdir),
      'inverse_dynamics': figures.losses(
        'Inverse dynamics', out / 'obedience' / 'inverse_dynamics'
      ),
    },
  }
  material = _material(films, seen, real, begin)
  if released is not None:
    report['released'] = released.card
    material = material._replace(released=_free(released.free, real.rate))
  report |= _costs(workdir, out, began)
  workdir_lib.write_whole(out / 'index.html', page.render(report, material))
  workdir_lib.write_whole(
    out / 'report.json', json.dumps(report, indent=1) + '\n'
  )
  print(page.table(report))
  print(f'page: {out / "index.html"}')


class _Released(NamedTuple):
  """What a released model is, and its free stories."""

  card: dict[str, Any]
  free: roll_outs.Part


def _released(out: pathlib.Path, plan: roll_outs.Plan) -> _Released | None:
  """Stories of the released model, if one is given."""
  if _RELEASED.value is None:
    return None
  workdir = pathlib.Path(_RELEASED.value)
  card = card_lib.read(workdir)
  films = roll_outs.film(
    workdir,
    _RECORDS.value,
    out / 'obedience/released',
    plan,
    parts=[roll_outs.FREE],
  )
  chosen = {name: card[name] for name in _CARD}
  return _Released(chosen, films[roll_outs.FREE])


def _filming(
  films: dict[str, roll_outs.Part],
  plan: roll_outs.Plan,
  real: witness.Footage,
  vae: vae_lib.Vae,
) -> dict[str, Any]:
  """What was filmed, and how long it took."""
  free = films[roll_outs.FREE]
  pairs = [part.seconds for name, part in films.items() if name != 'free']
  return {
    'stories': plan.stories,
    'story_seconds': (free.frames.shape[1] - 1) / real.rate,
    'story_wall_seconds': round(free.seconds, 1),
    'seeds': plan.seeds,
    'pairs_wall_seconds': round(sum(pairs), 1),
    'chunk_seconds': vae.config.stride[0] / real.rate,
    'rate': real.rate,
  }


def _vae(
  workdir: pathlib.Path, vae: vae_lib.Vae, real: witness.Footage
) -> dict[str, Any]:
  """Its report, and its PSNR on whole held-out takes."""
  places = pictures.psnr_over_time(real.copies, real.frames)
  own = figures.report(workdir)
  return {
    'psnr': own.get('psnr', float(places.mean())),
    'psnr_per_frame': own.get('psnr_per_frame', places[:13].tolist()),
    'psnr_whole_takes': round(float(places.mean()), 3),
    'takes': len(real.frames),
    'latent_channels': vae.config.latent_channels,
  }


def _costs(
  workdir: pathlib.Path, out: pathlib.Path, began: float
) -> dict[str, Any]:
  """Seconds, memory, machine and versions."""
  before = figures.stages(out / 'stages.json')
  stages = [each for each in before if each['stage'] != 'obedience']
  seconds = round(time.monotonic() - began, 1)
  stages.append({'stage': 'obedience', 'seconds': seconds})
  return {
    'stages': stages,
    'total_seconds': sum(s['seconds'] for s in stages) if before else None,
    'peak_memory_bytes': figures.peak_memory(
      vae=workdir / 'vae', model=workdir
    ),
    'machine': figures.machine(),
    'versions': figures.versions(),
  }


def _material(
  films: dict[str, roll_outs.Part],
  seen: dict[str, obedience.Window],
  real: witness.Footage,
  begin: int,
) -> page.Material:
  """Pictures for the page; what is shown of many is the first of them."""

  def story(part, row, title, note=''):
    frames, words = films[part].frames[row], films[part].words[row]
    chunk = max(1, (len(frames) - 1) // max(1, len(words) - 1))
    first = 1 + begin // chunk
    told = range(first, len(words)) if part in roll_outs.TOLD else ()
    return page.Story(title, note, frames, words, told, real.rate)

  groups = [
    page.Group(
      f'Start {row + 1}, {films[roll_outs.TWIN].prompts[row]}',
      [
        story(part, row, part, verdicts.described(seen[part], row))
        for part in (roll_outs.TWIN, *roll_outs.TOLD)
      ],
    )
    for row in range(min(_SHOWN.value, _SEEDS.value))
  ]
  some = np.linspace(0, len(real.frames) - 1, _CLIPS).astype(int)
  length = _CLIP_CHUNKS * 4 + 1
  copies = page.Copies(real.frames[some, :length], real.copies[some, :length])
  stories = _free(films[roll_outs.FREE], real.rate)
  return page.Material(stories, groups, copies, real.rate)


def _free(part: roll_outs.Part, rate: float) -> list[page.Story]:
  """Free stories."""
  return [
    page.Story(f'Story {row}', f'prompt: {prompt}', frames, words, (), rate)
    for row, (frames, words, prompt) in enumerate(
      zip(part.frames, part.words, part.prompts, strict=True), 1
    )
  ]


if __name__ == '__main__':
  run_lib.app(main, mesh='none')
