"""Questions are asked as the protocol says, once, and nonsense is named."""

import dataclasses
import json
import pickle
import time

import numpy as np
import pytest

from data_pipelines.natural import chat as chat_lib
from tests.data_pipelines.natural import pictures
from tests.data_pipelines.natural import server as server_lib

PICTURE = pictures.texture(0, 30, 40)
WHERE = 'sports-match.mp4-00012.500'


def _settings(server, tmp_path, **change):
  settings = chat_lib.Server(
    address=server.address,
    model='seer',
    cache=str(tmp_path / 'cache'),
    timeout=5.0,
    retries=2,
  )
  return dataclasses.replace(settings, **change)


def _parse(answer):
  if answer != 'yes':
    raise ValueError('is not yes')
  return True


def _ask(settings, text='Is it so?', parse=_parse):
  with chat_lib.Chat(settings) as chat:
    return chat.ask([text, PICTURE, 'or', PICTURE[::-1]], parse, WHERE)


YES = server_lib.answer('yes')


def test_the_question_is_sent_as_the_protocol_says(
  server, tmp_path, monkeypatch
):
  monkeypatch.setenv('SEER_KEY', 'secret')
  monkeypatch.setenv('OPENAI_API_KEY', 'of somebody else')
  server.script = [YES, YES]
  assert _ask(_settings(server, tmp_path, api_key_env='SEER_KEY'))
  assert _ask(_settings(server, tmp_path), 'And so?')
  asked, keyless = server.asked
  assert asked.key == 'Bearer secret'
  assert 'somebody' not in keyless.key
  assert asked.model == 'seer'
  assert asked.text == 'Is it so?\nor'
  kinds = [part['type'] for part in asked.body['messages'][0]['content']]
  assert kinds == ['text', 'image_url', 'text', 'image_url']
  for picture, sent in zip(
    asked.pictures, (PICTURE, PICTURE[::-1]), strict=True
  ):
    assert np.abs(np.asarray(picture, int) - sent).mean() < 4
  assert asked.body['temperature'] == 0
  assert asked.body['max_tokens'] == chat_lib.OPTIONS['max_tokens']


def test_nothing_is_asked_twice(server, tmp_path):
  server.script = [YES] * 3
  settings = _settings(server, tmp_path)
  for _ in range(2):
    assert _ask(settings)
  assert len(server.asked) == 1
  # Another server of the same model would say the same.
  assert _ask(dataclasses.replace(settings, timeout=9.0, retries=0))
  assert len(server.asked) == 1
  assert _ask(settings, 'Is it not so?')
  assert _ask(dataclasses.replace(settings, model='seer-2'))
  assert len(server.asked) == 3


def test_other_pictures_are_another_question(server, tmp_path):
  server.script = [YES] * 2
  with chat_lib.Chat(_settings(server, tmp_path)) as chat:
    for picture in (PICTURE, PICTURE[:, ::-1], PICTURE):
      chat.ask(['Is it so?', picture], _parse, WHERE)
  assert len(server.asked) == 2


def test_a_damaged_answer_on_disk_is_asked_for_again(server, tmp_path):
  server.script = [YES] * 4
  settings = _settings(server, tmp_path)
  _ask(settings)
  (path,) = (tmp_path / 'cache').rglob('*.json')
  for damage in (b'', b'{"answer": "y', b'[1]', b'{"answer": 3}', b'\xff'):
    server.script = [YES]
    path.write_bytes(damage)
    assert _ask(settings)
    assert not server.script
    assert json.loads(path.read_text())['answer'] == 'yes'


@pytest.mark.parametrize(
  'trouble',
  [
    [server_lib.failing(500), server_lib.failing(503)],
    [server_lib.failing(429), server_lib.failing(408)],
    [server_lib.hang_up],
  ],
)
def test_troubles_pass(trouble, server, tmp_path):
  server.script = [*trouble, YES]
  assert _ask(_settings(server, tmp_path))
  assert len(server.asked) == len(trouble) + 1


def test_the_server_says_how_long_to_wait(server, tmp_path):
  server.script = [server_lib.failing(429, '1'), YES]
  began = time.monotonic()
  assert _ask(_settings(server, tmp_path))
  assert time.monotonic() - began >= 1  # of its own it waits half of that


@pytest.mark.parametrize(
  ('step', 'retries', 'requests', 'named'),
  [
    (server_lib.failing(500), 2, 3, 'the error 500: .*no'),
    (server_lib.failing(429), 1, 2, 'the error 429'),
    (server_lib.failing(400), 2, 1, 'the error 400'),
    (server_lib.failing(401), 2, 1, 'the error 401'),
    (server_lib.hang_up, 0, 1, r'not to be reached \(.*disconnect'),
    (server_lib.hang, 0, 1, 'sent nothing for 0.2 s, in 1 tries'),
  ],
)
def test_errors_and_silence_are_named(
  step, retries, requests, named, server, tmp_path
):
  server.reply = lambda _: step
  timeout = 0.2 if step is server_lib.hang else 5.0
  settings = _settings(server, tmp_path, retries=retries, timeout=timeout)
  with pytest.raises(ValueError, match=named) as caught:
    _ask(settings)
  assert str(caught.value).startswith(f'{WHERE}: {server.address} (seer) ')
  assert len(server.asked) == requests


