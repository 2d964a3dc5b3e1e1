"""A VAE of diffusers, converted, says what it said there."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import torch

from tests.interop import vaes
from tests.launch import programs
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import vae as vae_lib

_NONE = {'latents_mean': None, 'latents_std': None}
_SHAPES = {
  'Wan 2.1': ('wan-vae', dict(
    base_dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
    temperal_downsample=[False, True, True],
  )),
  'two frames': ('wan-vae', dict(
    base_dim=12, decoder_base_dim=8, z_dim=4, dim_mult=[1, 2, 2],
    num_res_blocks=1, temperal_downsample=[True, False],
    scale_factor_temporal=2, scale_factor_spatial=4,
    latents_mean=[0.1] * 4, latents_std=[2.0] * 4,
  )),
  'three levels': ('wan-vae', dict(
    base_dim=16, decoder_base_dim=12, z_dim=8, dim_mult=[1, 1, 2],
    temperal_downsample=[True, True], scale_factor_spatial=4,
    latents_mean=[0.1] * 8, latents_std=[2.0] * 8,
  )),
  'CV4x8x8': ('cosmos-vae', dict(
    encoder_block_out_channels=[8, 16, 24, 24],
    decode_block_out_channels=[16, 24, 24, 24], patch_size=2,
    temporal_compression_ratio=4,
  )),
  'CV8x8x8': ('cosmos-vae', dict(
    encoder_block_out_channels=[8, 12, 16, 12],
    decode_block_out_channels=[12, 8, 16, 12], latent_channels=4,
    num_layers=1, resolution=64, attention_resolutions=[8], **_NONE,
  )),
  'pixels': ('cosmos-vae', dict(
    encoder_block_out_channels=[8, 12, 16],
    decode_block_out_channels=[12, 8, 16], latent_channels=8, num_layers=1,
    patch_type='rearrange', temporal_compression_ratio=4, resolution=32,
    attention_resolutions=[8, 1], **_NONE,
  )),
}  # fmt: skip
_FRAMES = 17
# One process: starting another takes longer than a conversion.
_ALL = """
import sys
from absl import flags
from launch import convert, run

def main(argv):
  for kind, source, out in zip(argv[1::3], argv[2::3], argv[3::3]):
    flags.FLAGS.out = out
    convert.main([argv[0], kind, source])

