"""The films that are judged: free stories, and twins told different words."""

from collections.abc import Callable, Sequence
import hashlib
import io
import json
import pathlib
from typing import NamedTuple

import numpy as np
import tqdm

from configs import schema
from launch import clips
from launch import storyteller as storyteller_lib
from tv2tv_jax.evaluate import obedience
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import telling as telling_lib
from tv2tv_jax.train import workdir as workdir_lib

FREE = 'free'
TWIN = 'nothing'  # Told nothing: what the model does of itself.
TOLD = (*obedience.INSTRUCTIONS, obedience.REFERENCE)
PARTS = (FREE, TWIN, *TOLD)


class Plan(NamedTuple):
  """What is filmed.

  Attributes:
    stories: free stories, side by side.
    story_seconds: of each.
    seeds: pairs, each from its own start.
    told_at: seconds into a pair at which it is told something.
    window: chunks for which that holds; with them the pair ends.
  """

  stories: int = 3
  story_seconds: float = 6.0
  seeds: int = 20
  told_at: float = 1.0
  window: int = 4


class Part(NamedTuple):
  """Films of one kind.

  Attributes:
    frames: uint8 [B, T, Y, X, 3].
    words: of each chunk, for each film.
    prompts: of each film.
    seconds: of wall time that filming took, compilation included.
  """

  frames: np.ndarray
  words: list[list[str]]
  prompts: list[str]
  seconds: float


def film(
  workdir: pathlib.Path,
  records: str,
  folder: pathlib.Path,
  plan: Plan,
  parts: Sequence[str] = PARTS,
) -> dict[str, Part]:
  """Films whatever part is not in `folder` yet, and reads the others.

  Parts of another model or plan are filmed again.

  Args:
    workdir: of launch.train.
    records: the dataset whose test split gives the starting frames.
    folder: keeps each part as a file.
    plan: what to film.
    parts: which of it.
  """
  folder.mkdir(parents=True, exist_ok=True)
  name = _fingerprint(workdir, plan)
  missing = [part for part in parts if not _is_there(folder, part, name)]
  if missing:
    _film(
      workdir,
      records,
      plan,
      missing,
      lambda part, made: _save(folder, part, name, made),
    )
  return {part: _load(folder, part) for part in parts}


def _film(
  workdir: pathlib.Path,
  records: str,
  plan: Plan,
  parts: Sequence[str],
  save: Callable[[str, Part], None],
) -> None:
  """Films parts one by one, each saved when it is done."""
  pairs = [part for part in parts if part != FREE]
  # No fewer than other programs have: what they compiled serves here, too.
  lanes = workdir_lib.read(workdir, schema.StoryRun).sample.lanes
  lanes = max(lanes, plan.stories, plan.seeds if pairs else 0)
  teller = storyteller_lib.Storyteller(workdir, lanes=lanes)
  at = teller.chunk_at(plan.told_at)
  stop = at + plan.window
  long = teller.chunks_of(plan.story_seconds)
  total = (long - 1) * (FREE in parts)
  total += (at - 1) * bool(pairs) + plan.window * len(pairs)
  with tqdm.tqdm(
    total=total, desc='film', unit='chunk', dynamic_ncols=True
  ) as bar:
    if FREE in parts:
      films = _begun(teller, records, plan.stories)
      save(FREE, films.told_on(long, None, bar).part(_elapsed(bar)))
    if pairs:
      since = _elapsed(bar)
      films = _begun(teller, records, plan.seeds)
      shared = films.told_on(at, None, bar)
      for part in pairs:
        words = None if part == TWIN else teller.encode(part)
        told = shared.told_on(stop, words, bar)
        save(part, told.part(_elapsed(bar) - since))
        since = _elapsed(bar)


