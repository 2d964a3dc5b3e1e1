"""To PyTorch and back, every bit is what it was; parts are those of others."""

import json

import diffusers
from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as numpy_file
import torch
import transformers

from configs import schema
from launch.conversion import job
from launch.conversion import plan as plan_lib
from tests import tiny
from tests.launch import workdirs
from tv2tv_jax.train import averaged
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib

_BF16 = plan_lib.DTYPES['bf16']
_LLAMA = dict(query_key_norm=False)


def _to(workdir, out, **asked):
  return job.convert('to-pytorch', workdir, out, plan_lib.Asked(**asked))


def _back(folder, out):
  return job.convert('from-pytorch', folder, out, plan_lib.Asked())


def _report(folder):
  return json.loads((folder / 'report.json').read_text())


def _bits(leaf):
  leaf = np.asarray(leaf)
  return leaf.view(f'u{leaf.dtype.itemsize}')


def _model(workdir):
  """The parameters that tell the stories of a workdir."""
  run = workdir_lib.read(workdir, schema.StoryRun)
  return checkpoint.named(
    checkpoint.restore_model(
      workdir, lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key))
    )
  )


def _same(ours, others, change=lambda leaf: leaf):
  """Whether the bits of all parameters are the same."""
  assert ours.keys() == others.keys()
  for name, leaf in ours.items():
    wanted = np.asarray(change(others[name]))
    np.testing.assert_array_equal(_bits(leaf), _bits(wanted), err_msg=name)


def _files(folder):
  return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize(
  ('family', 'changes'),
  [
    ('folds', {}),
    ('wan', {'tied': False}),
    ('cosmos', {'coder': 'linear'}),
  ],
)
def test_there_and_back_is_the_same(tmp_path, family, changes):
  workdir = workdirs.write(tmp_path / 'run', family=family, **changes)
  there, home, again = (tmp_path / n for n in ('there', 'home', 'again'))
  said = _to(workdir, there, ema=True, most=20_000)
  assert len(list(there.glob('model-*.safetensors'))) > 3
  report = _report(there)
  assert f'{len(report["tensors"])} tensors of' in said
  assert report['max_difference'] == 0.0
  assert report['made_of'][0]['part'] == 'ema'
  index = json.loads((there / 'model.safetensors.index.json').read_text())
  there_names = {line['there'] for line in report['tensors']}
  assert there_names == index['weight_map'].keys()

  _back(there, home)
  _same(_model(home), _model(workdir))
  vaes = [
    checkpoint.named(vae_folder.restored(w / 'vae')) for w in (home, workdir)
  ]
  _same(*vaes)
  for name in ('latents.json', 'vae/latents.json', 'tokenizer.model'):
    assert (home / name).read_bytes() == (workdir / name).read_bytes()
  run = workdir_lib.read(home, schema.StoryRun)
  before = workdir_lib.read(workdir, schema.StoryRun)
  assert run.sources == schema.Sources()
  assert (run.model, run.data, run.sample) == (
    before.model, before.data, before.sample,
  )  # fmt: skip
  assert _report(home)['steps'] == workdirs.STEP
  count = sum(leaf.size for leaf in _model(home).values())
  assert _report(home)['parameters'] == count

  _to(home, again, most=20_000)
  one, other = _files(there), _files(again)
  del one['report.json'], other['report.json']
  assert one == other


def test_in_bfloat16_it_is_what_bfloat16_can_be(tmp_path):
  workdir = workdirs.write(tmp_path / 'run', parts=('ema',))
  there, home, again = (tmp_path / n for n in ('there', 'home', 'again'))
  _to(workdir, there, dtype=_BF16)
  config = json.loads((there / 'config.json').read_text())
  assert config['torch_dtype'] == 'bfloat16'
  report = _report(there)
  assert {line['dtype'] for line in report['tensors']} == {'bfloat16'}
  assert 0 < report['max_difference'] < 0.01
  _back(there, home)

  def rounded(leaf):
    return leaf.astype(jnp.bfloat16).astype(jnp.float32)

  _same(_model(home), _model(workdir), rounded)
  _to(home, again, dtype=_BF16)
  one, other = (_files(f)['model.safetensors'] for f in (there, again))
  assert one == other
  assert _report(again)['max_difference'] == 0.0


def test_the_trained_weights_or_the_averaged_ones(tmp_path):
  workdir = workdirs.write(tmp_path / 'run')
  run = workdir_lib.read(workdir, schema.StoryRun)
  for part, asked in (('model', {}), ('ema', {'ema': True})):
    _to(workdir, tmp_path / part, **asked)
    held = numpy_file.load_file(tmp_path / part / 'model.safetensors')
    wanted = workdirs.leaves(('model', 'ema').index(part), run)['embedding']
    np.testing.assert_array_equal(held['embed_tokens.weight'], wanted)