run.app(main, mesh='none', arguments=len(sys.argv))
"""


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
  """The VAE of diffusers, and the folder that it became, of each shape."""
  folder = tmp_path_factory.mktemp('vaes')
  found, arguments = {}, []
  for name, (kind, fields) in _SHAPES.items():
    model = vaes.drawn(kind, **fields)
    source, out = folder / f'{name} there', folder / name
    model.save_pretrained(source, max_shard_size='200KB')
    arguments += [kind, str(source), str(out)]
    found[name] = model, out
  done = subprocess.run(
    [sys.executable, '-c', _ALL, '--out=', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert len(done.stdout.splitlines()) == len(_SHAPES)
  return found


# Compiled without passes that take longer than these programs run.
_OPTIONS = {'xla_backend_optimization_level': 0}
_encode = jax.jit(vae_lib.Vae.encode, compiler_options=_OPTIONS)
_decode = jax.jit(vae_lib.Vae.decode, compiler_options=_OPTIONS)


def _streamed(run, vae, clip, later):
  """What becomes of a clip whose first frame comes first, then so many."""
  parts, past = [], None
  for begin in [0, *range(1, clip.shape[1], later)]:
    end = begin + later if begin else 1
    part, past = run(vae, clip[:, begin:end], past)
    parts.append(part)
  return jax.tree.map(lambda *each: np.concatenate(each, 1), *parts)


def _ours(values):
  """Values of PyTorch [B, C, T, Y, X] as ours."""
  return values.permute(0, 2, 3, 4, 1).numpy()


def _agree(ours, theirs):
  """Equal up to rounding, and numbers of a size that shows."""
  assert ours.shape == theirs.shape
  assert theirs.std() > 0.2
  np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize('name', _SHAPES)
def test_latents_and_frames_are_those_of_diffusers(converted, name):
  model, out = converted[name]
  vae = vae_folder.restored(out)
  clip = torch.rand((1, 3, _FRAMES, 16, 24)) * 2 - 1
  with torch.no_grad():
    there, first = (
      model.encode(each).latent_dist for each in (clip, clip[:, :, :1])
    )
    latents = torch.randn(there.mode().shape)
    frames = model.decode(latents).sample
    frame = model.decode(latents[:, :, :1]).sample
  stride = vae.config.stride[0]
  ours = _streamed(_encode, vae, _ours(clip), stride)
  _agree(ours.mean, _ours(there.mode()))
  _agree(ours.mean[:, :1], _ours(first.mode()))
  shown = _streamed(_decode, vae, _ours(latents), 1)
  if ours.log_variance is not None:
    _agree(ours.log_variance, _ours(there.logvar))
    shown = np.clip(shown, -1, 1)  # As theirs does.
    assert (np.abs(shown) < 1).mean() > 0.5
  assert shown.shape[1] == _FRAMES
  _agree(shown, _ours(frames))
  _agree(shown[:, :1], _ours(frame))


@pytest.mark.parametrize('name', ['two frames', 'pixels'])
def test_a_whole_clip_at_once_is_the_same(converted, name):
  model, out = converted[name]
  vae = vae_folder.restored(out)
  clip = torch.rand((1, 3, 9, 16, 16)) * 2 - 1
  with torch.no_grad():
    latents = model.encode(clip).latent_dist.mode()
    frames = model.decode(latents).sample
  _agree(_encode(vae, _ours(clip))[0].mean, _ours(latents))
  shown = _decode(vae, _ours(latents))[0]
  _agree(np.clip(shown, -1, 1), np.clip(_ours(frames), -1, 1))


@pytest.mark.parametrize('name', ['three levels', 'CV8x8x8'])
def test_the_folder_is_that_of_a_vae(converted, name):
  model, out = converted[name]
  run = workdir_lib.read(out, train_vae.VaeRun)
  vae = vae_folder.restored(out)
  assert run == train_vae.VaeRun(vae=vae.config)
  statistics, fingerprint = latents_lib.load(out / 'latents.json')
  text = config_lib.to_json(run.vae)
  assert fingerprint == latents_lib.fingerprint(vae, text)
  report = json.loads((out / 'report.json').read_text())
  kind, fields = _SHAPES[name]
  channels = run.vae.latent_channels
  mean, std = fields['latents_mean'], fields['latents_std']
  remarks = [] if mean else ['it has no statistics of latents: mean 0, devi']
  assert [r[: len(remarks[0])] for r in report['remarks']] == remarks
  np.testing.assert_array_equal(statistics.mean, np.float32(mean or 0))
  np.testing.assert_array_equal(statistics.std, np.float32(std or 1))
  assert statistics.mean.shape == statistics.std.shape == (channels,)
  tensors = {tensor['source'] for tensor in report['tensors']}
  assert tensors == dict(model.named_parameters()).keys()
  files = {file['name'] for file in report['files']}
  assert len(files) > 3  # Shards.
  assert 'config.json' in files
  numbers = sum(np.prod(tensor['shape']) for tensor in report['tensors'])
  assert numbers == sum(value.numel() for value in model.parameters())
  assert kind.startswith(run.vae.family)


def test_every_device_of_a_mesh_gets_it(converted):
  _, out = converted['pixels']
  alone = vae_folder.restored(out)
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    leaves = jax.tree.leaves(vae_folder.restored(out))
  assert all(leaf.sharding.is_fully_replicated for leaf in leaves)
  assert {len(leaf.sharding.device_set) for leaf in leaves} == {8}
  for leaf, other in zip(leaves, jax.tree.leaves(alone), strict=True):
    np.testing.assert_array_equal(leaf, other)


def _convert(kind, source, out, *flags):
  return programs.run('launch.convert', kind, source, f'--out={out}', *flags)


def test_bfloat16_stays_unless_asked(tmp_path):
  model = vaes.drawn('wan-vae', **vaes.TINY['wan-vae']).to(torch.bfloat16)
  model.save_pretrained(tmp_path / 'there')
  fingerprints = set()
  for dtype, flags in (('bfloat16', ()), ('float32', ('--dtype=float32',))):
    out = tmp_path / dtype
    done = _convert('wan-vae', tmp_path / 'there', out, *flags)
    assert done.returncode == 0, done.stderr
    report = json.loads((out / 'report.json').read_text())
    assert {tensor['dtype'] for tensor in report['tensors']} == {dtype}
    fingerprints.add(latents_lib.load(out / 'latents.json')[1])
  assert len(fingerprints) == 1
  vae = vae_folder.restored(out)
  assert {leaf.dtype for leaf in jax.tree.leaves(vae)} == {np.dtype('f4')}
  ours = vae.decoder.head.conv.kernel[...]
  theirs = model.decoder.conv_out.weight.detach().float()
  np.testing.assert_array_equal(ours, theirs.permute(2, 3, 4, 1, 0))


def test_a_finished_conversion_is_left_and_another_refused(tmp_path):
  source, out = tmp_path / 'there', tmp_path / 'out'
  done = _convert('cosmos-vae', vaes.write(source, 'cosmos-vae', **_NONE), out)
  assert done.returncode == 0, done.stderr
  assert 'it has no statistics of latents' in done.stdout
  files = [path for path in out.rglob('*') if path.is_file()]
  before = {path: path.stat().st_mtime_ns for path in files}
  assert 'is there already' in _convert('cosmos-vae', source, out).stdout
  done = _convert('wan-vae', source, out)
  assert "'AutoencoderKLCosmos': a folder of another" in programs.error(done)
  config = json.loads((source / 'config.json').read_text())
  config |= {'latents_mean': [0.0] * 2, 'latents_std': [1.0] * 2}
  (source / 'config.json').write_text(json.dumps(config))
  done = _convert('cosmos-vae', source, out)
  assert 'not made of these files' in programs.error(done)
  assert {path: path.stat().st_mtime_ns for path in before} == before
  assert {path.name for path in tmp_path.iterdir()} == {'there', 'out'}
