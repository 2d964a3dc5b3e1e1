r"""Learns a SentencePiece tokenizer from the words of a recording.

  python -m launch.tokenize --records DIR --out FILE.model

Reads the prompts, captions and control words of the train split. A FILE that
exists is left as it is.
"""

import pathlib

from absl import flags

from data_pipelines import records
from data_pipelines import tokenize

_RECORDS = flags.DEFINE_string(
  'records', None, 'Directory of the recording (launch.record).'
)
_OUT = flags.DEFINE_string('out', None, 'File of the tokenizer.')
_VOCABULARY = flags.DEFINE_integer(
  'vocabulary', tokenize.VOCABULARY, 'Pieces at most, bytes and symbols too.'
)
flags.mark_flags_as_required(['records', 'out'])


def main(_):
  """Learns the tokenizer unless it is there."""
  out = pathlib.Path(_OUT.value)
  if out.suffix != '.model':
    raise ValueError(
      f'--out {str(out)!r}: a SentencePiece tokenizer is a FILE.model; '
      'name it so'
    )
  known = out.exists()
  if not known:
    takes = records.Takes(_RECORDS.value, 'train')
    texts = [segment['text'] for take in takes for segment in take.segments]
    tokenize.train_tokenizer(texts, out, _VOCABULARY.value)
  tokenizer = tokenize.SentencePieceTokenizer(out)
  print(
    f'{out}: {tokenizer.vocab_size} pieces'
    + ('; already learned' if known else '')
  )


if __name__ == '__main__':
  from launch import run

  run.app(main, mesh='none')
