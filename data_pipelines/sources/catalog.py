"""Every source by its name.

A module is imported when its source is asked for, so that what a corpus needs
is needed only by those who have that corpus.
"""

import importlib

from data_pipelines.sources import source

SOURCES = {
  'vizdoom': 'data_pipelines.sources.vizdoom:Vizdoom',
  'csgo': 'data_pipelines.sources.csgo:Csgo',
  'videos': 'data_pipelines.sources.videos:Videos',
  'sports': 'data_pipelines.sources.sports:Sports',
}


def find(name: str) -> type[source.Source]:
  """The class of a source.

  Raises:
    ValueError: there is none of this name, or a package of it is missing.
  """
  if name not in SOURCES:
    raise ValueError(
      f'source {name!r} is unknown; choose from {", ".join(SOURCES)}'
    )
  module, _, kind = SOURCES[name].partition(':')
  try:
    return getattr(importlib.import_module(module), kind)
  except ModuleNotFoundError as error:
    if (error.name or '').split('.')[0] == 'data_pipelines':
      raise
    raise ValueError(
      f'source {name} needs the package {error.name}: '
      "pip install -e '.[corpora]'"
    ) from None
