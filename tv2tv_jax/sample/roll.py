"""A story up to now, as a value."""

from typing import NamedTuple

from jaxtyping import Float
import numpy as np

from tv2tv_jax.sample import decode
from tv2tv_jax.sample import settings as settings_lib

Words = tuple[int, ...]
Plan = tuple[Words, ...]


class Seat(NamedTuple):
  """Where what the model knows of a story is.

  Attributes:
    told: what was read of the window, of all lanes.
    untold: the same without words; None where nothing needs it.
    lane: the story's.
    opening: the first chunk of the window.
    edit: the words after the prompt that the window was read under (T2V).
  """

  told: decode.DecodeState
  untold: decode.DecodeState | None
  lane: int
  opening: int
  edit: Words = ()


class Roll(NamedTuple):
  """A story up to now.

  What the model knows of it follows from what it is. So to ask what would have
  happened under other words, tell the same roll twice; to change the past, tell
  `roll.until(chunk)` on.

  Attributes:
    prompt: token ids.
    seed: of all its randomness.
    settings: its own.
    words: of each chunk so far; the first is the starting frame's. In a T2V
      story they are what its prompt was followed by when it was filmed.
    latents: of each chunk so far, normalised `Y X Z`.
    plans: after each chunk, the words that a plan has for the next ones.
    ended: whether the model ended it.
    seat: None: it is to be read again.
  """

  prompt: Words
  seed: int
  settings: settings_lib.Settings
  words: tuple[Words, ...]
  latents: tuple[Float[np.ndarray, 'Y X Z'], ...]
  plans: tuple[Plan, ...]
  ended: bool = False
  seat: Seat | None = None

  def until(self, chunks: int) -> 'Roll':
    """The story when it had so many chunks; it shares all that was.

    Raises:
      ValueError: it never had so many.
    """
    if not 1 <= chunks <= len(self.latents):
      raise ValueError(
        f'a story of {len(self.latents)} chunks was never one of {chunks}'
      )
    if chunks == len(self.latents) and not self.ended:
      return self
    return self._replace(
      words=self.words[:chunks],
      latents=self.latents[:chunks],
      plans=self.plans[:chunks],
      ended=False,
      seat=None,
    )


class Ask(NamedTuple):
  """What a person wants of the next chunk.

  Attributes:
    words: before it; (): none; None: the model writes or not, as it likes. In a
      T2V story they follow the prompt, while this chunk is filmed.
    latent: the chunk itself, normalised `Y X Z`; None: the model films it.
  """

  words: Words | None = None
  latent: Float[np.ndarray, 'Y X Z'] | None = None
