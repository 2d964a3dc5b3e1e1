"""Words as numbers: what a tokenizer must offer, and the tokens with a role."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class SpecialTokens(NamedTuple):
  """Ids of the tokens that are no words.

  Attributes:
    pad: fills a row that is not full; nothing sees it.
    bos: begins a story.
    eos: ends a story.
    bof: begins a frame chunk: the model wants to film.
    eof: ends a frame chunk: the model may write again.
  """

  pad: int
  bos: int
  eos: int
  bof: int
  eof: int


@runtime_checkable
class Vocabulary(Protocol):
  """Which tokens there are.

  Attributes:
    special: the tokens with a role.
    vocab_size: tokens that exist.
    silent: every token that is no text, those with a role among them; no
      story has words of them.
  """

  special: SpecialTokens
  vocab_size: int
  silent: frozenset[int]


@runtime_checkable
class Tokenizer(Vocabulary, Protocol):
  """Text to token ids and back; words never encode to a special token."""

  def encode(self, text: str) -> list[int]:
    """The ids of a text, without special tokens."""
    ...

  def decode(self, ids: Sequence[int]) -> str:
    """The text of ids; special tokens are left out."""
    ...
