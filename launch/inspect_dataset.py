"""What is in a dataset of takes or of latents: in figures, and on a sheet."""

from collections.abc import Iterator
import pathlib

import numpy as np

from data_pipelines import latents
from data_pipelines import records
from data_pipelines.prepare import pieces
from data_pipelines.prepare import report as report_lib
from data_pipelines.prepare import words
from launch import density
from launch import sheet as sheet_lib

_MOST = 2000  # records that are looked at
_ROWS = 6  # of a sheet
_SHOTS = 8  # of a row


def report(path: pathlib.Path, sheet: pathlib.Path) -> str:
  """Describes a dataset, and draws some of it into a file.

  Raises:
    ValueError: no dataset, or a damaged one.
  """
  encoded = (path / latents.METADATA).is_file()
  open_split = latents.Clips if encoded else records.Takes
  found = {split: open_split(path, split) for split in records.splits(path)}
  if encoded:
    lines = _of_latents(found)
  else:
    lines = [*_of_takes(found), *_of_recording(path)]
  some = [
    (f'{split} {index}', found[split][index])
    for split in found
    for index in _spread(len(found[split]), _ROWS // len(found))
  ]
  row = _clip_row if encoded else _take_row
  drawn = sheet_lib.draw([row(name, each) for name, each in some])
  sheet.parent.mkdir(parents=True, exist_ok=True)
  drawn.save(sheet)
  return '\n'.join([str(path), *lines, f'sheet: {sheet}'])


def _of_takes(found: dict[str, records.Takes]) -> Iterator[str]:
  """Lines about takes."""
  names = 'sizes', 'frames/s', 'frames of a take', 'sources', 'licences'
  seen = {name: set() for name in names}
  origins, told = {}, density.Density()
  for split, takes in found.items():
    frames, seconds, origins[split] = 0, 0.0, set()
    chosen = _spread(len(takes), _MOST)
    for take in map(takes.__getitem__, chosen):
      length = (take.frame_count - 1) / take.rate
      frames, seconds = frames + take.frame_count, seconds + length
      told.add(take.segments, length)
      origins[split].add(take.origin)
      size = f'{take.width}x{take.height}'
      values = size, take.rate, take.frame_count, take.source, take.license
      for name, value in zip(names, values, strict=True):
        seen[name].add(value)
    scale = len(takes) / len(chosen)
    yield (
      f'{split}: {len(takes)} takes of {len(origins[split])} origins, '
      f'{frames * scale:,.0f} frames, {seconds * scale / 3600:.3f} hours'
      + (f' (by {len(chosen)} takes of them)' if scale > 1 else '')
    )
  both = set.intersection(*origins.values()) if len(origins) > 1 else set()
  if both:
    yield f'warning: {len(both)} origins are in every split: {min(both)}, ...'
  for name, values in seen.items():
    yield f'{name}: {_listed(values)}'
  yield from told.lines()


def _of_recording(path: pathlib.Path) -> Iterator[str]:
  """Lines about what was not kept."""
  file = path / report_lib.SUMMARY
  if file.is_file():
    summary = pieces.read(file, dict)
    for reason, count in summary['dropped'].items():
      yield f'dropped: {count} {reason}'
    if summary['cut']:
      yield f'cut at ends of takes: {summary["cut"]} frames'


def _of_latents(found: dict[str, latents.Clips]) -> Iterator[str]:
  """Lines about clips of latents."""
  lengths, shapes, takes, texts = set(), set(), set(), []
  for split, clips in found.items():
    chosen = _spread(len(clips), _MOST)
    for clip in map(clips.__getitem__, chosen):
      lengths.add(len(clip.latents))
      shapes.add('x'.join(map(str, clip.latents.shape[1:])))
      takes.add(clip.take)
      texts.extend(map(len, clip.word_ids[1:]))
    looked = f' ({len(chosen)} looked at)' if len(chosen) < len(clips) else ''
    yield f'{split}: {len(clips)} clips{looked}'
  metadata = next(iter(found.values())).metadata
  told = [count for count in texts if count]
  yield f'takes: {len(takes)}'
  yield f'latents of a clip: {_listed(lengths)}'
  yield f'latent, height x width x channels: {_listed(shapes)}'
  yield f'stored as {metadata.dtype}, at {metadata.rate} frames/s'
  yield f'VAE {metadata.fingerprint}, tokenizer {metadata.tokenizer}'
  yield (
    f'words before {len(told) / max(1, len(texts)):.0%} of the chunks, '
    f'{np.mean(told) if told else 0:.1f} tokens where there are any, '
    f'{max(told, default=0)} at most'
  )


def _take_row(name: str, take: records.Take) -> sheet_lib.Row:
  """Frames of a take with the words that begin in their time."""
  places = _spread(take.frame_count, _SHOTS)
  times = [place / take.rate for place in places]
  ends = [*times[1:], float('inf')]
  said = [s for s in take.segments if s['kind'] != words.PROMPT]
  frames = take.frames()
  return sheet_lib.Row(
    f'{name}: {take.take}: {take.prompt}',
    [
      sheet_lib.Shot(
        frames[place],
        begin,
        [
          f'{s["start"]:.1f} {s["text"]}'
          for s in said
          if begin <= s['start'] < end
        ],
      )
      for place, begin, end in zip(places, times, ends, strict=True)
    ],
  )


def _clip_row(name: str, clip: latents.Clip) -> sheet_lib.Row:
  """Latents of a clip, three channels as colours, with the words before."""
  places = _spread(len(clip.latents), _SHOTS)
  ends = [*places[1:], len(clip.latents)]
  three = np.zeros((*clip.latents.shape[:3], 3))
  channels = clip.latents[..., :3].astype(np.float32)
  three[..., : channels.shape[-1]] = channels
  shades = np.clip(128 + 50 * three, 0, 255).astype(np.uint8)
  return sheet_lib.Row(
    f'{name}: {clip.take} from {clip.start:.1f} s: {clip.prompt}',
    [
      sheet_lib.Shot(
        shades[place],
        place,
        [f'{i}: {clip.words[i]}' for i in range(place, end) if clip.words[i]],
      )
      for place, end in zip(places, ends, strict=True)
    ],
  )


def _spread(length: int, most: int) -> list[int]:
  """Places spread evenly over a length, the first and the last among them."""
  count = min(length, max(1, most))
  return np.linspace(0, length - 1, count).round().astype(int).tolist()


def _listed(values: set, most: int = 6) -> str:
  """Some values, and how many there are more."""
  shown = sorted(values)[:most]
  more = f' and {len(values) - most} more' if len(values) > most else ''
  return ', '.join(str(each) or "''" for each in shown) + more
