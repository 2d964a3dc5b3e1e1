"""Text to token ids and back: two kinds of tokenizer files, one interface.

A SentencePiece `.model` is learned from the words of a dataset. Its pieces are
byte pairs, with a piece for every byte, so that any text encodes and decodes to
itself (U+2581 alone, the sign for a space, to a space); <pad> <bos> <eos> <bof>
<eof> are control symbols.

A Hugging Face `tokenizer.json` comes with the weights of Llama 3, whose
reserved tokens bracket the frame chunks, as in TV2TV.

No text encodes to a special token of either, not even text that spells one.
"""

from collections.abc import Iterable, Mapping, Sequence
import hashlib
import io
import json
import os
import pathlib
from typing import Any

import sentencepiece
import tokenizers

from data_pipelines.prepare import dataset
from tv2tv_jax.interleave import tokens

VOCABULARY = 384  # Pieces at most: 262 of them are bytes and symbols.

# The token of each role in Llama 3's vocabulary; the first that a file has.
# What Llama 3.1 and later name padding is token 128004, which Llama 3 keeps in
# reserve.
_LLAMA_3 = {
  'pad': ('<|finetune_right_pad_id|>', '<|reserved_special_token_2|>'),
  'bos': ('<|begin_of_text|>',),
  'eos': ('<|end_of_text|>',),
  'bof': ('<|reserved_special_token_0|>',),
  'eof': ('<|reserved_special_token_1|>',),
}

_REMEDY = (
  'make one with `python -m launch.tokenize`, or take the tokenizer.json of a '
  'Llama 3 model'
)


class SentencePieceTokenizer:
  """A `tv2tv_jax.interleave.tokens.Tokenizer` from a SentencePiece file."""

  def __init__(self, path: str | os.PathLike):
    """Reads the file; ValueError if it is none or lacks a control symbol."""
    path = _present(path)
    try:
      self._model = sentencepiece.SentencePieceProcessor(
        model_proto=path.read_bytes()
      )
    except RuntimeError as error:
      raise ValueError(
        f'{path}: not a SentencePiece model ({error}); {_REMEDY}'
      ) from None
    ids = {}
    for name in tokens.SpecialTokens._fields:
      ids[name] = self._model.piece_to_id(f'<{name}>')
      if not self._model.is_control(ids[name]):
        raise ValueError(
          f'{path}: <{name}> is no control symbol of it; {_REMEDY}'
        )
    self.special = tokens.SpecialTokens(**ids)
    self.vocab_size = self._model.vocab_size()
    self.silent = frozenset(
      i
      for i in range(self.vocab_size)
      if self._model.is_control(i) or self._model.is_unknown(i)
    )

  def encode(self, text: str) -> list[int]:
    """The ids of a text, without special tokens; none for ''."""
    return self._model.encode(text)

  def decode(self, ids: Sequence[int]) -> str:
    """The text of ids; special tokens are left out."""
    return self._model.decode(_known(ids, self.vocab_size))


