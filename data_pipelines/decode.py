"""Video bytes to frames.

A take is stored as H.264 with a key frame every four frames, so that a range
of frames costs little more than itself.
"""

from typing import Any

from av.video import reformatter
import numpy as np

from data_pipelines import container as container_lib


def decode(
  video: bytes, *, start: int = 0, stop: int | None = None, where: str = ''
) -> np.ndarray:
  """Frames `start` to `stop` of a video, uint8 [T, Y, X, 3].

  Args:
    video: the bytes of an mp4 or of any other container PyAV opens.
    start: first frame.
    stop: frame after the last one, None for all.
    where: dataset, record and field, for the errors.

  Raises:
    ValueError: the bytes are no video, are cut short or are damaged, or the
      video has fewer than `stop` frames.
  """
  where = where or 'video'
  try:
    with (
      container_lib.opened(video, where) as (container, stream),
      container_lib.decoding(f'{where}: does not decode'),
    ):
      frames = _decoded(container, stream, start, stop)
  except ValueError as error:
    raise ValueError(
      f'{error}; {len(video)} bytes: record this dataset again'
    ) from None
  wanted = None if stop is None else stop - start
  if not frames or (wanted is not None and len(frames) < wanted):
    raise ValueError(
      f'{where}: holds {start + len(frames)} frames, '
      f'frames {start} to {stop} were asked for'
    )
  return np.stack(frames)


def _decoded(
  container: Any, stream: Any, start: int, stop: int | None
) -> list[np.ndarray]:
  """The frames of a range, as many of them as there are."""
  # One for all frames, without threads of its own: setting one up costs ten
  # times a conversion (128x128).
  converter = reformatter.VideoReformatter()
  first = 0
  if start:
    step = 1 / ((stream.average_rate or 0) * stream.time_base)
    container.seek(round(start * step), stream=stream)
  frames = []
  for position, frame in enumerate(container.decode(stream)):
    if position == 0 and start:
      first = round(frame.pts / step)
    if first + position < start:
      continue
    if stop is not None and first + position >= stop:
      break
    rgb = converter.reformat(frame, format='rgb24', threads=1)
    frames.append(rgb.to_ndarray())
  return frames
