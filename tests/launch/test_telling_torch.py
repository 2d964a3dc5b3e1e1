"""Stories told in PyTorch are those that JAX tells: words, chunks, frames."""

import dataclasses

import jax
import numpy as np
import pytest
import torch

from tests import tiny
from tests.launch import exported
from tests.vae import small
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib

_CONFIG = settings_lib.SampleConfig(
  steps=20,
  guidance=2.0,
  window=4,
  kept=2,
  prompt_budget=4,
  words_budget=3,
  lanes=1,
  temperature=0.0,
)
_CHUNKS = 7  # More than the window: it starts anew twice.
_WAYS = {
  'tv2tv': ('tv2tv', {}),
  'story': (
    'tv2tv',
    dict(untold='story', solver='heun', steps=4, guidance_to=0.6),
  ),
  'think2v': ('think2v', dict(shift=2.0)),
  't2v': ('t2v', dict(solver='midpoint', steps=4)),
}


@pytest.fixture(scope='module')
def vae():
  return small.new(dataclasses.replace(small.FOLDS, latent_channels=3))


def _model(layout):
  """One whose stories with words between chunks go on and on."""
  model = tiny.model()
  if layout == 'tv2tv':
    rows = model.embedding[...]
    model.embedding[...] = rows.at[tiny.SPECIAL.eos].set(0.0)
  return model


def _starts(count, seed=0):
  shape = (count, 4, 4, 3)
  return np.random.default_rng(seed).normal(size=shape).astype('f4')


def _asks(layout):
  """A person speaks, is silent and puts a chunk in, and speaks again."""
  if layout == 't2v':  # Left alone, this model ends at once.
    said = {1: (), 2: (11, 12), 3: (11, 12), 4: (), 5: (13,), 6: (13, 14)}
  else:
    said = {2: (11, 12), 3: (), 5: (13,)}
  chunk = _starts(1, 9)[0]
  return {
    number: roll_lib.Ask(words, chunk if number == 3 else None)
    for number, words in said.items()
  }


def _noise(seed):
  """What our engine draws."""

  def noise(chunk):
    key = chance.keys(chance.source({0: (seed, 2 * chunk + 1)}, 1))[0]
    return torch.tensor(np.asarray(jax.random.normal(key, (4, 4, 3))))

  return noise


def _sampling(config):
  fields = dataclasses.fields(exported.modeling.Sampling)
  names = {field.name for field in fields} - {'times'}
  held = {name: getattr(config, name) for name in names}
  return exported.modeling.Sampling(**held)


def _told_there(port, config, start, asks, seed):
  """Events of PyTorch."""

  def ask(number):
    given = asks.get(number, roll_lib.Ask())
    latent = None if given.latent is None else torch.tensor(given.latent)
    return exported.modeling.Ask(given.words, latent)

  return list(
    port.tell(
      (7, 8),
      latents=torch.tensor(start),
      chunks=_CHUNKS,
      noise=_noise(seed),
      asks=ask,
      sampling=_sampling(config),
    )
  )


def _told_here(model, layout, config, start, asks, seed):
  """The roll of ours."""
  engine = rollout.Engine(model, tiny.Numbers(), config, layout)
  roll = engine.begin(start, (7, 8), seed)
  while len(roll.latents) < _CHUNKS and not roll.ended:
    ask = asks.get(len(roll.latents), roll_lib.Ask())
    roll = engine.advance([roll], [ask])[0]
  return roll


