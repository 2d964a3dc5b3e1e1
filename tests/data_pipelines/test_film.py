"""Frame k of what is read is frame k of the source, at the time it is shown."""

import fractions
import io
import weakref

import av
import numpy as np
from PIL import Image
import pytest

from data_pipelines import container
from data_pipelines import decode
from data_pipelines import film
from tests.data_pipelines import counter

_REORDERED = {'bf': '3', 'g': '12'}
_KINDS = {
  'mp4 with B-frames': (('mp4', 'libx264'), _REORDERED),
  'mp4 with short groups': (('mp4', 'libx264'), {'bf': '0', 'g': '4'}),
  'mp4 in fragments': (
    ('mp4', 'libx264'),
    {**_REORDERED, '+movflags': 'frag_keyframe+empty_moov'},
  ),
  'mov': (('mov', 'libx264'), _REORDERED),
  'mkv': (('matroska', 'libx264'), _REORDERED),
  'webm of VP9': (('webm', 'libvpx-vp9'), {'cpu-used': '8'}),
  'webm of VP8': (('webm', 'libvpx'), {'cpu-used': '8'}),
  'avi': (('avi', 'mpeg4'), {}),
  'avi with B-frames': (('avi', 'libx264'), _REORDERED),
}
# Milliseconds, irregular, and not from 0.
_TIMES = (
  540, 560, 563, 600, 711, 712, 713, 800, 801, 950, 1000, 1033, 1066, 1100,
  1400, 1402, 1404, 1455, 1500, 1533, 1571, 1600, 1750, 1755,
)  # fmt: skip


def _numbers(shown):
  return [counter.read(frame) for _, frame in shown]


def _remuxed(data, shift):
  """The same packets, all of them so many ticks later."""
  buffer = io.BytesIO()
  options = {'avoid_negative_ts': 'disabled'}
  with (
    av.open(io.BytesIO(data)) as source,
    av.open(buffer, 'w', format='mp4', options=options) as target,
  ):
    stream = source.streams.video[0]
    copy = target.add_stream_from_template(stream)
    for packet in source.demux(stream):
      if packet.dts is not None:
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        packet.stream = copy
        target.mux(packet)
  return buffer.getvalue()


@pytest.mark.parametrize('rate', [25, 30, fractions.Fraction(30000, 1001)])
@pytest.mark.parametrize('name', _KINDS)
def test_every_frame_is_the_sources(name, rate):
  kind, options = _KINDS[name]
  data = counter.film(24, kind, rate=rate, options=options)
  info = film.probe(data)
  assert info[1:4] == (64, 48, 1.0) and info.rate == pytest.approx(float(rate))
  assert film.length(data) == pytest.approx(24 / float(rate), abs=1e-3)
  for asked in (0, info.rate):
    shown = list(film.frames(data, rate=asked))
    assert _numbers(shown) == list(range(24))
    want = np.arange(24) / float(rate)
    np.testing.assert_allclose([at for at, _ in shown], want, atol=5.1e-4)
  shown = film.frames(data, rate=info.rate / 2.5)
  assert _numbers(shown) == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]


@pytest.mark.parametrize('kind', [('mp4', 'libx264'), ('matroska', 'libx264')])
def test_at_variable_rate_the_frame_is_the_one_shown_then(kind):
  times = np.array(_TIMES) - _TIMES[0]
  data = counter.film(24, kind, times=_TIMES, options=_REORDERED)
  shown = list(film.frames(data))
  assert _numbers(shown) == list(range(24))
  np.testing.assert_allclose([at for at, _ in shown], times / 1000, atol=1e-9)
  for rate in (5, 16, 24, 60, 29.97):
    shown = list(film.frames(data, rate=rate))
    at = np.array([at for at, _ in shown])
    np.testing.assert_allclose(at, np.arange(len(at)) / rate, atol=1e-5)
    want = np.searchsorted(times, at * 1000 + 0.5, side='right') - 1
    assert _numbers(shown) == list(want)
    last = times[-1] / 1000
    assert last <= at[-1] + 1 / rate and at[-1] < film.length(data)


def test_a_file_may_begin_before_or_after_its_film():
  data = counter.film(24, options={'bf': '0', 'g': '4'})
  for shift, want in ((0, range(24)), (900, range(24)), (-3072, range(6, 24))):
    moved = _remuxed(data, shift)
    shown = list(film.frames(moved))
    assert _numbers(shown) == list(want)
    np.testing.assert_allclose(
      [at for at, _ in shown], np.arange(len(want)) / 25, atol=1e-9
    )
    assert film.length(moved) == pytest.approx(len(want) / 25)


