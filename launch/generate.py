r"""Films a story from a starting frame, a prompt and what you say on the way.

  python -m launch.generate --workdir DIR --out DIR --prompt TEXT --seconds N \
      --say "1.0: turn left" --seed S

The workdir is of launch.train. The story begins with `--start`: the number of a
starting frame that the workdir keeps, a picture file of the model's size, a
video file of which it goes on, or recorded film, `test:7` (take 7 of the split
test of `--records`). `--say` may be given several times: at that time its words
stand before the next chunk, and are restated for `--hold` seconds; between, the
model writes or films as it likes. Nothing after the colon is silence. The words
of `--ending` are said for the last `--hold` seconds.

OUT gets story.json (all that replays it, words and their times), story.mp4,
and story.png, a sheet with one frame of each chunk.

  python -m launch.generate --workdir DIR --replay FOLDER
  python -m launch.generate --workdir DIR --from FOLDER --at 2.5 \
      --say "2.5: turn right" --out DIR
  python -m launch.generate --workdir DIR --prompts FILE.jsonl --out DIR

The first tells a saved story again and says whether it is the same, bit for
bit. The second is another future of it from that time on, with what is said now
in place of what was. The third tells a file of stories, a line each
(launch/stories/prompts.py has its fields), `sample.lanes` side by side; flags
say what a line does not. Run it again to go on: stories that are whole stay.
Several hosts share the work, started with the same flags, `--hosts H`, and
their own `--host`, from 0 to H - 1; they need not know of one another. With
`--mesh=1,1,8` the model is shared by eight devices, its heads split over them.
"""

from collections.abc import Sequence
import pathlib
from typing import Any, get_args

from absl import flags

from launch import run as run_lib
from launch import says as says_lib
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import batch
from launch.stories import fields
from launch.stories import filming
from launch.stories import prompts
from launch.stories import replay
from launch.stories import starts
from tv2tv_jax.flow import solvers
from tv2tv_jax.interleave import story as story_lib

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_OUT = flags.DEFINE_string('out', None, 'Folder that gets the story.')
_PROMPT = flags.DEFINE_string(
  'prompt', None, 'What the story is about; a kept start has its own.'
)
_START = flags.DEFINE_string(
  'start', '0', 'A number, a picture or video file, or SPLIT:TAKE.'
)
_START_SECONDS = flags.DEFINE_float(
  'start_seconds',
  None,
  'Length of a start clip; 1 s of a video, and a frame of all else.',
  lower_bound=0.01,
  upper_bound=prompts.LONGEST,
)
_RECORDS = flags.DEFINE_string(
  'records', None, 'Dataset of takes for --start SPLIT:TAKE.'
)
_SECONDS = flags.DEFINE_float(
  'seconds',
  6.0,
  'Length of the story.',
  lower_bound=prompts.SHORTEST,
  upper_bound=prompts.LONGEST,
)
_SAY = flags.DEFINE_multi_string(
  'say', [], 'Instruction, "SECONDS: WORDS"; may be repeated.'
)
_ENDING = flags.DEFINE_string('ending', None, 'Words that the story ends with.')
_HOLD = flags.DEFINE_float(
  'hold',
  1.0,
  'Seconds for which an instruction is restated.',
  lower_bound=0,
  upper_bound=prompts.LONGEST,
)
_SEED = flags.DEFINE_integer(
  'seed',
  0,
  'Of the story.',
  lower_bound=0,
  upper_bound=story_folder.MOST_SEED,
)
_LAYOUT = flags.DEFINE_enum(
  'layout',
  None,
  get_args(story_lib.Layout),
  'Words beside their chunk, all first, or none; as it was trained.',
)
_STEPS = flags.DEFINE_integer('steps', None, 'From noise to a chunk.')
_SHIFT = flags.DEFINE_float(
  'shift', None, 'Above 1: shorter steps near the noise.'
)
_GUIDANCE = flags.DEFINE_float('guidance', None, 'Scale of guidance on words.')
_GUIDANCE_FROM = flags.DEFINE_float(
  'guidance_from', None, 'Flow time from which chunks are guided: 0 is noise,'
)
_GUIDANCE_TO = flags.DEFINE_float(
  'guidance_to', None, 'and up to which they are: 1 is film.'
)
_TEMPERATURE = flags.DEFINE_float(
  'temperature', None, 'Of the words; 0: always the likeliest.'
)
_TOP_P = flags.DEFINE_float(
  'top_p', None, 'Words are drawn from the likeliest of this probability.'
)
_SOLVER = flags.DEFINE_enum(
  'solver', None, get_args(solvers.Solver), 'How a step goes.'
)
_UNTOLD = flags.DEFINE_enum(
  'untold',
  None,
  ['words', 'story'],
  'What guidance leads away from: these words not said, or none ever.',
)
_REPLAY = flags.DEFINE_string('replay', None, 'Saved story to tell again.')
_FROM = flags.DEFINE_string('from', None, 'Saved story to tell another way.')
_AT = flags.DEFINE_float('at', None, 'Seconds from which on it is another.')
_PROMPTS = flags.DEFINE_string('prompts', None, 'File of stories to tell.')
_HOSTS = flags.DEFINE_integer(
  'hosts', 1, 'Hosts that share the stories of a file.', lower_bound=1
)
_HOST = flags.DEFINE_integer('host', 0, 'Which of them this is.')
flags.mark_flag_as_required('workdir')