@pytest.mark.parametrize('way', _WAYS)
def test_a_greedy_story_is_the_same(vae, way, monkeypatch):
  """Words to the token; chunks and frames after all steps, with guidance."""
  layout, changes = _WAYS[way]
  config = dataclasses.replace(_CONFIG, **changes)
  asks, count = _asks(layout), 2 if way == 'story' else 1
  model, torched = _model(layout), []
  port = exported.ported(model, vae, layout)

  def noted(run):
    def noting(*args, **kwargs):
      torched.append(run(*args, **kwargs))
      return torched[-1]

    return noting

  monkeypatch.setattr(port.vae, 'decode', noted(port.vae.decode))
  events = _told_there(port, config, _starts(count), asks, 5)
  roll = _told_here(model, layout, config, _starts(count), asks, 5)
  wrote = [e for e in events if isinstance(e, exported.modeling.Wrote)]
  assert [event.words for event in wrote] == list(roll.words[count:])
  assert [event.told for event in wrote] == [
    number in asks for number in range(count, len(roll.latents))
  ]
  assert len(roll.latents) == _CHUNKS
  own = [event.words for event in wrote if not event.told]
  assert any(own) or layout == 't2v'
  assert events[-1] == exported.modeling.Ended(_CHUNKS, 'length')
  statistics = exported.config(model, vae, layout)['statistics']
  mean, std = (np.array(statistics[k], 'f4') for k in ('mean', 'std'))
  wanted = small.jit(lambda vae, z: vae.decode(z)[0])(
    vae, np.stack(roll.latents)[None] * std + mean
  )
  frames = torch.cat([pictures for pictures, _ in torched], 1)
  assert exported.difference(frames, wanted) < 1e-3
  shown = [e for e in events if isinstance(e, exported.modeling.Filmed)]
  assert [event.chunk for event in shown] == list(range(len(roll.latents)))
  sizes = [event.frames.shape[0] for event in shown]
  assert sizes == [1] + [4] * (len(sizes) - 1)
  pixels = np.clip(np.rint((np.asarray(wanted[0]) + 1) * 127.5), 0, 255)
  seen = torch.cat([event.frames for event in shown])
  assert seen.dtype == torch.uint8
  assert exported.difference(seen, pixels) <= 1


def test_a_story_is_its_seed(vae):
  """The same again, another under another seed; with words that are drawn."""
  port = exported.ported(_model('tv2tv'), vae)
  sampling = dataclasses.replace(
    _sampling(_CONFIG), temperature=5.0, top_p=0.95, steps=2
  )

  def told(seed):
    pictures = torch.randint(
      0, 255, (5, 32, 32, 3), generator=torch.Generator().manual_seed(0)
    )
    events = port.tell(
      (7,), pictures.to(torch.uint8), seconds=1.0, seed=seed, sampling=sampling
    )
    return [
      event.words if isinstance(event, exported.modeling.Wrote) else event[-1]
      for event in events
    ]

  one, again, other = told(3), told(3), told(4)
  assert str(one) == str(again) != str(other)
  words = {w for each in one if isinstance(each, tuple) for w in each}
  assert words and not words & tiny.Numbers.silent


def test_words_are_drawn_from_the_likeliest():
  """Of probability `top_p` together; at temperature zero, the likeliest."""
  logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
  chance = torch.Generator().manual_seed(0)
  for top_p, temperature, wanted in (
    (0.7, 1.0, {0, 1}),
    (0.81, 1.0, {0, 1, 2}),
    (1.0, 1.0, {0, 1, 2, 3}),
    (1.0, 0.0, {0}),
  ):
    sampling = exported.modeling.Sampling(top_p=top_p, temperature=temperature)
    drawn = {
      exported.modeling._drawn(logits, sampling, chance) for _ in range(200)
    }
    assert drawn == wanted


def test_a_story_may_end_of_itself(vae):
  """As ours does (tests/sample), where EOS is likelier than BOF."""
  port = exported.ported(_model('t2v'), vae, 't2v')
  start, sampling = torch.tensor(_starts(1)), _sampling(_CONFIG)
  first, end = port.tell((7, 8), latents=start, chunks=5, sampling=sampling)
  assert first.chunk == 0 and first.frames.shape == (1, 32, 32, 3)
  assert end == exported.modeling.Ended(1, 'eos')


def test_what_cannot_be_is_named(vae):
  port = exported.ported(_model('t2v'), vae, 't2v')
  start = torch.tensor(_starts(1))
  budget = port.sampling.words_budget
  ask = exported.modeling.Ask((9,) * (1 + budget))
  with pytest.raises(ValueError, match=rf'tokens of words .* at most {budget}'):
    list(port.tell((7,), latents=start, chunks=2, asks=lambda _: ask))
  with pytest.raises(ValueError, match=r'a start of \(1, 4, 3, 3\)'):
    list(port.tell((7,), latents=start[:, :, :3], chunks=2))
  with pytest.raises(ValueError, match='frames'):
    list(port.tell((7,), torch.zeros(2, 32, 32, 3), chunks=2))