class _Films(NamedTuple):
  """Stories side by side, and their frames so far; a value, as they are."""

  teller: storyteller_lib.Storyteller
  prompts: list[str]
  tellings: tuple[telling_lib.Telling, ...]
  frames: tuple[tuple[np.ndarray, ...], ...]

  def told_on(
    self, chunks: int, words: tuple[int, ...] | None, bar: tqdm.tqdm
  ) -> '_Films':
    """The stories with so many chunks, told `words` before each new one."""
    tellings, asks = self.tellings, [roll_lib.Ask(words)] * len(self.tellings)
    frames = list(map(list, self.frames))

    def emit(event: telling_lib.Event) -> None:
      if isinstance(event, telling_lib.Filmed):
        frames[event.story].append(event.frames)

    while (count := max(len(t.roll.latents) for t in tellings)) < chunks:
      tellings = self.teller.teller.advance(tellings, asks, emit)
      bar.update()
      if all(telling.roll.ended for telling in tellings):
        bar.update(chunks - count - 1)
        break
    self.teller.teller.wait()
    return self._replace(
      tellings=tuple(tellings), frames=tuple(map(tuple, frames))
    )

  def part(self, seconds: float) -> Part:
    """All films, as long as the longest: one that is over stands still."""
    films = [np.concatenate(each) for each in self.frames]
    words = [self.teller.words(each.roll) for each in self.tellings]
    longest = max(map(len, films))
    filled = [
      np.concatenate([film, np.repeat(film[-1:], longest - len(film), axis=0)])
      for film in films
    ]
    chunks = max(map(len, words))
    said = [[*each, *[''] * (chunks - len(each))] for each in words]
    return Part(np.stack(filled), said, self.prompts, seconds)


def _elapsed(bar: tqdm.tqdm) -> float:
  """Seconds since the bar began."""
  return bar.format_dict['elapsed']


def _begun(
  teller: storyteller_lib.Storyteller, records: str, count: int
) -> _Films:
  """Stories from held-out frames spread over the recording, not chosen."""
  some = next(clips.sample(records, 'test', count=count, length=1, batch=count))
  prompts = [take.prompt for take in some.takes]
  starts = zip(some.frames[:, :1], prompts, strict=True)
  tellings = tuple(
    teller.begin(storyteller_lib.Start(frames, prompt), prompt, seed)
    for seed, (frames, prompt) in enumerate(starts)
  )
  return _Films(teller, prompts, tellings, ((),) * len(tellings))


def _fingerprint(workdir: pathlib.Path, plan: Plan) -> str:
  """Names the run, as far as it has come, and the plan."""
  digest = hashlib.sha256(repr(plan).encode())
  for name in ('config.json', 'metrics.jsonl'):
    path = workdir / name
    if not path.exists():
      raise ValueError(
        f'{workdir}: no {name} there; give the --workdir of launch.train'
      )
    digest.update(path.read_bytes())
  return digest.hexdigest()[:16]


def _path(folder: pathlib.Path, part: str) -> pathlib.Path:
  return folder / f'{part.replace(" ", "_")}.npz'


def _is_there(folder: pathlib.Path, part: str, name: str) -> bool:
  """Whether the part was filmed, by this model and plan."""
  path = _path(folder, part)
  if not path.exists():
    return False
  with np.load(path) as file:
    return str(file['fingerprint']) == name


def _save(folder: pathlib.Path, part: str, name: str, made: Part) -> None:
  """Writes a part under its name when it is whole."""
  buffer = io.BytesIO()
  np.savez_compressed(
    buffer,
    frames=made.frames,
    words=json.dumps(made.words),
    prompts=json.dumps(made.prompts),
    seconds=made.seconds,
    fingerprint=name,
  )
  workdir_lib.write_whole(_path(folder, part), buffer.getvalue())


def _load(folder: pathlib.Path, part: str) -> Part:
  with np.load(_path(folder, part)) as file:
    return Part(
      file['frames'],
      json.loads(str(file['words'])),
      json.loads(str(file['prompts'])),
      float(file['seconds']),
    )
