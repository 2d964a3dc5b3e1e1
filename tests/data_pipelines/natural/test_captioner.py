"""The model is shown what it is asked about, and takes no liberties."""

import json
import threading

import numpy as np
import pytest

from data_pipelines.natural import captioner
from data_pipelines.natural import chat as chat_lib
from tests.data_pipelines.natural import pictures
from tests.data_pipelines.natural import server as server_lib

WHERE = 'sports-match.mp4-00012.500'
# Each picture is known by its grey.
GREYS = [np.full((24, 32, 3), grey, np.uint8) for grey in range(20, 200, 20)]


@pytest.fixture
def chat(server, tmp_path):
  settings = chat_lib.Server(
    address=server.address, model='seer', cache=str(tmp_path), retries=0
  )
  with chat_lib.Chat(settings) as chat:
    yield chat


def _greys(asked):
  return [round(np.asarray(picture).mean(), -1) for picture in asked.pictures]


def _shown(asked):
  """Texts after the prompt, and the greys of pictures, in order."""
  greys = iter(_greys(asked))
  parts = asked.body['messages'][0]['content'][1:]
  return ' '.join(part.get('text') or f'{next(greys):.0f}' for part in parts)


def test_a_scene_is_described_and_judged_at_once(chat, server):
  server.script = [
    server_lib.answer('{"caption": "A ball\\nflies.", "score": 7}'),
    server_lib.answer('```json\n{"caption": "A ball."}\n```'),
  ]
  scene = captioner.scene_of(chat, GREYS[:3], 'football {at night}', WHERE)
  assert scene == ('A ball flies.', 0.7)
  assert captioner.scene_of(chat, GREYS[:3], '', WHERE) == ('A ball.', None)
  judged, plain = server.asked
  assert 'how well the scene shows "football {at night}"' in judged.text
  assert 'score' in judged.text and 'score' not in plain.text
  assert _greys(judged) == [20, 40, 60]


def test_a_piece_is_shown_beside_the_one_before(chat, server):
  server.reply = lambda asked: server_lib.answer(
    json.dumps({'caption': _shown(asked)})
  )
  pieces = [GREYS[:2], GREYS[2:5], GREYS[5:6]]
  said = captioner.changes_of(chat, 'A game {x}.', pieces, 2, WHERE)
  assert said == [
    '20 40',
    'BEFORE 20 40 NOW 60 80 100',
    'BEFORE 60 80 100 NOW 120',
  ]
  assert all('A game {x}.' in asked.text for asked in server.asked)
  assert captioner.changes_of(chat, 'A game {x}.', pieces, 2, WHERE) == said
  assert len(server.asked) == 3


def test_no_more_questions_wait_than_allowed(chat, server):
  waiting, most, lock = 0, 0, threading.Lock()

  def reply(asked):
    nonlocal waiting, most
    with lock:
      waiting += 1
      most = max(most, waiting)
    threading.Event().wait(0.05)
    with lock:
      waiting -= 1
    return server_lib.caption(asked)

  server.reply = reply
  pieces = [[grey] for grey in GREYS[:6]]
  captioner.changes_of(chat, 'A game.', pieces, 3, WHERE)
  assert most == 3


@pytest.mark.parametrize(
  ('answer', 'named'),
  [
    ('A ball flies.', 'is not one JSON object'),
    ('["A ball"]', 'is not one JSON object'),
    ('{"caption": "A ball"} And more.', 'is not one JSON object'),
    ('[' * 50_000, 'is not one JSON object'),
    ('{"score": 3}', 'has no words in "caption"'),
    ('{"caption": " ", "score": 3}', 'has no words in "caption"'),
    ('{"caption": ["A"], "score": 3}', 'has no words in "caption"'),
    ('{"caption": "\\ud800", "score": 3}', 'that is no Unicode text'),
    ('{"caption": "A"}', 'has no number in "score"'),
    ('{"caption": "A", "score": "7"}', 'has no number in "score"'),
    ('{"caption": "A", "score": true}', 'has no number in "score"'),
    ('{"caption": "A", "score": 11}', 'not from 0 to 10'),
    ('{"caption": "A", "score": NaN}', 'not from 0 to 10'),
    ('{"caption": "A", "score": 1' + '0' * 400 + '}', 'not from 0 to 10'),
  ],
)
def test_an_answer_of_another_form_is_refused(answer, named, chat, server):
  server.reply = lambda _: server_lib.answer(answer)
  with pytest.raises(ValueError, match=named) as caught:
    captioner.scene_of(chat, GREYS[:1], 'football', WHERE)
  assert WHERE in str(caught.value)
  assert len(server.asked) == 2
  assert named.split('"')[0] in server.asked[1].body['messages'][2]['content']


def test_the_piece_that_fails_is_named(chat, server):
  def reply(asked):
    if len(asked.pictures) == 2:
      return server_lib.failing(500)
    return server_lib.caption(asked)

  server.reply = reply
  with pytest.raises(ValueError, match=f'{WHERE} piece 1: http.* 500'):
    captioner.changes_of(chat, 'A game.', [[g] for g in GREYS[:2]], 4, WHERE)


def test_the_prompts_are_in_the_recipe():
  recipe = json.loads(json.dumps(captioner.recipe()))
  assert captioner.SCENE in recipe['prompts']
  assert recipe['options']['temperature'] == 0


def test_a_picture_is_sent_as_it_is_seen(chat, server):
  picture = pictures.texture(1, 45, 80)
  captioner.scene_of(chat, [picture], '', WHERE)
  assert server.asked[0].pictures[0].size == (80, 45)
