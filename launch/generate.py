r"""Films a story from a starting frame, a prompt and what you say on the way.

  python -m launch.generate --workdir DIR --out DIR --prompt TEXT --seconds N \
      --say "1.0: turn left" --seed S

The workdir is of launch.train. The story begins with `--start`: the number of a
starting frame that the workdir keeps, a picture file of the model's size, or a
frame of recorded film, `test:7` (the first frame of take 7 of the split test of
`--records`). `--say` may be given several times: at that time its words stand
before the next chunk, and are restated for `--hold` seconds; between, the model
writes or films as it likes.

OUT gets story.json (words and their times, settings), story.mp4, and
story.png, a sheet with one frame of each chunk.
"""

import json
import os
import pathlib
import re
import shutil

from absl import flags
import numpy as np
from PIL import Image
import tqdm

from data_pipelines import records
from launch import embed
from launch import run as run_lib
from launch import storyteller as storyteller_lib
from tv2tv_jax.train import workdir as workdir_lib

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_OUT = flags.DEFINE_string('out', None, 'Folder that gets the story.')
_PROMPT = flags.DEFINE_string(
  'prompt', None, 'What the story is about; a kept start has its own.'
)
_START = flags.DEFINE_string(
  'start', '0', 'Starting frame: a number, a picture file, or SPLIT:TAKE.'
)
_RECORDS = flags.DEFINE_string(
  'records', None, 'Dataset of takes for --start SPLIT:TAKE.'
)
_SECONDS = flags.DEFINE_float(
  'seconds', 6.0, 'Length of the story.', lower_bound=0.25
)
_SAY = flags.DEFINE_multi_string(
  'say', [], 'Instruction, "SECONDS: WORDS"; may be repeated.'
)
_HOLD = flags.DEFINE_float(
  'hold', 1.0, 'Seconds for which an instruction is restated.', lower_bound=0
)
_SEED = flags.DEFINE_integer(
  'seed', 0, 'Of the story.', lower_bound=0, upper_bound=2**32 - 1
)
_STEPS = flags.DEFINE_integer(
  'steps',
  None,
  'Euler steps of a chunk; the config has a default.',
  lower_bound=1,
)
_GUIDANCE = flags.DEFINE_float(
  'guidance', None, 'Scale of guidance on words; the config has a default.'
)
_TEMPERATURE = flags.DEFINE_float(
  'temperature', None, 'Of the words; the config has a default.', lower_bound=0
)
flags.mark_flags_as_required(['workdir', 'out'])


def main(_) -> None:
  """Films one story."""
  says = [parse_say(text, _SECONDS.value) for text in _SAY.value]
  workdir = pathlib.Path(_WORKDIR.value)
  out = pathlib.Path(_OUT.value)
  start = starting_frame(_START.value, workdir, _RECORDS.value)
  prompt = start.prompt if _PROMPT.value is None else _PROMPT.value
  teller = storyteller_lib.Storyteller(
    workdir,
    steps=_STEPS.value,
    guidance=_GUIDANCE.value,
    temperature=_TEMPERATURE.value,
  )
  roll = teller.begin(start.frame[None], [prompt], [_SEED.value])
  chunks = teller.chunks_of(_SECONDS.value)
  with tqdm.tqdm(total=chunks - 1, unit='chunk', desc='film') as bar:
    roll = teller.tell(
      roll,
      chunks,
      forced=lambda number: [teller.forced(says, number)],
      watch=lambda _: bar.update(),
    )
  frames, words = teller.frames(roll)[0], teller.words(roll)[0]
  story = {
    'prompt': prompt,
    'start': _START.value,
    'seed': _SEED.value,
    'says': [say._asdict() for say in says],
    'rate': teller.rate,
    'frames': len(frames),
    'ended': not bool(roll.active[0]),
    'words': [
      {'seconds': round(teller.time_of(number), 3), 'text': text}
      for number, text in enumerate(words)
      if text
    ],
    'workdir': str(workdir),
    'sample': teller.settings,
  }
  save(out, story, frames, teller.step)
  for each in story['words']:
    print(f'{each["seconds"]:6.2f} s  {each["text"]}')
  print(f'{out / "story.mp4"}: {len(frames)} frames')


def parse_say(text: str, seconds: float) -> storyteller_lib.Say:
  """`"1.0: turn left"` as an instruction.

  Raises:
    ValueError: no time, or one outside of the story.
  """
  match = re.fullmatch(r'\s*([0-9]*\.?[0-9]+)\s*:\s*(\S.*?)\s*', text)
  if not match:
    raise ValueError(
      f'--say {text!r}: write it as "SECONDS: WORDS", as in "1.0: turn left"'
    )
  time = float(match[1])
  if time >= seconds:
    raise ValueError(
      f'--say {text!r}: {time:g} s is after the end of the story '
      f'(--seconds {seconds:g})'
    )
  return storyteller_lib.Say(time, match[2], _HOLD.value)


def starting_frame(
  start: str, workdir: pathlib.Path, dataset: str | None
) -> storyteller_lib.Start:
  """How the story begins: kept by the workdir, a picture, or recorded film.

  Raises:
    ValueError: none of these.
  """
  if start.isdecimal():
    return storyteller_lib.kept_start(workdir, int(start))
  match = re.fullmatch(r'(\w+):(\d+)', start)
  if not match:
    try:
      with Image.open(start) as picture:
        return storyteller_lib.Start(np.asarray(picture.convert('RGB')), '')
    except OSError as error:
      raise ValueError(
        f'--start {start!r}: no picture ({error}); give a number, a '
        'picture file, or SPLIT:TAKE, as in test:0'
      ) from error
  if dataset is None:
    raise ValueError(f'--start {start!r} needs --records DIR to look in')
  takes, number = records.Takes(dataset, match[1]), int(match[2])
  if number >= len(takes):
    raise ValueError(
      f'--start {start!r}: {dataset} has {len(takes)} takes in {match[1]}'
    )
  take = takes[number]
  return storyteller_lib.Start(take.frames(0, 1)[0], take.prompt)


def save(out: pathlib.Path, story: dict, frames: np.ndarray, step: int) -> None:
  """Writes the story's folder; it appears when it is whole.

  Raises:
    ValueError: there is something else under that name.
  """
  if out.exists() and not (out / 'story.json').exists() and any(out.iterdir()):
    raise ValueError(f'--out {out}: there is something else; name another')
  out.parent.mkdir(parents=True, exist_ok=True)
  partial = out.with_name(f'.{out.name}.{os.getpid()}.partial')
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir()
  try:
    sheet = Image.fromarray(_sheet(frames[::step]))
    sheet.resize((sheet.width * 2, sheet.height * 2), Image.NEAREST).save(
      partial / 'story.png'
    )
    (partial / 'story.mp4').write_bytes(embed.mp4(frames, story['rate']))
    text = json.dumps(story, indent=2) + '\n'
    workdir_lib.write_whole(partial / 'story.json', text)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _sheet(frames: np.ndarray, columns: int = 9) -> np.ndarray:
  """Frames in rows, the last one filled up with black."""
  blank = np.zeros_like(frames[:1])
  missing = -len(frames) % columns
  frames = np.concatenate([frames, *[blank] * missing])
  rows = frames.reshape(-1, columns, *frames.shape[1:])
  return np.concatenate([np.concatenate(list(row), 1) for row in rows])


if __name__ == '__main__':
  run_lib.app(main, mesh=False)
