"""I3D sees what a PyTorch I3D with the same weights sees."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.evaluate import torch_i3d
from tv2tv_jax.evaluate import i3d
from tv2tv_jax.evaluate import i3d_weights


@pytest.fixture(scope='module')
def theirs():
  return torch_i3d.drawn()


@pytest.fixture(scope='module')
def ours(theirs, tmp_path_factory):
  path = tmp_path_factory.mktemp('i3d') / 'rgb.pt'
  torch.save(theirs.state_dict(), path)
  return i3d_weights.restored(path)


def _films(frames):
  """Films of another shape than the net's, smooth enough to move in it."""
  rng = np.random.default_rng(frames)
  films = rng.integers(0, 256, (1, frames, 30, 40, 3), np.uint8)
  return films.repeat(2, axis=2).repeat(2, axis=3)


def _planes(films):
  """Films as the authors of FVD prepare them, in PyTorch."""
  planes = torch.from_numpy(films).permute(0, 1, 4, 2, 3).float()
  planes = functional.interpolate(
    planes.flatten(0, 1), (224, 224), mode='bilinear', align_corners=False
  )
  planes = planes.unflatten(0, films.shape[:2])
  return (2 * planes / 255 - 1).transpose(1, 2)


def test_features_equal_pytorchs(ours, theirs):
  films = _films(10)  # an even number has uneven margins
  with torch.no_grad():
    wanted = theirs(_planes(films)).numpy()
  found = i3d.features(ours, films, batch=1)
  assert 0.3 < wanted.std() < 30
  np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_frames_are_prepared_as_pytorch_would():
  rng = np.random.default_rng(0)
  large = rng.integers(0, 256, (1, 2, 500, 300, 3), np.uint8)
  for films in (_films(2), large):
    found = i3d.prepared(jnp.asarray(films, np.float32))
    wanted = _planes(films).permute(0, 2, 3, 4, 1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


class _Mean(i3d.I3d):
  """Sees how bright a film is."""

  def __init__(self):
    pass

  def __call__(self, films):
    return jnp.tile(jnp.mean(films, (1, 2, 3, 4))[:, None], (1, 400))


def test_features_do_not_depend_on_the_batch():
  films = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 8, 3), np.uint8)
  together, apart = (i3d.features(_Mean(), films, n) for n in (5, 2))
  assert together.shape == (5, 400)
  np.testing.assert_allclose(together, apart, atol=1e-6)
  bright = np.corrcoef(together[:, 0], films.mean((1, 2, 3, 4)))
  assert bright[0, 1] > 0.9


def test_too_few_frames_are_refused(ours):
  with pytest.raises(ValueError, match='films have 8 frames: I3D needs 9'):
    i3d.features(ours, _films(8))


def test_no_fewer_frames_leave_two_to_average():
  left = [i3d.SHORTEST, i3d.SHORTEST - 1]
  for _ in range(3):
    left = [(frames + 1) // 2 for frames in left]
  assert left == [2, 1]


def test_no_films_have_no_features(ours):
  assert i3d.features(ours, _films(9)[:0]).shape == (0, 400)
