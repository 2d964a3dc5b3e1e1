"""Every source can be described by flags."""

import dataclasses

from absl import flags
import pytest

from data_pipelines.sources import catalog
from data_pipelines.sources import vizdoom
from launch import record
from launch import source_flags


@pytest.fixture
def values():
  """Flags of a program that has `--source` only."""
  values = flags.FlagValues()
  flags.DEFINE_string('source', '', 'Name.', flag_values=values)
  return values


@pytest.mark.parametrize('name', [*catalog.SOURCES])
def test_every_field_is_a_flag_with_an_explanation(name, values):
  kind = catalog.find(name)
  assert kind.name == name
  source_flags.define(['record', f'--source={name}'], values)
  fields = {field.name: field for field in dataclasses.fields(kind)}
  assert set(values) == {'source', *fields}
  own = flags.FLAGS.get_flags_for_module(record.__name__)
  assert not {flag.name for flag in own} & set(fields)
  for field in fields.values():
    flag = values[field.name]
    assert len(flag.help) > 5 and '\n' not in flag.help
    default = flag.default if flag.default is not None else dataclasses.MISSING
    if isinstance(default, list):
      default = tuple(default)
    assert default == field.default


def test_flags_make_the_source(values):
  argv = ['record', '--minutes=2', '--maps=duel,hall', '--seed', '3']
  source_flags.define(argv, values)
  values(argv)
  assert source_flags.made('vizdoom', values) == vizdoom.Vizdoom(
    minutes=2.0, maps=('duel', 'hall'), seed=3
  )


def test_a_value_may_look_like_a_flag(values):
  flags.DEFINE_string('beam_options', '', 'For Beam.', flag_values=values)
  argv = ['record', '--beam_options', '--runner=x', '--seed', '3']
  source_flags.define(argv, values)
  values(argv)
  assert values.beam_options == '--runner=x'


def test_what_a_source_needs_is_named(values):
  source_flags.define(['record', '--source', 'videos'], values)
  values(['record'])
  with pytest.raises(ValueError, match='source videos needs --input'):
    source_flags.made('videos', values)


@pytest.mark.parametrize(
  ('argv', 'named'),
  [
    (['--source=quake'], "'quake' is unknown; choose from vizdoom, csgo"),
    (['--source=csgo', '--minutes=3'], 'csgo has no --minutes; it has --input'),
    (['-colour', 'red'], 'source vizdoom has no --colour; it has --minutes'),
  ],
)
def test_what_a_source_has_not_is_named(argv, named, values):
  with pytest.raises(ValueError, match=named):
    source_flags.define(['record', *argv], values)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
  (tmp_path / 'odd_corpus.py').write_text('import hdf6\n')
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setitem(catalog.SOURCES, 'odd', 'odd_corpus:Odd')
  with pytest.raises(
    ValueError, match=r"odd needs the package hdf6: .*'\.\[corpora\]'"
  ):
    catalog.find('odd')