def test_a_server_that_is_not_there_is_named(server, tmp_path):
  settings = _settings(
    server, tmp_path, address='http://127.0.0.1:9/v1', retries=0
  )
  with pytest.raises(ValueError, match=r'9/v1 .* not to be reached'):
    _ask(settings)


HTML = server_lib.Sent(
  b'<html>\n<h1>Gateway</h1>', headers=(('Content-Type', 'text/html'),)
)


@pytest.mark.parametrize(
  ('sent', 'named'),
  [
    (HTML, "no JSON; it sent '<html> <h1>Gateway"),
    (server_lib.Sent(b''), "no JSON; it sent ''"),
    (server_lib.Sent(b'{"choices": [{"mess'), 'no JSON; .*mess'),
    (server_lib.Sent(b'\xff\xfe{"choices": []}'), 'no JSON'),
    (server_lib.Sent(b'[' * 100_000), 'no JSON'),
    (server_lib.Sent(b'null'), 'no choices'),
    (server_lib.Sent(b'{"choices": []}'), r'no choices\[0\]'),
    (server_lib.Sent(b'{"choices": [{"message": null}]}'), 'no choices'),
    (server_lib.answer(None), 'an empty answer'),
    (server_lib.answer(' \n'), 'an empty answer'),
    (server_lib.answer(['yes']), 'an empty answer'),
    (server_lib.answer('ye', 'length'), 'cut short at 512 tokens'),
    (server_lib.answer('perhaps'), 'is not yes; it sent .*perhaps'),
  ],
)
def test_nonsense_is_asked_about_once_more_and_then_named(
  sent, named, server, tmp_path
):
  settings = _settings(server, tmp_path)
  server.reply = lambda _: sent
  with pytest.raises(ValueError, match=named) as caught:
    _ask(settings)
  assert str(caught.value).startswith(f'{WHERE}: {server.address} (seer) ')
  assert len(server.asked) == 2
  assert not list((tmp_path / 'cache').rglob('*.json'))
  server.script = [sent, YES]
  assert _ask(settings)
  assert len(server.asked) == 4


def test_the_model_is_told_what_was_wrong(server, tmp_path):
  server.script = [server_lib.answer('perhaps'), YES]
  settings = _settings(server, tmp_path)
  assert _ask(settings)
  first, second = (asked.body['messages'] for asked in server.asked)
  assert second[:1] == first
  assert second[1] == {'role': 'assistant', 'content': 'perhaps'}
  assert 'is not yes' in second[2]['content']
  assert _ask(settings), 'kept as the answer to the question'
  assert len(server.asked) == 2


def test_what_an_older_parser_took_is_asked_again(server, tmp_path):
  settings = _settings(server, tmp_path)
  server.script = [server_lib.answer('aye'), YES]
  assert _ask(settings, parse=str) == 'aye'
  assert _ask(settings)
  assert len(server.asked) == 2


def test_all_requests_keep_to_the_rate(server, tmp_path):
  settings = _settings(server, tmp_path, requests_per_minute=60 / 0.15)
  server.script = [server_lib.failing(500), YES]
  began = time.monotonic()
  assert _ask(settings)
  server.script = [YES]
  assert _ask(pickle.loads(pickle.dumps(settings)), 'And so?')
  assert time.monotonic() - began >= 2 * 0.15
  assert len(server.asked) == 3


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'address': ''}, 'give --address'),
    ({'address': 'localhost:8000'}, "address is 'localhost:8000'"),
    ({'model': ''}, 'give --model'),
    ({'cache': ''}, 'give --cache'),
    ({'api_key_env': 'NO_SUCH_KEY'}, "'NO_SUCH_KEY'.* not set"),
    ({'requests_per_minute': -1.0}, 'requests_per_minute is -1.0'),
    ({'requests_at_once': 0}, 'requests_at_once is 0'),
    ({'timeout': 0.0}, 'timeout is 0.0'),
    ({'retries': -1}, 'retries is -1'),
  ],
)
def test_a_bad_setting_is_named(change, named, server, tmp_path):
  with pytest.raises(ValueError, match=named):
    _settings(server, tmp_path, **change).check_server()


def test_any_damage_to_an_answer_is_nonsense_or_an_answer():
  rng = np.random.default_rng(0)
  whole = server_lib.answer('{"caption": "A ball flies.", "score": 7}').body
  for _ in range(1000):
    body = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
      place = rng.integers(len(body))
      body[place : place + rng.integers(3)] = rng.bytes(rng.integers(3))
    body = bytes(body[: rng.integers(len(body) * 2)])
    try:
      assert isinstance(chat_lib._content(body), str)
    except ValueError as error:
      assert str(error).startswith('sent ')
