"""PyTorch says what JAX says: words, velocities, pictures, loss, gradients."""

import copy
import dataclasses
import sys

import jax
import numpy as np
import pytest
from safetensors import torch as safetensors
import torch
import transformers as transformers_lib
from transformers import dynamic_module_utils

from tests import tiny
from tests.launch import exported
from tests.vae import small
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.nn import rope
from tv2tv_jax.train import exercise as exercise_lib
from tv2tv_jax.train import objective

_MOST = 1e-4
_OTHER = story_lib.Story((6,), ((), (12,)), ended=False)
_FRAMES = dataclasses.replace(tiny.config().frames, coder='linear')
_KINDS = {
  'unet': {},
  'linear': dict(
    frames=_FRAMES,
    tied=False,
    query_key_norm=False,
    chunk_places='chunk',
    window=7,
    sink=3,
    rope=rope.RopeConfig(theta=100.0, factor=8.0, original_length=64),
  ),
}


@pytest.fixture(scope='module')
def vae():
  return small.new(dataclasses.replace(small.FOLDS, latent_channels=3))


@pytest.fixture(scope='module', params=_KINDS)
def both(request, vae):
  """The same model here and there."""
  model = tiny.model(**_KINDS[request.param])
  return model, exported.ported(model, vae)


@pytest.fixture(scope='module')
def folder(tmp_path_factory, vae):
  path = tmp_path_factory.mktemp('export') / 'tiny'
  return exported.write(path, tiny.model(), vae)


@pytest.fixture
def transformers(tmp_path, monkeypatch):
  """The package, which keeps what it copies of our code in a folder of ours."""
  cache = str(tmp_path / 'modules')
  monkeypatch.setattr(dynamic_module_utils, 'HF_MODULES_CACHE', cache)
  monkeypatch.setattr(sys, 'path', [*sys.path])
  return transformers_lib


def _inputs(model, layout):
  """A row of one story, and a packed one."""
  rows = tiny.row(
    tiny.STORY, [_OTHER, _OTHER], layout=layout, span=model.config.span
  )
  return rows, tiny.streams(rows, tiny.latents(1, 2), tiny.latents(2, 2))


def _agree(row, out, wanted):
  """Logits and velocities of all that is no padding."""
  for ours, theirs, story in (
    (wanted.logits, out.logits, row.story),
    (wanted.velocity, out.velocity, row.chunk_story),
  ):
    there = np.asarray(story) >= 0
    assert np.abs(np.asarray(ours)[there]).max() > 0.5
    assert exported.difference(theirs.detach()[there], ours[there]) < _MOST


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
@pytest.mark.filterwarnings('ignore:flex_attention called without')
def test_logits_and_velocities_are_the_same(both, layout):
  """By either engine of attention."""
  model, port = both
  row, inputs = _inputs(model, layout)
  wanted = tiny.run(model, *inputs)
  for port.engine in ('flex', 'sdpa'):
    with torch.no_grad():
      _agree(row, port(*exported.streams(inputs)), wanted)


def test_what_was_read_before_is_seen(both):
  """A row in two calls, its beginning in memory, is the row in one."""
  model, port = both
  row, inputs = _inputs(model, 'tv2tv')
  wanted = tiny.run(model, *inputs)
  text, clean, noisy = exported.streams(inputs)
  words = [each.split((6, 18), 1) for each in text]
  films = [each.split((1, 4), 1) for each in clean]
  with torch.no_grad():
    first = port(
      *(
        kind(*(e[0] for e in each))
        for kind, each in ((type(text), words), (type(clean), films))
      )
    )
    out = port(
      type(text)(*(each[1] for each in words)),
      type(clean)(*(each[1] for each in films)),
      noisy,
      first.memory,
    )
  logits = torch.cat([first.logits, out.logits], 1)
  _agree(row, out._replace(logits=logits), wanted)


