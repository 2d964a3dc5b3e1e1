"""Either kind of tokenizer keeps any text, and words are pieces."""

import copy
import json
import pickle
import random

import pytest
import sentencepiece
import tokenizers
from tokenizers import decoders
from tokenizers import models
from tokenizers import pre_tokenizers
from tokenizers import processors
from tokenizers import trainers
import transformers

from data_pipelines import tokenize
from tv2tv_jax.interleave import tokens

TEXTS = ['doom hall', 'turn left, move forward', 'attack', 'move backward'] * 9

_LLAMA_3_SPLIT = (
  r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
  r' ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'
)
_LLAMA_3 = [
  '<|begin_of_text|>',
  '<|end_of_text|>',
  '<|reserved_special_token_0|>',
  '<|reserved_special_token_1|>',
  '<|reserved_special_token_2|>',
  '<|start_header_id|>',
  '<|eot_id|>',
]
_LLAMA_3_1 = [
  *_LLAMA_3[:4],
  '<|finetune_right_pad_id|>',
  '<|reserved_special_token_2|>',
  *_LLAMA_3[5:],
]


def _llama(path, special=(), **model):
  """Writes a `tokenizer.json` that is Llama 3's but for its few pieces."""
  made = tokenizers.Tokenizer(models.BPE(**model))
  made.pre_tokenizer = pre_tokenizers.Sequence(
    [
      pre_tokenizers.Split(tokenizers.Regex(_LLAMA_3_SPLIT), 'isolated'),
      pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
  )
  made.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=300,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  made.train_from_iterator(TEXTS, trainer)
  made.add_special_tokens(list(special))
  if '<|begin_of_text|>' in special:
    begin = ('<|begin_of_text|>', made.token_to_id('<|begin_of_text|>'))
    made.post_processor = processors.TemplateProcessing(
      single='<|begin_of_text|> $A', special_tokens=[begin]
    )
  made.save(str(path))
  return path


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """A file of each kind, under the kind's name."""
  folder = tmp_path_factory.mktemp('tokens')
  tokenize.train_tokenizer(TEXTS, folder / 'words.model')
  return {
    'model': folder / 'words.model',
    'json': _llama(folder / 'llama.json', _LLAMA_3_1, ignore_merges=True),
  }


@pytest.fixture(params=['model', 'json'])
def tokenizer(request, files):
  return tokenize.load(files[request.param])


def _texts(count=300):
  """Strings of any characters, and of pieces, spaces and special tokens."""
  draw = random.Random(7)
  special = [*_LLAMA_3_1, '<bos>', '<bof>', '<pad>', '<unk>', '<0x41>']
  ranges = [(0, 128), (0, 0xD800), (0xE000, 0x110000), (0x1F300, 0x1F700)]
  for _ in range(count):
    parts = []
    for _ in range(draw.randrange(12)):
      low, high = draw.choice(ranges)
      letter = chr(draw.randrange(low, high)) * draw.choice((1, 1, 3))
      words = [*special, *TEXTS[:4], ' ', '\n', "'LL", '  ', '12345']
      parts.append(draw.choice([letter, draw.choice(words)]))
    yield ''.join(parts)


@pytest.mark.parametrize(
  'text', ['', 'attack', ' two  spaces ', 'Zürich\n🙂', '<bof> <eos>', ' ']
)
def test_any_text_comes_back(tokenizer, text):
  ids = tokenizer.encode(text)
  assert tokenizer.decode(ids) == text
  assert not set(ids) & set(tokenizer.special)


def test_random_text_comes_back_and_holds_no_special_token(tokenizer):
  for text in _texts():
    # SentencePiece keeps its own sign for a space to itself.
    text = text.replace('\u2581', '')
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.special)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


def test_special_tokens_are_left_out(tokenizer):
  ids = tokenizer.encode('attack')
  pad, bos, eos, bof, eof = tokenizer.special
  assert tokenizer.decode([bos, *ids, bof, eof, eos, pad]) == 'attack'
  for wrong in (9999, tokenizer.vocab_size, -1):
    with pytest.raises(ValueError, match=f'token {wrong} is not one of'):
      tokenizer.decode([*ids, wrong])


def test_both_kinds_are_tokenizers(tokenizer):
  assert isinstance(tokenizer, tokens.Tokenizer)
  assert len(set(tokenizer.special)) == len(tokenizer.special)


def test_a_word_is_a_piece(tokenizer):
  assert len(tokenizer.encode('turn left, move forward')) == 5
  assert len(tokenizer.encode('attack')) == 1


def test_the_same_words_make_the_same_file(tmp_path):
  for name in 'ab':
    tokenize.train_tokenizer(TEXTS, tmp_path / name)
  assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def test_llama_ids_are_those_of_transformers(files):
  ours = tokenize.load(files['json'])
  theirs = transformers.PreTrainedTokenizerFast(
    tokenizer_file=str(files['json'])
  )
  assert ours.vocab_size == len(theirs)
  for text in _texts():
    ids = theirs(text, add_special_tokens=False, split_special_tokens=True)
    assert ours.encode(text) == ids.input_ids
  # A text that spells a token is that token to them, and characters to us.
  assert theirs('<|eot_id|>').input_ids[-1] == len(theirs) - 1
  assert len(ours.encode('<|eot_id|>')) > 1


@pytest.mark.parametrize(
  'names,pad',
  [(_LLAMA_3, _LLAMA_3[4]), (_LLAMA_3_1, '<|finetune_right_pad_id|>')],
)
def test_roles_are_llama_3s_tokens(tmp_path, names, pad):
  tokenizer = tokenize.load(_llama(tmp_path / 'tokenizer.json', names))
  theirs = tokenizers.Tokenizer.from_file(str(tmp_path / 'tokenizer.json'))
  roles = [pad, *_LLAMA_3[:4]]
  assert [theirs.token_to_id(role) for role in roles] == list(tokenizer.special)
  assert tokenizer.vocab_size == theirs.get_vocab_size()


