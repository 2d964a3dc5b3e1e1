"""A VAE is trained and measured; another one goes on from its weights."""

import dataclasses
import json
import pathlib

import pytest

from data_pipelines.prepare import record
from data_pipelines.sources import vizdoom
from launch import vae_start
from tests.launch import programs
from tv2tv_jax.train import metrics
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import wan


def network():
  """A network that sees light and shade, for `config.loss.features`."""
  return lambda pictures: [pictures, pictures[:, ::4, ::4].mean(-1)[..., None]]


@pytest.fixture(scope='module')
def film(tmp_path_factory):
  """A few seconds of one map."""
  out = tmp_path_factory.mktemp('film') / 'film'
  source = vizdoom.Vizdoom(minutes=0.1, seed=1, maps=('duel',))
  record.record(source, out, processes=1)
  return out


def _command(film: pathlib.Path, workdir: pathlib.Path, *fields: str) -> tuple:
  return (
    'launch.train_vae',
    *programs.TINY_VAE,
    f'--workdir={workdir}',
    f'--config.data.records={film}',
    *(f'--config.{field}' for field in fields),
  )


@pytest.fixture(scope='module')
def vae(film, tmp_path_factory):
  """The workdir of a run as short as can be."""
  workdir = tmp_path_factory.mktemp('vae') / 'vae'
  done = programs.run(*_command(film, workdir))
  assert done.returncode == 0, done.stderr
  return workdir


def _report(workdir: pathlib.Path) -> dict:
  return json.loads((workdir / 'report.json').read_text())


def test_a_vae_is_trained_and_measured(film, vae):
  report = _report(vae)
  assert report['steps'] == 3
  assert report['psnr'] > 15.0  # The linear path alone; a net starts near 5.
  assert 0.3 < report['ssim'] < 1.0
  for name in ('psnr', 'ssim'):
    places = report[f'{name}_per_frame']
    assert len(places) == 13
    assert sum(places) / 13 == pytest.approx(report[name])
  assert (vae / 'reconstructions.png').stat().st_size > 1000
  assert json.loads((vae / 'latents.json').read_text())['fingerprint']
  records = metrics.read(vae / 'metrics.jsonl')
  assert not any('adversary/real' in each for each in records)
  other = programs.run(*_command(film, vae, 'vae.taps=3'))
  assert 'config.vae.taps is 3, was 2' in programs.error(other)


def test_two_processes_train_the_same_vae(film, vae, tmp_path):
  """And leave the same report, once; also of clips that do not share out."""
  done = programs.pair(*_command(film, tmp_path, 'data.held_out=31'))
  assert [each.returncode for each in done] == [0, 0], done[0].stderr
  said = ['dB on held-out clips' in each.stdout for each in done]
  assert said == [True, False]
  alone, both = _report(vae), _report(tmp_path)
  assert (alone['held_out_clips'], both['held_out_clips']) == (32, 31)
  assert both['psnr'] == pytest.approx(alone['psnr'], abs=0.1)
  one, two = (
    {
      r['step']: r['loss']
      for r in metrics.read(each / 'metrics.jsonl')
      if 'loss' in r
    }
    for each in (vae, tmp_path)
  )
  assert one and two == pytest.approx(one, rel=1e-5)


def test_training_goes_on_from_weights_with_all_there_is(film, vae, tmp_path):
  """Pictures, a network and an adversary, at a rate that moves nothing far."""
  fields = {
    'weights': vae,
    'data.images': 0.5,
    'data.image_batch': 2,
    'vae.lowering': 'planes',
    'loss.scales': 3,
    'loss.perceptual': 0.1,
    'loss.features': 'tests.launch.test_vae:network',
    'adversary.weight': 0.1,
    'adversary.start': 0.5,
    'adversary.width': 4,
    'adversary.depth': 1,
    'train.steps': 4,
    'train.log_every': 1,
    'train.optimizer.rate': 1e-7,
  }
  fields = [f'{name}={value}' for name, value in fields.items()]
  done = programs.run(*_command(film, tmp_path / 'more', *fields))
  assert done.returncode == 0, done.stderr
  report = _report(tmp_path / 'more')
  assert report['psnr'] == pytest.approx(_report(vae)['psnr'], abs=0.01)
  assert report['fingerprint'] != _report(vae)['fingerprint']
  records = metrics.read(tmp_path / 'more' / 'metrics.jsonl')
  assert [r['step'] for r in records if 'perceptual' in r] == [1, 2, 3, 4]
  for name in ('adversary/real', 'adversary/fake', 'adversary/vae'):
    assert [r['step'] for r in records if name in r] == [3, 4]


def test_weights_of_another_vae_are_refused(vae):
  config = workdir_lib.read(vae, train_vae.VaeRun).vae
  other = dataclasses.replace(config, taps=3, latent_channels=8)
  with pytest.raises(ValueError) as error:
    vae_start.beginning(vae, other)
  assert str(error.value) == (
    f'config.weights: {vae} holds another VAE: '
    'config.vae.latent_channels is 8, was 16; config.vae.taps is 3, was 2'
  )
  with pytest.raises(ValueError, match=r"family is 'wan', was 'folds'"):
    vae_start.beginning(vae, wan.WanConfig())
  vae_start.beginning(vae, dataclasses.replace(config, lowering='volume'))


def test_records_must_be_named(tmp_path):
  done = programs.run(
    'launch.train_vae', *programs.TINY_VAE, f'--workdir={tmp_path / "vae"}'
  )
  assert 'config.data.records is empty' in programs.error(done)
  assert not (tmp_path / 'vae').exists()
