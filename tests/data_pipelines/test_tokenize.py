"""The tokenizer keeps any text, and words are pieces."""

import pytest

from data_pipelines import tokenize

TEXTS = ['doom hall', 'turn left, move forward', 'attack', 'move backward'] * 9


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  path = tmp_path_factory.mktemp('tokens') / 'words.model'
  tokenize.train_tokenizer(TEXTS, path)
  return tokenize.SentencePieceTokenizer(path)


@pytest.mark.parametrize(
  'text', ['', 'attack', ' two  spaces ', 'Zürich\n🙂', '<bof> <eos>', ' ']
)
def test_any_text_comes_back(tokenizer, text):
  ids = tokenizer.encode(text)
  assert tokenizer.decode(ids) == text
  assert not set(ids) & set(tokenizer.special)


def test_a_word_is_a_piece(tokenizer):
  assert len(tokenizer.encode('turn left, move forward')) == 5
  assert len(tokenizer.encode('attack')) == 1


def test_special_tokens_are_left_out(tokenizer):
  ids = tokenizer.encode('attack')
  assert tokenizer.decode([tokenizer.special.bos, *ids]) == 'attack'
  with pytest.raises(ValueError, match='token 9999 is not one of'):
    tokenizer.decode([9999])


def test_the_same_words_make_the_same_file(tmp_path):
  for name in 'ab':
    tokenize.train_tokenizer(TEXTS, tmp_path / name)
  assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_bad_input_is_named(tmp_path):
  with pytest.raises(ValueError, match=r'none\.model: no tokenizer here'):
    tokenize.SentencePieceTokenizer(tmp_path / 'none.model')
  (tmp_path / 'x.model').write_bytes(b'not a model')
  with pytest.raises(ValueError, match=r'x\.model: not a SentencePiece'):
    tokenize.SentencePieceTokenizer(tmp_path / 'x.model')
  with pytest.raises(ValueError, match='no words'):
    tokenize.train_tokenizer(['', ''], tmp_path / 'y.model')
  with pytest.raises(ValueError, match='5 pieces cannot'):
    tokenize.train_tokenizer(['a b'], tmp_path / 'y.model', vocab_size=5)
  assert not (tmp_path / 'y.model').exists()