def test_loss_and_gradients_are_the_same(both, vae):
  """A step of fine-tuning, from the same noise and times."""
  model, port = both
  row, _ = _inputs(model, 'tv2tv')
  batch = {**row._asdict(), 'latents': tiny.latents(1, 2)}
  config = objective.ObjectiveConfig(text_weight=0.7, drop_words=0.5, flip=0.5)
  exercise = exercise_lib.prepared(batch, jax.random.key(0), config)

  @jax.jit
  @jax.value_and_grad
  def wanted(model):
    return objective.loss(model, exercise, config=config)[0]

  value, gradients = wanted(model)
  text, clean, noisy, *rest = exported.host(exercise)
  out = port(*exported.streams((text, clean, noisy)))
  velocity, following, _, said, _, filmed, _ = map(exported.there, rest)
  loss = exported.modeling.loss(
    out, following, said, velocity, filmed, (0.7, 1.0)
  )
  assert loss.item() == pytest.approx(float(value), abs=_MOST)
  port.zero_grad()
  loss.backward()
  found = dict(port.named_parameters())
  for name, ours in exported.tensors(gradients, vae).items():
    if not name.startswith('vae.'):
      assert exported.difference(found[name].grad, ours) < _MOST, name


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
def test_a_row_is_laid_out_as_ours(both, layout):
  """Places, and which tokens are learned."""
  model, port = both
  stories = [_OTHER, _OTHER]
  ours = tiny.row(stories, layout=layout, span=model.config.span)
  row = exported.modeling.lay_out(port, stories, 24, 5, layout)
  batch = {**ours._asdict(), 'latents': tiny.latents(0, 1)}
  plain = objective.ObjectiveConfig(drop_words=0.0)
  wanted = exercise_lib.prepared(batch, jax.random.key(0), plain)
  said = np.asarray(wanted.said)
  for one, other in (
    (row.text.tokens, ours.tokens),
    (row.text.index, ours.index),
    (row.text.story, ours.story),
    (row.index, ours.chunk_index),
    (row.story, ours.chunk_story),
    (row.said, said),
    (row.following[torch.tensor(said)], wanted.following[said]),
  ):
    np.testing.assert_array_equal(one.numpy(), other)


def test_both_ways_to_load_give_the_same(folder, transformers):
  """By transformers, and without; in bfloat16 too."""
  inputs = exported.streams(_inputs(tiny.model(), 'tv2tv')[1])
  out = {}
  for dtype in (torch.float32, torch.bfloat16):
    theirs = transformers.AutoModel.from_pretrained(
      folder, trust_remote_code=True, dtype=dtype
    )
    ours = exported.modeling.load(folder, dtype=dtype)
    assert dataclasses.asdict(ours.sampling) == dataclasses.asdict(
      theirs.sampling
    )
    with torch.no_grad():
      out[dtype], same = (model(*inputs) for model in (ours, theirs))
    assert torch.equal(out[dtype].velocity, same.velocity)
    assert torch.equal(out[dtype].logits, same.logits)
  exact, rough = (each.velocity[0, :4] for each in out.values())
  assert rough.dtype == torch.float32
  assert 0 < (exact - rough).abs().max() < 0.2


def test_no_transformers_are_needed(folder, monkeypatch):
  monkeypatch.setitem(sys.modules, 'transformers', None)
  monkeypatch.setitem(sys.modules, 'modeling_tv2tv', None)
  alone = exported.imported(folder / 'modeling_tv2tv.py')
  assert alone.load(folder).sampling.steps == 20


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda held: held.pop('text.norm.weight'), r'missing.*text\.norm\.weight'),
    (
      lambda held: held.update({'text.more': np.zeros(2, 'f4')}),
      r'text\.more',
    ),
    (
      lambda held: held.update({'text.norm.weight': np.zeros(31, 'f4')}),
      r'text\.norm\.weight',
    ),
  ],
)
def test_what_does_not_fit_is_named(
  tmp_path, vae, transformers, change, message
):
  """By both ways to load: transformers alone would warn."""
  held = exported.tensors(tiny.model(), vae)
  change(held)
  folder = exported.write(tmp_path / 'bad', tiny.model(), vae, held=held)
  with pytest.raises(ValueError, match=message):
    exported.modeling.load(folder)
  with pytest.raises((ValueError, RuntimeError), match=r'text|mismatch'):
    transformers.AutoModel.from_pretrained(folder, trust_remote_code=True)


def test_what_was_tuned_is_saved_with_how_it_is_told(folder, tmp_path):
  """And loads again."""
  model = exported.modeling.load(folder)
  model.sampling = dataclasses.replace(model.sampling, steps=3)
  model.save_pretrained(tmp_path)
  again = exported.modeling.load(tmp_path)
  assert again.sampling == model.sampling
  held = safetensors.load_file(tmp_path / 'model.safetensors')
  assert set(held) == set(model.state_dict())


def test_what_the_file_says_of_a_step_learns(both):
  """Its recipe of training, a few steps of it."""
  modeling, model = exported.modeling, copy.deepcopy(both[1])
  row = modeling.lay_out(model, [tiny.STORY, _OTHER], 30, 6)
  torch.manual_seed(0)
  x, noise = torch.randn(2, 1, 6, 4, 4, 3)
  t = torch.full((1, 6), 0.5)
  clean = modeling.Chunks(x, torch.ones_like(t), row.index, row.story)
  noisy = modeling.Chunks((x + noise) / 2, t, row.index, row.story)
  optimizer, values = torch.optim.Adam(model.parameters(), 1e-3), []
  for _ in range(8):
    optimizer.zero_grad()
    out = model(row.text, clean, noisy)
    value = modeling.loss(
      out, row.following, row.said, x - noise, row.story >= 0
    )
    value.backward()
    optimizer.step()
    values.append(value.item())
  assert values[-1] < 0.9 * values[0]