def test_a_copy_encodes_no_special_token_either(tokenizer):
  text = '<|begin_of_text|> <bos>'
  copies = (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer)))
  for copied in copies:
    assert copied.encode(text) == tokenizer.encode(text)


def test_a_files_padding_and_truncation_are_not_followed(tmp_path):
  path = _llama(tmp_path / 'x.json', _LLAMA_3)
  plain = tokenize.load(path).encode('attack attack')
  theirs = tokenizers.Tokenizer.from_file(str(path))
  theirs.enable_truncation(1)
  theirs.save(str(path))
  assert tokenize.load(path).encode('attack attack') == plain
  theirs.no_truncation()
  theirs.enable_padding(length=9)
  theirs.save(str(path))
  assert tokenize.load(path).encode('attack attack') == plain


def test_ids_are_those_of_the_file(tmp_path):
  path = _llama(tmp_path / 'x.json', _LLAMA_3)
  whole = path.read_text()

  held = json.loads(whole)
  held['added_tokens'][-1]['id'] += 1
  path.write_text(json.dumps(held))
  with pytest.raises(ValueError, match=r'without a gap; <\|eot_id\|> is'):
    tokenize.load(path)

  held = json.loads(whole)
  del held['model']['vocab']['attack']
  held['model']['merges'] = [
    pair for pair in held['model']['merges'] if ''.join(pair) != 'attack'
  ]
  path.write_text(json.dumps(held))
  with pytest.raises(ValueError, match=r'x\.json: its tokens are not numbered'):
    tokenize.load(path)


def test_a_folder_holds_a_tokenizer_of_either_kind(tmp_path, files):
  with pytest.raises(ValueError, match=r'holds no tokenizer\.json or tok'):
    tokenize.load(tmp_path)
  for kind, file in files.items():
    (tmp_path / kind).mkdir()
    held = tmp_path / kind / f'tokenizer.{kind}'
    held.write_bytes(file.read_bytes())
    assert tokenize.find(tmp_path / kind) == held
    found, named = tokenize.load(tmp_path / kind), tokenize.load(file)
    assert found.encode('turn left') == named.encode('turn left')
    (tmp_path / held.name).write_bytes(file.read_bytes())
  with pytest.raises(ValueError, match=r'json and tokenizer\.model; name one'):
    tokenize.load(tmp_path)


@pytest.mark.parametrize('role', sorted(set(_LLAMA_3[:5])))
def test_a_missing_token_is_named(tmp_path, role):
  names = [name for name in _LLAMA_3 if name != role]
  path = _llama(tmp_path / 'x.json', names)
  with pytest.raises(ValueError) as error:
    tokenize.load(path)
  assert str(path) in str(error.value)
  assert f'{role} in it, which is' in str(error.value)


def test_a_plain_piece_is_no_special_token(tmp_path):
  path = _llama(tmp_path / 'x.json', _LLAMA_3)
  held = json.loads(path.read_text())
  held['added_tokens'][0]['special'] = False
  path.write_text(json.dumps(held))
  with pytest.raises(ValueError, match=r'no special token <\|begin_of'):
    tokenize.load(path)


def test_a_special_token_that_text_can_reach_is_refused(tmp_path):
  path = tmp_path / 'x.json'
  made = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
  trainer = trainers.BpeTrainer(
    special_tokens=_LLAMA_3, show_progress=False
  )  # They become pieces of the model, too.
  made.train_from_iterator(TEXTS + _LLAMA_3, trainer)
  made.save(str(path))
  with pytest.raises(ValueError, match='encodes to a special token; take'):
    tokenize.load(path)


def test_a_model_without_control_symbols_is_named(tmp_path):
  with (tmp_path / 'x.model').open('wb') as file:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(TEXTS),
      model_writer=file,
      vocab_size=30,
      hard_vocab_limit=False,
      minloglevel=2,
    )
  with pytest.raises(
    ValueError, match='<pad> is no control symbol of it; make'
  ):
    tokenize.load(tmp_path / 'x.model')


@pytest.mark.parametrize('text', ['', '{}', '[1]', 'not JSON', '\xff'])
def test_a_json_that_is_no_tokenizer_is_named(tmp_path, text):
  (tmp_path / 'x.json').write_text(text, encoding='latin-1')
  with pytest.raises(ValueError, match=r'x\.json: not a Hugging Face tok'):
    tokenize.load(tmp_path / 'x.json')


def test_bad_input_is_named(tmp_path):
  for name in ('none.model', 'none.json'):
    with pytest.raises(ValueError, match=f'{name}: no tokenizer here; make'):
      tokenize.load(tmp_path / name)
  with pytest.raises(ValueError, match=r'a \.json or a \.model, by its name'):
    tokenize.load(tmp_path / 'words.txt')
  (tmp_path / 'x.model').write_bytes(b'not a model')
  with pytest.raises(ValueError, match=r'x\.model: not a SentencePiece'):
    tokenize.load(tmp_path / 'x.model')
  with pytest.raises(ValueError, match='no words'):
    tokenize.train_tokenizer(['', ''], tmp_path / 'y.model')
  with pytest.raises(ValueError, match='5 pieces cannot'):
    tokenize.train_tokenizer(['a b'], tmp_path / 'y.model', vocab_size=5)
  assert not (tmp_path / 'y.model').exists()
