"""The course of a comparison: every stage, in order.

| folder | has |
|---|---|
| records, tokenizer.model, vae, latents | what all models learn from |
| runs/LAYOUT-SEED | a model |
| prompts/KIND.jsonl | what all of them are asked for |
| films/KIND/LAYOUT-SEED | its stories |
| witness | who judges: inverse dynamics, trained on real film alone |
| evaluations/KIND/LAYOUT-SEED | figures of the stories |

A KIND is `short` or `long` and a name of what is asked, so that other stories
never meet in a folder; the flags of a variant stand behind it.
"""

from collections.abc import Iterator
import hashlib
import pathlib
from typing import NamedTuple

from configs import comparison as comparison_lib
from launch.comparing import stages as stages_lib
from tv2tv_jax.interleave import story as story_lib


class Model(NamedTuple):
  """One that is trained."""

  layout: story_lib.Layout
  seed: int

  @property
  def name(self) -> str:
    """Of its folders."""
    return f'{self.layout}-{self.seed}'


class Kind(NamedTuple):
  """Stories that several models are asked for.

  Attributes:
    length: 'short' or 'long'.
    name: of its folders.
    films: which stories.
    flags: of launch.generate, beside those that all stories have.
  """

  length: str
  name: str
  films: comparison_lib.Films
  flags: tuple[str, ...] = ()


class Course(NamedTuple):
  """A comparison in a folder."""

  config: comparison_lib.Comparison
  folder: pathlib.Path

  @property
  def records(self) -> pathlib.Path:
    """What is learned from."""
    return self.folder / 'records'

  @property
  def vae(self) -> pathlib.Path:
    """The VAE of all models."""
    return pathlib.Path(self.config.vae or self.folder / 'vae')

  def models(self) -> list[Model]:
    """Seed by seed, so that there is soon something to compare."""
    return [
      Model(layout, seed)
      for seed in self.config.seeds
      for layout in self.config.layouts
    ]

  def kinds(self) -> dict[str, Kind]:
    """Short and long stories, where there are any."""
    found = {}
    for length in ('short', 'long'):
      films = getattr(self.config, length)
      if films.starts:
        config = self.config
        asked = (films, config.instructions, config.holds, config.record)
        digest = hashlib.sha256(repr(asked).encode()).hexdigest()[:8]
        found[length] = Kind(length, f'{length}-{digest}', films)
    return found

  def variants(self) -> list[Kind]:
    """Short stories, filmed another way."""
    short = self.kinds().get('short')
    return [
      short._replace(name=f'{short.name}{flag}', flags=(flag,))
      for flag in self.config.variants
      if short
    ]

  def prompts(self, kind: Kind) -> pathlib.Path:
    """The file of what is asked for."""
    name = kind.name.partition('--')[0]
    return self.folder / 'prompts' / f'{name}.jsonl'

  def stories(self, kind: Kind, model: Model) -> pathlib.Path:
    """The folder of a model's stories."""
    return self.folder / 'films' / kind.name / model.name

  def evaluation(self, kind: Kind, model: Model) -> pathlib.Path:
    """The folder of their figures."""
    return self.folder / 'evaluations' / kind.name / model.name

  def stages(self) -> list[stages_lib.Stage]:
    """All of them."""
    found = [*self._data()]
    models, kinds = self.models(), self.kinds()
    for seed in self.config.seeds:
      some = [model for model in models if model.seed == seed]
      found += [self._train(model) for model in some]
      if 'short' in kinds:
        found += self._asked(kinds['short'], some)
    first = [m for m in models if m.seed == self.config.seeds[0]]
    for kind in self.variants():
      found += self._asked(kind, first)
    if 'long' in kinds:
      found += self._asked(kinds['long'], models)
    return found

  def _data(self) -> Iterator[stages_lib.Stage]:
    """What all models learn from."""
    config, records = self.config, self.records
    tokenizer, latents = (
      self.folder / 'tokenizer.model',
      self.folder / 'latents',
    )
    out = f'--out={records}'
    yield stages_lib.Stage('record', ('record', *config.record, out), records)
    yield stages_lib.Stage(
      'tokenize',
      ('tokenize', f'--records={records}', f'--out={tokenizer}'),
      tokenizer,
    )
    if not config.vae:
      where = f'--config.data.records={records}', f'--workdir={self.vae}'
      yield stages_lib.Stage(
        'vae',
        ('train_vae', *config.vae_flags, *where),
        self.vae / 'report.json',
      )
    sources = f'--vae={self.vae}', f'--tokenizer={tokenizer}'
    yield stages_lib.Stage(
      'encode',
      ('encode', *sources, f'--records={records}', f'--out={latents}'),
      latents,
    )

  def _train(self, model: Model) -> stages_lib.Stage:
    """A model that learns."""
    run = self.folder / 'runs' / model.name
    values = {
      'sources.latents': self.folder / 'latents',
      'sources.vae': self.vae,
      'sources.tokenizer': self.folder / 'tokenizer.model',
      'data.layout': model.layout,
      'train.seed': model.seed,
    }
    own = (f'--config.{name}={value}' for name, value in values.items())
    command = ('train', *self.config.train, f'--workdir={run}', *own)
    return stages_lib.Stage(f'train/{model.name}', command, run / 'report.json')

  def _asked(
    self, kind: Kind, models: list[Model]
  ) -> Iterator[stages_lib.Stage]:
    """Models that film, each judged at once."""
    for model in models:
      out, figures = self.stories(kind, model), self.evaluation(kind, model)
      name = f'{kind.name}/{model.name}'
      where = (
        f'--workdir={self.folder / "runs" / model.name}',
        f'--prompts={self.prompts(kind)}',
        f'--records={self.records}',
        f'--out={out}',
      )
      yield stages_lib.Stage(
        f'film {kind.length}/{name}',
        ('generate', *where, *self.config.generate, *kind.flags),
        out / 'stories.jsonl',
      )
      judge = (
        f'--stories={out}',
        f'--records={self.records}',
        f'--witness={self.folder / "witness"}',
        f'--vae={self.vae}',
        f'--out={figures}',
      )
      yield stages_lib.Stage(
        f'evaluate {kind.length}/{name}',
        ('evaluate', *judge),
        figures / 'report.json',
      )
