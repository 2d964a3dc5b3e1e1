"""Video bytes to frames.

A take is stored as H.264 in RGB with a key frame every four frames, so that a
range of frames costs little more than itself.
"""

import io

import av
import numpy as np


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
    frames = _decode(video, start, stop)
  except (av.FFmpegError, IndexError) as error:
    raise ValueError(
      f'{where}: {len(video)} bytes do not decode as video ({error}); '
      'record this dataset again'
    ) from None
  wanted = None if stop is None else stop - start
  if not frames or (wanted is not None and len(frames) < wanted):
    raise ValueError(
      f'{where}: holds {start + len(frames)} frames, '
      f'frames {start} to {stop} were asked for'
    )
  return np.stack(frames)


def _decode(video, start, stop):
  with av.open(io.BytesIO(video)) as container:
    stream = container.streams.video[0]
    # Frames are tiny: a second thread costs more than it brings.
    stream.codec_context.thread_count = 1
    # Without 'explode' the codec paints over damage and says nothing.
    stream.codec_context.options = {'err_detect': 'explode'}
    first = 0
    if start:
      step = 1 / (stream.average_rate * stream.time_base)
      container.seek(round(start * step), stream=stream)
    frames = []
    for position, frame in enumerate(container.decode(stream)):
      if position == 0 and start:
        first = round(frame.pts / step)
      if first + position < start:
        continue
      if stop is not None and first + position >= stop:
        break
      frames.append(frame.to_ndarray(format='rgb24'))
    return frames