@pytest.mark.parametrize('degrees', [0, 90, 180, -90])
@pytest.mark.parametrize('mirror', [False, True])
def test_pictures_stand_upright(degrees, mirror):
  picture = np.array(Image.fromarray(counter.drawn(0b10010)))
  picture[:24, :32] = (200, 40, 40)
  buffer = io.BytesIO()
  with av.open(buffer, 'w', format='mp4') as target:
    stream = target.add_stream('libx264rgb', rate=25, options={'crf': '0'})
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = 'rgb24'
    stream.set_display_rotation(degrees, hflip=mirror)
    for _ in range(5):
      frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
      target.mux(stream.encode(frame))
    target.mux(stream.encode())
  want = np.rot90(picture, degrees // 90)
  want = want[:, ::-1] if mirror else want
  for _, shown in film.frames(buffer.getvalue()):
    np.testing.assert_array_equal(shown, want)
  info = film.probe(buffer.getvalue())
  assert (info.height, info.width) == want.shape[:2]


def test_a_slanted_picture_is_refused():
  buffer = io.BytesIO()
  with av.open(buffer, 'w', format='mp4') as target:
    stream = target.add_stream('libx264', rate=25)
    stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
    stream.set_display_rotation(30)
    frame = av.VideoFrame.from_ndarray(counter.drawn(1), format='rgb24')
    target.mux(stream.encode(frame))
    target.mux(stream.encode())
  with pytest.raises(ValueError, match=r'slanted: .*only quarter turns'):
    list(film.frames(buffer.getvalue(), where='slanted'))


@pytest.mark.parametrize(
  ('pix_fmt', 'kind', 'size'),
  [
    ('yuv420p', ('webm', 'libvpx-vp9'), (63, 47)),
    ('yuv444p', ('mp4', 'libx264'), (61, 49)),
    ('yuva420p', ('webm', 'libvpx-vp9'), (64, 48)),
    ('rgba', ('mov', 'png'), (64, 48)),
    ('gray', ('matroska', 'ffv1'), (64, 48)),
    ('gray16le', ('matroska', 'ffv1'), (64, 48)),
    ('yuv420p10le', ('matroska', 'ffv1'), (64, 48)),
    ('yuvj420p', ('mp4', 'mjpeg'), (64, 48)),
  ],
)
def test_pictures_of_any_kind_are_rgb(pix_fmt, kind, size):
  data = counter.film(9, kind, pix_fmt=pix_fmt, size=size)
  shown = [frame for _, frame in film.frames(data)]
  assert [counter.read(frame) for frame in shown] == list(range(9))
  for number, frame in enumerate(shown):
    assert frame.dtype == np.uint8 and frame.shape == (*size[::-1], 3)
    assert frame.flags.c_contiguous
    off = np.abs(frame - counter.drawn(number, *size).astype(int)).mean()
    assert off < 4, 'a level of black or white is wrong'


def test_colour_is_turned_by_the_matrix_of_the_file():
  colour = np.full((48, 64, 3), (200, 60, 30), np.uint8)
  for matrix in ('ITU601', 'ITU709'):
    buffer = io.BytesIO()
    with av.open(buffer, 'w', format='mp4') as target:
      stream = target.add_stream('libx264', rate=25, options={'crf': '1'})
      stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
      stream.colorspace = {'ITU601': 6, 'ITU709': 1}[matrix]
      for _ in range(3):
        frame = av.VideoFrame.from_ndarray(colour, format='rgb24')
        frame = frame.reformat(format='yuv420p', dst_colorspace=matrix)
        target.mux(stream.encode(frame))
      target.mux(stream.encode())
    for _, shown in film.frames(buffer.getvalue()):
      np.testing.assert_allclose(shown, colour, atol=4)


def test_the_largest_middle_is_scaled():
  assert film.middle((100, 50), (32, 32)) == (25, 0, 75, 50, 32, 32)
  assert film.middle((50, 100), (64, 32)) == (0, 37.5, 50, 62.5, 64, 32)
  # Pixels twice as wide as high: 50 of them show a square.
  assert film.middle((100, 100), (32, 32), 2.0) == (25, 0, 75, 100, 32, 32)
  assert film.parse_size('128x96') == (128, 96)
  for size in ('128', '0x8', '128x', '-1x2', '1e3x2', '٣x٣'):
    with pytest.raises(ValueError, match='give WIDTHxHEIGHT'):
      film.parse_size(size)
  data = counter.film(6, size=(96, 48))
  for _, frame in film.frames(data, size=(16, 16)):
    assert frame.shape == (16, 16, 3)
  whole = next(film.frames(data))[1]
  seen = next(film.frames(data, size=(16, 16)))[1]
  box = Image.fromarray(whole[:, 24:72]).resize((16, 16), Image.LANCZOS)
  np.testing.assert_allclose(seen, np.asarray(box), atol=3)


def test_no_film_is_held_whole():
  alive = weakref.WeakSet()
  most = 0
  for _, frame in film.frames(counter.film(60), rate=25):
    alive.add(_Kept(frame))
    most = max(most, len(alive))
  assert most <= 2


class _Kept:
  """Lives as long as an array does."""

  def __init__(self, array):
    self._end = weakref.finalize(array, lambda kept: None, self)


def test_a_range_of_stored_frames_is_that_range():
  data = counter.film(49, rate=16, options={'bf': '0', 'g': '4'})
  for start, stop in ((0, 49), (0, 1), (3, 4), (4, 9), (17, 49), (48, 49)):
    frames = decode.decode(data, start=start, stop=stop)
    assert [counter.read(frame) for frame in frames] == list(range(start, stop))


def test_what_is_no_film_is_named(tmp_path):
  text = tmp_path / 'letter.mp4'
  text.write_text('dear')
  with pytest.raises(ValueError, match=r'letter\.mp4: not a video'):
    film.probe(text)
  with pytest.raises(ValueError, match=r'none\.mp4: no such file'):
    film.probe(tmp_path / 'none.mp4')
  for data in (b'', counter.sound(), counter.sound(counter.drawn(1))):
    with pytest.raises(container.NoFilmError, match=r'silent: has no \w+'):
      film.probe(data, where='silent')
    with pytest.raises(container.NoFilmError, match=r'silent: has no \w+'):
      next(film.frames(data, where='silent'))
  listed = b'#EXTM3U\n#EXTINF:1,\n' + bytes(text.parent / 'a.mp4') + b'\n'
  with pytest.raises(ValueError, match='list: not a video'):
    film.probe(listed, where='list')
  for rate in (-1, float('nan'), 1e-9):
    with pytest.raises(ValueError, match='film: rate is'):
      next(film.frames(counter.film(3), rate=rate, where='film'))


@pytest.mark.parametrize('name', _KINDS)
def test_a_file_cut_short_is_named(name):
  kind, options = _KINDS[name]
  data = counter.film(24, kind, options=options)
  for length in range(1, len(data), len(data) // 23):
    with pytest.raises(ValueError, match='film: '):
      list(film.frames(data[:length], where='film'))
    with pytest.raises(ValueError, match='film: '):
      film.length(data[:length], where='film')


def test_damage_is_named_after_the_frames_before_it():
  data = counter.film(24, options={'bf': '0', 'g': '4'})
  with av.open(io.BytesIO(data)) as source:
    packets = [packet for packet in source.demux(video=0) if packet.size]
  start, size = packets[12].pos, packets[12].size
  damaged = data[: start + 5] + bytes(size - 5) + data[start + size :]
  seen = []
  with pytest.raises(ValueError, match='film: does not decode after 12 frames'):
    for _, frame in film.frames(damaged, where='film'):
      seen.append(counter.read(frame))
  assert seen == list(range(11)), 'the end of frame 11 was not known'


def test_a_picture_that_grows_is_named():
  kind = ('webm', 'libvpx')
  buffer = io.BytesIO()
  with av.open(buffer, 'w', format='webm') as target:
    stream = None
    for part, size in enumerate(((64, 48), (128, 96))):
      with av.open(io.BytesIO(counter.film(5, kind, size=size))) as source:
        stream = stream or target.add_stream_from_template(
          source.streams.video[0]
        )
        for packet in source.demux(video=0):
          if packet.dts is not None:
            packet.pts, packet.dts = packet.pts + 200 * part, None
            packet.stream = stream
            target.mux(packet)
  with pytest.raises(ValueError, match='film: frame 5 is 128x96, those before'):
    list(film.frames(buffer.getvalue(), where='film'))


def test_a_frame_that_is_shown_for_long_is_named():
  data = counter.film(3, times=(0, 40, 3_000_000), kind=('matroska', 'libx264'))
  with pytest.raises(
    ValueError, match=r'film: frame 1 is shown from 0\.04 to 3000 s'
  ):
    list(film.frames(data, rate=16, where='film'))