class HuggingFaceTokenizer:
  """A `tv2tv_jax.interleave.tokens.Tokenizer` from a `tokenizer.json`.

  Roles are those of Llama 3's tokens. What a file says of added beginnings,
  padding and truncation is not followed: a text is its own tokens, all of them.
  """

  def __init__(self, path: str | os.PathLike):
    """Reads the file; ValueError if it is none or lacks a token of a role."""
    self._path = _present(path)
    held = self._path.read_bytes()
    try:
      self._model = tokenizers.Tokenizer.from_buffer(held)
    except Exception as error:  # The library raises nothing narrower.
      raise ValueError(
        f'{self._path}: not a Hugging Face tokenizer ({error}); '
        'take the tokenizer.json of a Llama 3 model'
      ) from None
    self._model.no_padding()
    self._model.no_truncation()
    added = self._model.get_added_tokens_decoder().items()
    special = {token.content: i for i, token in added if token.special}
    self.silent = frozenset(special.values())
    ids = {}
    for role, names in _LLAMA_3.items():
      known = [special[name] for name in names if name in special]
      if not known:
        raise ValueError(
          f'{self._path}: no special token {" or ".join(names)} in it, which '
          f'is {role} here; take the tokenizer.json of a Llama 3 model'
        )
      ids[role] = known[0]
    self.special = tokens.SpecialTokens(**ids)
    self.vocab_size = self._model.get_vocab_size()
    self._check_numbers(json.loads(held)['added_tokens'])
    for name in special:
      self.encode(name)

  def encode(self, text: str) -> list[int]:
    """The ids of a text, without special tokens; none for ''.

    Raises:
      ValueError: the file's pieces of the text are a special token after all.
    """
    # The library forgets this when a tokenizer is copied or sent elsewhere.
    self._model.encode_special_tokens = True
    ids = self._model.encode(text, add_special_tokens=False).ids
    if not self.silent.isdisjoint(ids):
      raise ValueError(
        f'{self._path}: the text {text!r} encodes to a special token; take a '
        'tokenizer.json whose special tokens are no pieces of its model'
      )
    return ids

  def decode(self, ids: Sequence[int]) -> str:
    """The text of ids; special tokens are left out."""
    return self._model.decode(
      _known(ids, self.vocab_size), skip_special_tokens=True
    )

  def _check_numbers(self, added: Sequence[Mapping[str, Any]]):
    """Weights have a row for each id of the file: the library must keep them.

    It numbers added tokens on from the pieces, whatever the file says.
    """
    ids = self._model.get_vocab()
    moved = [t for t in added if ids[t['content']] != t['id']]
    if moved or sorted(ids.values()) != list(range(self.vocab_size)):
      raise ValueError(
        f'{self._path}: its tokens are not numbered from 0 to '
        f'{self.vocab_size - 1} without a gap'
        + ''.join(f'; {t["content"]} is {t["id"]}' for t in moved[:1])
        + '; take the tokenizer.json of a Llama 3 model'
      )


_KINDS = {'.json': HuggingFaceTokenizer, '.model': SentencePieceTokenizer}


def find(path: str | os.PathLike) -> pathlib.Path:
  """The file of a tokenizer: the path itself, or the one that a folder holds.

  Raises:
    ValueError: no file, a folder with none or two, or a name of another kind.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    names = [f'tokenizer{kind}' for kind in _KINDS]
    held = [name for name in names if (path / name).is_file()]
    if len(held) > 1:
      raise ValueError(f'{path}: holds {" and ".join(held)}; name one of them')
    if not held:
      raise ValueError(f'{path}: holds no {" or ".join(names)}; {_REMEDY}')
    path = path / held[0]
  if path.suffix not in _KINDS:
    raise ValueError(
      f'{path}: a tokenizer is a {" or a ".join(_KINDS)}, by its name; rename '
      'this one, or name another'
    )
  return _present(path)


def load(path: str | os.PathLike) -> tokens.Tokenizer:
  """The tokenizer of a file of either kind, or of a folder that holds one.

  Raises:
    ValueError: as `find`, or the file is not what its name says.
  """
  path = find(path)
  return _KINDS[path.suffix](path)


def fingerprint(path: str | os.PathLike) -> str:
  """Sixteen hex digits that name a tokenizer: of its file, wherever it lies.

  Token ids that are kept carry it, so that no other tokenizer reads them.

  Raises:
    ValueError: as `find`.
  """
  return hashlib.sha256(find(path).read_bytes()).hexdigest()[:16]


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


def _present(path: str | os.PathLike) -> pathlib.Path:
  """The path, which must be a file."""
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(f'{path}: no tokenizer here; {_REMEDY}')
  return path


def _known(ids: Sequence[int], vocab_size: int) -> list[int]:
  """The ids, each of which must be one of the vocabulary."""
  for i in ids:
    if not 0 <= i < vocab_size:
      raise ValueError(f'token {i} is not one of {vocab_size}')
  return [int(i) for i in ids]
