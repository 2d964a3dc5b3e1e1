"""Whether stories did as they were told, each instruction a trial.

Where a person put the same words before several chunks one after another, that
is one trial, judged over the chunks filmed under it by `evaluate.obedience`. A
story of the same start, seed and prompt that was told nothing, its twin, says
in the same chunks how often that happens of itself; one that was told to move
forward there is what the film must be told apart from.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from launch import verdicts
from launch.evaluation.told import parts as parts_lib
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import intervals
from tv2tv_jax.evaluate import obedience

# Seconds between which trials are counted together: a story gets worse with
# its length, not second by second.
TIMES = (0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
ALL = 'all'  # The row of every instruction together.

Trial = Mapping[str, Any]


class Run(NamedTuple):
  """The same words before some chunks of a story."""

  word: str
  chunk: int
  chunks: int


class Trials(NamedTuple):
  """All that stories were told.

  Attributes:
    judged: the trials; the fields are those of `_judged`.
    unread: how often words were told that are no control of the reader.
    unfilmed: how often a story ended before what it was to be told.
  """

  judged: list[Trial]
  unread: dict[str, int]
  unfilmed: dict[str, int]


def told(record: Mapping[str, Any]) -> list[Run]:
  """What a story was told, in order; silence is nothing told."""
  found: list[Run] = []
  for chunk, word in sorted((int(c), w) for c, w in record['asks'].items()):
    last = found[-1] if found else Run('', 0, 0)
    if last.word == word and last.chunk + last.chunks == chunk:
      found[-1] = last._replace(chunks=last.chunks + 1)
    else:
      found.append(Run(word, chunk, 1))
  return [run for run in found if run.word]


def of(parts: Sequence[parts_lib.Part], names: Sequence[str]) -> Trials:
  """Every trial of some stories, in their order.

  Args:
    parts: what is known of the stories.
    names: of the controls that their reader knows.
  """
  trials = Trials([], {}, {})
  families: dict[tuple, list[parts_lib.Part]] = {}
  for part in parts:
    families.setdefault(_family(part), []).append(part)
  known = {w for head in controls.recorded(names) for w in head.words if w}
  for part in parts:
    for run in told(part.record):
      run = run._replace(chunks=min(run.chunks, _chunks(part) + 1 - run.chunk))
      if run.word not in known:
        trials.unread[run.word] = trials.unread.get(run.word, 0) + 1
      elif run.chunks < 1:
        trials.unfilmed[run.word] = trials.unfilmed.get(run.word, 0) + 1
      else:
        trials.judged.append(_judged(part, run, families[_family(part)]))
  return trials


def _family(part: parts_lib.Part) -> tuple:
  """What stories share that differ in nothing but what they are told."""
  record = part.record
  return record['start']['sha256'], record['seed'], record['prompt']


def _chunks(part: parts_lib.Part) -> int:
  """Chunks that were filmed; those of the start are none."""
  return (part.record['frames'] - 1) // part.record['chunk_frames']


def _judged(
  part: parts_lib.Part, run: Run, family: Sequence[parts_lib.Part]
) -> Trial:
  """The verdict on a trial, and its twin's."""
  begin = 1 + (run.chunk - 1) * part.record['chunk_frames']
  trial = {
    'story': part.name,
    'word': run.word,
    'chunk': run.chunk,
    'chunks': run.chunks,
    'seconds': round(begin / part.record['rate'], 3),
    'seed': part.record['seed'],
    'start': part.record['start']['sha256'][:16],
    'model': part.record['checkpoint'].get('fingerprint'),
    'apart': None,
    'twin': None,
  }
  window = seen(part, run)
  trial |= _verdict(window, run.word)
  trial['leaning'] = float(obedience.leaning(window.beliefs, run.word)[0])
  forward = _forward(family, run)
  if forward is not None:
    against = obedience.judged(run.word, window, forward)
    trial['apart'] = against.apart and bool(against.apart.hits)
  last = run.chunk + run.chunks - 1
  for other in family:
    if not told(other.record) and _chunks(other) >= last:
      twin = _verdict(seen(other, run), run.word)
      trial['twin'] = {'story': other.name, **twin}
      break
  return trial