def test_a_release_has_the_averaged_ones_alone(tmp_path):
  workdir = workdirs.write(tmp_path / 'run')
  released = workdirs.write(tmp_path / 'released')
  (released / 'LICENSE').write_text('Free.')
  for path in sorted((released / 'checkpoints').rglob('*'), reverse=True):
    path.unlink() if path.is_file() else path.rmdir()
  averaged.write(workdir, workdirs.STEP, released)
  _to(released, tmp_path / 'one')
  _to(workdir, tmp_path / 'other', ema=True)
  one, other = (
    _files(tmp_path / n)['model.safetensors'] for n in ('one', 'other')
  )
  assert one == other
  assert 'LICENSE' in (tmp_path / 'one' / 'README.md').read_text()
  _back(tmp_path / 'one', tmp_path / 'home')
  assert (tmp_path / 'home' / 'LICENSE').read_text() == 'Free.'


def test_transformers_loads_it_all(tmp_path):
  _to(workdirs.write(tmp_path / 'run'), tmp_path / 'there', most=30_000)
  model = transformers.AutoModel.from_pretrained(
    tmp_path / 'there', trust_remote_code=True
  )
  held = {}
  for path in (tmp_path / 'there').glob('*.safetensors'):
    held |= numpy_file.load_file(path)
  parameters = dict(model.named_parameters())
  assert parameters.keys() == held.keys()
  for name, value in parameters.items():
    np.testing.assert_array_equal(value.detach().numpy(), held[name])


@pytest.mark.parametrize('tied', [False, True])
@pytest.mark.parametrize('factor', [1.0, 8.0])
def test_the_text_tower_is_a_llama(tmp_path, tied, factor):
  rope = tiny.config().towers.rope.__class__(theta=1e4, factor=factor)
  workdir = workdirs.write(tmp_path / 'run', tied=tied, rope=rope, **_LLAMA)
  _to(workdir, tmp_path / 'there', part='text')
  theirs, said = transformers.LlamaForCausalLM.from_pretrained(
    tmp_path / 'there', output_loading_info=True
  )
  assert not any(said.values()), said
  tokens = np.random.default_rng(1).integers(0, workdirs.VOCABULARY, (2, 40))
  with torch.no_grad():
    wanted = theirs.eval()(torch.from_numpy(tokens)).logits.numpy()
  assert wanted.std() > 0.1
  run = workdir_lib.read(workdir, schema.StoryRun)
  ours = checkpoint.restore_model(
    workdir,
    lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key)),
    part='model',
  )
  index = np.broadcast_to(np.arange(40), tokens.shape)
  arrays = (tokens, index, np.zeros_like(index))
  text = model_lib.Text(*(jnp.asarray(a, jnp.int32) for a in arrays))
  logits = tiny.run(ours, text).logits
  np.testing.assert_allclose(logits, wanted, atol=1e-4, rtol=0)
  job.convert('llama', tmp_path / 'there', tmp_path / 'home', plan_lib.Asked())
  held = json.loads((tmp_path / 'home' / 'model.json').read_text())
  assert held['tied'] == tied
  assert held['towers']['rope']['factor'] == factor


@pytest.mark.parametrize('kind', ['wan', 'cosmos'])
def test_the_vae_is_one_of_diffusers(tmp_path, kind):
  workdir = workdirs.write(tmp_path / 'run', family=kind)
  _to(workdir, tmp_path / 'there', part='vae', most=10_000)
  assert len(list((tmp_path / 'there').glob('*.safetensors'))) > 1
  family = {
    'wan': diffusers.AutoencoderKLWan,
    'cosmos': diffusers.AutoencoderKLCosmos,
  }[kind]
  theirs, said = family.from_pretrained(
    tmp_path / 'there', output_loading_info=True
  )
  assert not any(said.values()), said
  ours = vae_folder.restored(workdir / 'vae')
  time, space, _ = ours.config.stride
  shape = (1, 1 + 2 * time, 2 * space, 3 * space, 3)
  clip = np.random.default_rng(0).uniform(-1, 1, shape).astype('f4')
  with torch.no_grad():
    there = torch.from_numpy(clip.transpose(0, 4, 1, 2, 3))
    latents = theirs.encode(there).latent_dist.mode()
    frames = theirs.decode(latents).sample.numpy().transpose(0, 2, 3, 4, 1)
  latents = latents.numpy().transpose(0, 2, 3, 4, 1)
  own = jax.jit(lambda vae, clip: vae.encode(clip)[0].mean)(ours, clip)
  np.testing.assert_allclose(own, latents, atol=1e-4, rtol=0)
  shown = jax.jit(lambda vae, z: vae.decode(z)[0])(ours, jnp.asarray(latents))
  np.testing.assert_allclose(
    np.clip(shown, -1, 1), np.clip(frames, -1, 1), atol=1e-4, rtol=0
  )
  job.convert(
    f'{kind}-vae', tmp_path / 'there', tmp_path / 'home', plan_lib.Asked()
  )
  _same(
    checkpoint.named(vae_folder.restored(tmp_path / 'home')),
    checkpoint.named(ours),
  )
  assert (tmp_path / 'home/latents.json').read_bytes() == (
    workdir / 'vae/latents.json'
  ).read_bytes()