# What a story may choose for itself, and what is compiled in.
_SETTINGS = (
  _STEPS,
  _SHIFT,
  _GUIDANCE,
  _GUIDANCE_FROM,
  _GUIDANCE_TO,
  _TEMPERATURE,
  _TOP_P,
)
_COMPILED = (_LAYOUT, _SOLVER, _UNTOLD)
_BEGIN = (_PROMPT, _START, _START_SECONDS, _RECORDS)
_TOLD = (_SAY, _ENDING)


def main(_) -> None:
  """Films one story or many, or one once more."""
  if _PROMPTS.value is None:
    _check_needs(_PROMPTS, _HOSTS, _HOST)
  if _FROM.value is None:
    _check_needs(_FROM, _AT)
  if _REPLAY.value is not None:
    free = (_OUT, _FROM, _PROMPTS, _SECONDS, _HOLD, _SEED, *_BEGIN, *_TOLD)
    _check_alone(_REPLAY, *free, *_SETTINGS, *_COMPILED)
    _replay(pathlib.Path(_REPLAY.value))
    return
  if _OUT.value is None:
    raise ValueError('--out is missing: the folder that gets the story')
  out = pathlib.Path(_OUT.value)
  if _PROMPTS.value is not None:
    _check_alone(_PROMPTS, _FROM, _PROMPT, *_TOLD)
    _tell_many(pathlib.Path(_PROMPTS.value), out)
    return
  story_folder.check_place(out)
  if _FROM.value is not None:
    _check_alone(_FROM, *_BEGIN, *_COMPILED)
    _fork(pathlib.Path(_FROM.value), out)
    return
  _tell(out)


def _tell(out: pathlib.Path) -> None:
  """A new story."""
  line = _line()
  teller = _teller()
  named = f'--start {_START.value!r}'
  start = starts.read(_START.value, _places(), teller, named)
  if _PROMPT.value is None:
    line = line._replace(prompt=start.prompt)
  begun = 1 + (len(start.frames) - 1) // teller.step
  script = prompts.told(line, teller, begun)
  finished = filming.told(teller, filming.Job(out.name, script, lambda: start))
  story_folder.save(out, finished, teller)
  print(filming.summary(out, finished, teller))


