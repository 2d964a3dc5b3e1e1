"""The inverse dynamics model of a workdir is trained once, and read again."""

import json

from flax import nnx
import numpy as np
import pytest

from launch.evaluation import reader
from tests.launch import told
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint


@pytest.fixture
def trained(tmp_path, monkeypatch):
  """How often a reader was trained; it is one of chance."""
  calls = []

  def train(dataset, vae, workdir, config):
    calls.append(dataset)
    assert vae == 'a VAE' and config.minutes is None
    model = inverse_dynamics.InverseDynamics(
      inverse_dynamics.InverseDynamicsConfig(height=16, width=24),
      rngs=nnx.Rngs(3),
    )
    leaves = {'model': checkpoint.named(model), 'ema': checkpoint.named(model)}
    contents = bundle.contents(leaves, data={}, fingerprints={})
    bundle.write(workdir / checkpoint.FOLDER / '7', leaves, contents)
    return model

  monkeypatch.setattr(reader.witness, 'train', train)
  monkeypatch.setattr(reader.vae_folder, 'restored', lambda path: 'a VAE')
  return calls


def test_a_reader_is_trained_once_and_comes_back(tmp_path, trained):
  dataset = told.recorded(tmp_path / 'walls')
  workdir = tmp_path / 'reader'
  first = reader.trained(workdir, dataset, 'vae')
  assert trained == [dataset]
  assert first.names == told.NAMES and first.rate == told.RATE
  again = reader.trained(workdir, '', '')
  assert trained == [dataset] and again.fingerprint == first.fingerprint
  chunks = np.zeros((2, 5, 16, 24, 3), np.uint8)
  for name, beliefs in inverse_dynamics.read(first.model, chunks).items():
    same = inverse_dynamics.read(again.model, chunks)[name]
    np.testing.assert_array_equal(beliefs, same)
  first.check({'rate': 8.0, 'chunk_frames': 4, 'size': [16, 24]}, 'a')
  with pytest.raises(ValueError, match=r'a: size is \[24, 16\], the inverse'):
    first.check({'rate': 8.0, 'chunk_frames': 4, 'size': [24, 16]}, 'a')


def test_what_is_missing_is_named(tmp_path):
  with pytest.raises(ValueError, match=r'no reader\.json there; it is trained'):
    reader.trained(tmp_path, 'records', '')
  (tmp_path / reader.NAME).write_text(json.dumps({'rate': 8.0}))
  with pytest.raises(ValueError, match=r'reader\.json: controls is missing'):
    reader.trained(tmp_path, '', '')