def _verdict(window: obedience.Window, word: str) -> dict[str, Any]:
  """Whether a film did what a word says; where motion says nothing, None."""
  verdict = obedience.judged(word, window)
  moved = verdict.moved and bool(verdict.moved.hits)
  return {'obeyed': bool(verdict.obeyed.hits), 'moved': moved}


def _forward(
  family: Sequence[parts_lib.Part], run: Run
) -> obedience.Window | None:
  """What the story shows that was told to move forward in the same chunks."""
  if run.word == obedience.REFERENCE:
    return None
  wanted = run._replace(word=obedience.REFERENCE)
  for part in family:
    is_whole = _chunks(part) >= run.chunk + run.chunks - 1
    if is_whole and wanted in told(part.record):
      return seen(part, run)
  return None


def seen(part: parts_lib.Part, run: Run) -> obedience.Window:
  """What the witnesses saw of the chunks of a run, a film of its own."""
  first, last = run.chunk - 1, run.chunk - 1 + run.chunks
  step = part.record['chunk_frames']
  return obedience.Window(
    {head: each[None, first:last] for head, each in part.beliefs.items()},
    part.travel[None, first * step : last * step].mean(axis=1),
  )


def table(
  trials: Sequence[Trial], ceilings: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
  """Counts of trials with their 95 % intervals, by word and by time.

  Args:
    trials: of one set of stories, or of several together.
    ceilings: what of real film obeys each word; as of `real.ceilings`.

  Returns:
    `rows`, one for each word and `ALL` for the instructions, of which moving
    forward is none; and `times`, rows of all instructions between two seconds.
  """
  words = dict.fromkeys(trial['word'] for trial in trials)
  order = [*obedience.instructions([*words]), obedience.REFERENCE]
  words = sorted(words, key=lambda word: (_place(order, word), word))
  instructed = [t for t in trials if t['word'] != obedience.REFERENCE]
  rows = [
    _row(word, [t for t in trials if t['word'] == word]) for word in words
  ]
  rows.append(_row(ALL, instructed))
  for row in rows:
    row |= ceilings.get(row['instruction'], {})
    row['corrected'] = verdicts.corrected(row)
  return {'rows': rows, 'times': list(_times(instructed))}


def _place(order: Sequence[str], word: str) -> int:
  return order.index(word) if word in order else len(order)


def _times(trials: Sequence[Trial]) -> Iterator[dict[str, Any]]:
  """Rows of the trials that begin between two times."""
  for begin, end in zip(TIMES, (*TIMES[1:], np.inf), strict=True):
    some = [trial for trial in trials if begin <= trial['seconds'] < end]
    if some:
      bounds = {'from': begin, 'to': end if np.isfinite(end) else None}
      yield {**bounds, **_row(ALL, some)}


def _row(word: str, trials: Sequence[Trial]) -> dict[str, Any]:
  """The counts of some trials; None where nothing can be counted."""
  twins = {}
  for trial in trials:
    if trial['twin']:
      window = trial['word'], trial['chunk'], trial['chunks']
      # Two stories may share a twin, which is asked once.
      twin = trial['model'], trial['start'], trial['twin']['story']
      twins[*twin, *window] = trial['twin']
  return {
    'instruction': word,
    'obeyed': _count(trials, 'obeyed'),
    'moved': _count(trials, 'moved'),
    'apart': _count(trials, 'apart'),
    'twins': _count([*twins.values()], 'obeyed'),
    'twins_moved': _count([*twins.values()], 'moved'),
  }


def _count(
  trials: Sequence[Mapping[str, Any]], field: str
) -> dict[str, Any] | None:
  """How many of the trials for which a field says anything say yes."""
  hits = [trial[field] for trial in trials if trial[field] is not None]
  if not hits:
    return None
  return verdicts.entry(intervals.counted(np.array(hits)))
