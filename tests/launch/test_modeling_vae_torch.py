"""VAEs in PyTorch give what ours give: all families, whole and streamed."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests import tiny
from tests.launch import exported
from tests.vae import small

_MOST = 1e-4


@pytest.mark.parametrize('family', small.FAMILIES)
def test_the_vae_is_the_same(family):
  """Whole, and chunk by chunk with pasts."""
  vae = small.new(small.FAMILIES[family])
  fields = exported.config(tiny.model(), vae, 'tv2tv')['vae']
  port = exported.modeling.Vae(exported.modeling._attributes(fields))
  held = exported.tensors(tiny.model(), vae).items()
  port.load_state_dict(
    {
      name.removeprefix('vae.'): torch.tensor(value)
      for name, value in held
      if name.startswith('vae.')
    }
  )

  @small.jit
  def wanted(vae, frames):
    means = vae.encode(frames)[0].mean
    return means, vae.decode(means)[0]

  frames = np.random.default_rng(0).uniform(-1, 1, (1, 13, 32, 32, 3))
  means, pictures = wanted(vae, jnp.asarray(frames, jnp.float32))
  frames = torch.tensor(frames, dtype=torch.float32)
  with torch.no_grad():
    whole = port.encode(frames)[0], port.decode(exported.there(means))[0]
    cut = (
      _streamed(port.encode, frames.split((1, 4, 8), 1)),
      _streamed(port.decode, exported.there(means).split((1, 1, 2), 1)),
    )
  for found in (whole, cut):
    assert exported.difference(found[0], means) < _MOST
    assert exported.difference(found[1], pictures) < _MOST


def _streamed(run, pieces):
  past, out = None, []
  for piece in pieces:
    y, past = run(piece, past)
    out.append(y)
  return torch.cat(out, 1)
