"""Verdicts on films counted: a row for each word, beside what real film has."""

from collections.abc import Mapping
import math
from typing import Any

from launch import witness
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import intervals
from tv2tv_jax.evaluate import obedience


def table(
  told: Mapping[str, obedience.Window],
  twins: obedience.Window,
  real: Mapping[str, witness.Real],
) -> dict[str, Any]:
  """The obedience table: for each instruction, every count with its interval.

  Args:
    told: of roll-outs told each word and `obedience.REFERENCE`; rows are seeds.
    twins: of those told nothing.
    real: of real film, for each word.
  """
  rows = []
  for word, film in real.items():
    verdict = obedience.judged(word, told[word], told[obedience.REFERENCE])
    base = obedience.judged(word, twins)
    rows.append(
      {
        'instruction': word,
        'obeyed': entry(verdict.obeyed),
        'moved': entry(verdict.moved),
        'apart': entry(verdict.apart),
        'twins': entry(base.obeyed),
        'twins_moved': entry(base.moved),
        **ceiling(word, film),
        'travel': [round(float(x), 3) for x in told[word].travel],
      }
    )
  return {'rows': rows, 'turns': _turns(rows)}


def ceiling(word: str, real: witness.Real) -> dict[str, Any]:
  """The verdict on real film; told apart from as many other windows.

  `ceiling_free` is of windows in which the word did not hold: how many of them
  are read as if it did.
  """
  count = min(len(real.told.travel), len(real.forward.travel))

  def first(window):
    beliefs = {name: each[:count] for name, each in window.beliefs.items()}
    return obedience.Window(beliefs, window.travel[:count])

  whole = obedience.judged(word, real.told)
  pairs = obedience.judged(word, first(real.told), first(real.forward))
  free = intervals.counted(obedience.obeys(real.free, word))
  return {
    'ceiling': entry(whole.obeyed),
    'ceiling_chunks': real.chunks,
    'ceiling_moved': entry(whole.moved),
    'ceiling_apart': entry(pairs.apart),
    'ceiling_free': entry(free),
  }


def corrected(row: Mapping[str, Any]) -> dict[str, float | None] | None:
  """The share of a row that obeyed, without what the reader gets wrong.

  Args:
    row: of a table, with `obeyed` and what `ceiling` says.

  Returns:
    As `intervals.corrected`; None where that cannot be said.
  """
  entries = [row.get(k) for k in ('obeyed', 'ceiling', 'ceiling_free')]
  if not all(entries):
    return None
  read, held, free = (
    intervals.Count(each['hits'], each['trials']) for each in entries
  )
  found = intervals.corrected(read, held, free.missed)
  return None if math.isnan(found.share) else found._asdict()


def entry(count: intervals.Count | None) -> dict[str, Any] | None:
  """A count as it stands in the report."""
  if count is None:
    return None
  low, high = count.interval
  return {
    'hits': count.hits,
    'trials': count.trials,
    'share': count.share if count.trials else None,
    'low': low,
    'high': high,
  }


def described(window: obedience.Window, row: int) -> str:
  """What the witnesses saw of one film, in words."""
  words = []
  for head in controls.HEADS:
    place = int(window.beliefs[head.name][row].sum(axis=0).argmax())
    words += [head.words[place]] if head.words[place] else []
  travel = float(window.travel[row])
  arrow = '→' if travel > 0 else '←'
  moved = f'scene {abs(travel):.1f} px {arrow}'.replace(' ', '\u00a0')
  return f'seen: {", ".join(words) or "nothing"}; {moved}'


def _turns(rows: list[dict[str, Any]]) -> dict[str, Any]:
  """Left and right together, by motion."""
  total = {}
  for name in ('moved', 'ceiling_moved'):
    counts = [row[name] for row in rows if row[name]]
    hits, trials = (sum(c[k] for c in counts) for k in ('hits', 'trials'))
    total[name] = entry(intervals.Count(hits, trials))
  return total
