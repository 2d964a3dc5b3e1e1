"""The presets are the published models, name by name and number by number."""

import math

import pytest

from tests.tv2tv import golden
from tv2tv_jax.tv2tv import presets


@pytest.mark.parametrize(
  'name,published', [('3b', 3_212_749_824), ('8b', 8_030_261_248)]
)
def test_text_towers_have_llamas_parameters(name, published):
  """Llama-3.2-3B and Llama-3.1-8B, as their model cards count."""
  count = sum(
    math.prod(leaf.shape)
    for key, leaf in golden.parameters(name).items()
    if key.startswith(
      ('embedding', 'head', 'transformer.blocks.text', 'transformer.text_norm')
    )
  )
  assert count == published


@pytest.mark.parametrize('name', presets.names())
def test_the_towers_have_one_shape(name):
  shapes = golden.parameters(name)
  text = {k: v.shape for k, v in shapes.items() if '.text' in k}
  assert text
  for key, shape in text.items():
    assert shapes[key.replace('.text', '.video')].shape == shape


@pytest.mark.parametrize('mesh', [golden.MESH], indirect=True)
@pytest.mark.parametrize('name', presets.names())
def test_names_shapes_and_layouts_are_the_golden_ones(name, mesh):
  """If the change is meant: `python -m tests.tv2tv.golden`."""
  expected = (golden.FOLDER / f'{name}.txt').read_text()
  assert golden.table(name) == expected


@pytest.mark.parametrize('mesh', [golden.MESH], indirect=True)
@pytest.mark.parametrize('name', ['3b', '8b'])
def test_no_large_parameter_is_whole_on_every_device(name, mesh):
  """All of more than a million numbers are split, by fsdp alone too."""
  large = {
    key: leaf.sharding.spec
    for key, leaf in golden.parameters(name).items()
    if math.prod(leaf.shape) > 10**6
  }
  assert {key.split('.')[0] for key in large} >= {'embedding', 'frames'}
  for key, layout in large.items():
    assert any('fsdp' in (axis or ()) for axis in layout), key


def test_an_unknown_preset_is_named():
  with pytest.raises(
    ValueError, match=r"no preset '70b'; choose one of tiny, 100m, 3b, 8b"
  ):
    presets.preset('70b')
