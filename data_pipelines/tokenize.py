"""SentencePiece over the words of a dataset.

Byte-pair pieces with a piece for every byte, so that any text encodes and
decodes to itself; <pad> <bos> <eos> <bof> <eof> are control symbols, which no
text encodes to.
"""

from collections.abc import Iterable, Sequence
import io
import os
import pathlib

import sentencepiece

from data_pipelines.prepare import dataset
from tv2tv_jax.interleave import tokens

VOCABULARY = 384  # Pieces at most: 262 of them are bytes and symbols.


class SentencePieceTokenizer:
  """A `tv2tv_jax.interleave.tokens.Tokenizer` from a SentencePiece file."""

  def __init__(self, path: str | os.PathLike):
    """Reads the file; ValueError if it is none or lacks a control symbol."""
    path = pathlib.Path(path)
    if not path.is_file():
      raise ValueError(
        f'{path}: no tokenizer here; make one with `python -m launch.tokenize`'
      )
    try:
      self._model = sentencepiece.SentencePieceProcessor(
        model_proto=path.read_bytes()
      )
    except RuntimeError as error:
      raise ValueError(
        f'{path}: not a SentencePiece model ({error}); '
        'make it again with `python -m launch.tokenize`'
      ) from None
    ids = {}
    for name in tokens.SpecialTokens._fields:
      ids[name] = self._model.piece_to_id(f'<{name}>')
      if not self._model.is_control(ids[name]):
        raise ValueError(f'{path}: <{name}> is no control symbol of it')
    self.special = tokens.SpecialTokens(**ids)
    self.vocab_size = self._model.vocab_size()

  def encode(self, text: str) -> list[int]:
    """The ids of a text, without special tokens; none for ''."""
    return self._model.encode(text)

  def decode(self, ids: Sequence[int]) -> str:
    """The text of ids; special tokens are left out."""
    wrong = [i for i in ids if not 0 <= i < self.vocab_size]
    if wrong:
      raise ValueError(f'token {wrong[0]} is not one of {self.vocab_size}')
    return self._model.decode([int(i) for i in ids])


def train_tokenizer(
  texts: Iterable[str],
  path: str | os.PathLike,
  vocab_size: int = VOCABULARY,
):
  """Writes a tokenizer for `texts`: the same file for the same texts.

  Raises:
    ValueError: no text, or a vocabulary too small for bytes and symbols.
  """
  texts = [text for text in texts if text]
  if not texts:
    raise ValueError(f'{path}: there are no words to learn a tokenizer from')
  buffer = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(texts),
      model_writer=buffer,
      model_type='bpe',
      vocab_size=vocab_size,
      hard_vocab_limit=False,
      byte_fallback=True,
      normalization_rule_name='identity',
      remove_extra_whitespaces=False,
      split_digits=True,
      pad_id=0,
      unk_id=1,
      bos_id=2,
      eos_id=3,
      pad_piece='<pad>',
      bos_piece='<bos>',
      eos_piece='<eos>',
      control_symbols=['<bof>', '<eof>'],
      num_threads=1,
      minloglevel=2,
    )
  except RuntimeError as error:
    raise ValueError(
      f'a tokenizer of {vocab_size} pieces cannot be made: {error}'
    ) from None
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  dataset.write_bytes(path, buffer.getvalue())
