"""What a config file of `launch.compare` fills in."""

import dataclasses

from tv2tv_jax.interleave import story as story_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Films:
  """Stories that every model is asked for.

  From each start there is one that is told nothing and, for each instruction,
  one per text of `told_at`.

  Attributes:
    starts: held-out takes whose first frame a story begins with, spread over
      the split, not chosen by look; each has a seed of its own. 0: no stories.
    seconds: length of a story.
    told_at: seconds at which a story is told its instruction; several, with
      commas between, where it is told it again and again.
    hold: seconds for which it is restated.
  """

  starts: int
  seconds: float
  told_at: tuple[str, ...]
  hold: float = 1.0


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
  short: Films
  long: Films
  variants: tuple[str, ...]
