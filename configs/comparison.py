"""What a config file of `launch.compare` fills in."""

import dataclasses

from tv2tv_jax.interleave import story as story_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Films:
  """Stories that every model is asked for.

  From each start there is one that is told nothing and, for each text of
  `told_at`, one for each instruction; where the text has several times, one
  alone, which is told the instructions in turn. From start to start another one
  is the first.

  Attributes:
    starts: held-out takes whose first frame a story begins with, spread over
      the split, not chosen by look; each has a seed of its own. 0: no stories.
    seconds: length of a story.
    told_at: seconds at which a story is told an instruction; with commas
      between, where it is told more than one.
  """

  starts: int
  seconds: float
  told_at: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
  """Layouts trained alike and asked alike.

  The programs are those that anybody runs; their flags are here as they are
  written on a command line, so that a page can name the commands it is of.

  Attributes:
    record: flags of `launch.record`.
    vae: folder of a trained VAE; '': one is trained, as `vae_flags` say.
    vae_flags: of `launch.train_vae`; without its records.
    train: flags of `launch.train`, the same for all; without sources, layout
      and seed.
    generate: flags of `launch.generate`, the same for all.
    layouts: that are compared; the first one with each of the others.
    seeds: of training: a model of each layout per seed.
    instructions: what stories are told.
    holds: seconds for which each of them is restated: one each.
    short: stories of a few seconds.
    long: stories that outlast a window many times over.
    variants: flags of `launch.generate` under which the first seed's short
      stories are filmed once more: a row each of the table of ablations.
  """

  record: tuple[str, ...]
  vae: str
  vae_flags: tuple[str, ...]
  train: tuple[str, ...]
  generate: tuple[str, ...]
  layouts: tuple[story_lib.Layout, ...]
  seeds: tuple[int, ...]
  instructions: tuple[str, ...]
  holds: tuple[float, ...]
  short: Films
  long: Films
  variants: tuple[str, ...]