def _fork(folder: pathlib.Path, out: pathlib.Path) -> None:
  """Another future of a saved story."""
  line = _line()
  if _AT.value is None:
    raise ValueError(f'--from={folder} needs --at: from when on it is another')
  if out.resolve() == folder.resolve():
    raise ValueError(f'--out={out} is the story of --from: name another')
  saved = replay.loaded(folder, pathlib.Path(_WORKDIR.value))
  teller, chunks = saved.teller, saved.script.chunks
  if _given(_SECONDS):
    fields.between(line.seconds, prompts.SHORTEST, prompts.LONGEST, '--seconds')
    chunks = teller.chunks_of(line.seconds)
  chunk = replay.moment(saved, _AT.value, chunks)
  asks = prompts.asks(line, teller, says_lib.Span(chunk, chunks - 1))

  def change(turn: story_folder.Turn) -> story_folder.Turn:
    settings = fields.settings(turn.settings, _changes(_SETTINGS), f'{folder}')
    seed = line.seed if _given(_SEED) else turn.seed
    return turn._replace(seed=seed, settings=settings)

  script = replay.fork(saved, chunk, asks, change)._replace(chunks=chunks)
  finished = filming.told(teller, replay.job(saved, script))
  before = replay.first_difference(saved, finished)
  if before is not None and before < chunk:
    print(replay.told_apart(saved, before))
  story_folder.save(out, finished, teller)
  print(filming.summary(out, finished, teller))


def _replay(folder: pathlib.Path) -> None:
  """A saved story once more."""
  saved = replay.loaded(folder, pathlib.Path(_WORKDIR.value))
  finished = filming.told(saved.teller, replay.job(saved, saved.script))
  print(replay.verdict(saved, finished))


def _tell_many(path: pathlib.Path, out: pathlib.Path) -> None:
  """The stories of a file."""
  defaults = prompts.Defaults(
    _START.value, _SEED.value, _SECONDS.value, _HOLD.value
  )
  share = batch.Share(host=_HOST.value, hosts=_HOSTS.value)
  lines = prompts.read(path, defaults)
  teller = _teller()
  every = batch.tasks(lines, _places(), teller)
  print(batch.run(out, every, share, teller))


def _line() -> prompts.Line:
  """The story that the flags ask for."""
  ending = None
  if _ENDING.value is not None:
    say = storyteller_lib.Say(0.0, _ENDING.value.strip(), _HOLD.value)
    ending = says_lib.Said(f'--ending {_ENDING.value!r}', say)
  return prompts.Line(
    prefix='--',
    name='',
    prompt=_PROMPT.value or '',
    start=_START.value,
    seed=_SEED.value,
    seconds=_SECONDS.value,
    said=tuple(says_lib.parsed(text, _HOLD.value) for text in _SAY.value),
    ending=ending,
    settings={},
  )


def _teller() -> storyteller_lib.Storyteller:
  """The workdir, with what the flags change."""
  return storyteller_lib.Storyteller(
    pathlib.Path(_WORKDIR.value), **_changes((*_SETTINGS, *_COMPILED))
  )


def _places() -> starts.Places:
  """Where starts are looked for."""
  return starts.Places(
    pathlib.Path(_WORKDIR.value), _RECORDS.value, _START_SECONDS.value
  )


def _changes(some: Sequence[flags.FlagHolder]) -> dict[str, Any]:
  """The values of flags that have one."""
  return {flag.name: flag.value for flag in some if flag.value is not None}


def _given(flag: flags.FlagHolder) -> bool:
  """Whether it is on the command line."""
  return bool(flags.FLAGS[flag.name].present)


def _check_alone(mode: flags.FlagHolder, *others: flags.FlagHolder) -> None:
  """ValueError if a flag is given that a mode has no use for."""
  for flag in others:
    if _given(flag):
      raise ValueError(
        f'--{mode.name} and --{flag.name} contradict one another: give one'
      )


def _check_needs(mode: flags.FlagHolder, *others: flags.FlagHolder) -> None:
  """ValueError if a flag is given that only another mode has a use for."""
  for flag in others:
    if _given(flag):
      raise ValueError(f'--{flag.name} needs --{mode.name}')


if __name__ == '__main__':
  run_lib.app(main, mesh='here')
