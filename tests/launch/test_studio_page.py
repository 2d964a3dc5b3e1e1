"""The studio's page, in a browser: ask, watch, change a word, see another."""

import contextlib
import io
import re

import numpy as np
from PIL import Image
import pytest

from tests.launch import fake_teller
from tests.launch import visiting

expect = visiting.api.expect


@pytest.fixture(scope='module')
def browser():
  with visiting.browser() as browser:
    yield browser


@pytest.fixture
def studio(browser):
  with visiting.studios(browser) as studio:
    yield studio


def test_words_then_frames_then_other_words_and_another_future(studio):
  visit, engine = studio()
  visitor = visit()
  engine.held = 4
  engine.gate.clear()
  visitor.film(seconds=3)
  visitor.status('A', 'Filmed 3 of 6')
  assert visitor.moments('A')[:2] == ['first frame', 'no words']
  assert len(visitor.pictures('A')) == 4
  expect(visitor.button('Pause')).to_be_visible()
  engine.gate.set()
  visitor.status('A', '3.1 s')

  visitor.branch('A', 1.6, 'attack')
  visitor.status('B', '3.1 s')
  expect(visitor.row('B').locator('.title')).to_have_text('“attack” at 1.6 s')
  told = ['attack, told'] * 2
  assert visitor.moments('B')[4:6] == told
  assert visitor.moments('B')[:4] == visitor.moments('A')[:4]
  films = visitor.pictures('A'), visitor.pictures('B')
  assert visiting.differ(*films) == [False] * 4 + [True] * 3

  # Side by side, at one time: the same before the moment, not after.
  assert visitor.page.locator('.screen .title').all_inner_texts() == [
    'doom hall',
    '“attack” at 1.6 s',
  ]
  scrubber = visitor.field('Position')
  scrubber.fill('12')
  expect(visitor.page.locator('#clock')).to_have_text('1.5 / 3.1 s')
  assert not np.any(np.diff(visitor.screens(), axis=0))
  scrubber.fill('13')
  expect(visitor.page.locator('.caption').nth(1)).to_have_text('attack')
  assert np.any(np.diff(visitor.screens(), axis=0))


def test_branches_branch_say_nothing_and_are_left_to_write(studio):
  visit, _ = studio()
  visitor = visit()
  visitor.film(seconds=3, seed=2)
  visitor.status('A', '3.1 s')
  visitor.branch('A', 1.6, 'turn left')
  visitor.status('B', '3.1 s')
  visitor.moment('B', 2.6).click()
  visitor.button('Say nothing').click()
  visitor.status('C', '3.1 s')
  visitor.moment('A', 0.6).click()
  visitor.button('Let it write').click()
  visitor.status('D', '3.1 s')
  a, b, c, d = (visitor.pictures(letter) for letter in 'ABCD')
  assert visiting.differ(a, b) == [False] * 4 + [True] * 3
  assert visiting.differ(b, c) == [False] * 6 + [True]
  assert visiting.differ(a, d) == [False] * 2 + [True] * 5
  # The same words and seed would have been the same film.
  seeds = visitor.page.locator('.told-by')
  expect(seeds).to_have_text(['seed 2', '', '', re.compile(r'^seed \d+$')])
  assert visitor.page.locator('.row .title').all_inner_texts() == [
    'doom hall',
    '“turn left” at 1.6 s',
    'Told to say nothing at 2.6 s',
    'Left to write from 0.6 s',
  ]
  # Two are on stage; a third takes the place of the older one.
  expect(visitor.page.locator('.screen .badge')).to_have_text(['A', 'D'])
  visitor.row('C').locator('.watch').click()
  expect(visitor.page.locator('.screen .badge')).to_have_text(['D', 'C'])


def test_all_is_done_with_the_keyboard_alone(studio):
  visit, _ = studio()
  visitor = visit()
  keyboard = visitor.page.keyboard
  visitor.tab_to('prompt')
  keyboard.press('Control+A')
  keyboard.type('doom go')
  visitor.tab_to('seconds')
  keyboard.press('Control+A')
  keyboard.type('2')
  keyboard.press('Enter')
  visitor.status('A', '2.1 s')
  visitor.tab_to('0.0 s: first frame')
  keyboard.press('ArrowRight')
  keyboard.press('ArrowRight')
  assert visitor.focused().startswith('0.6 s: ')
  keyboard.press('Enter')
  assert visitor.focused() == 'words'
  keyboard.press('Escape')
  assert visitor.focused().startswith('0.6 s: ')
  expect(visitor.page.locator('#editor')).to_be_hidden()
  keyboard.press('Enter')
  keyboard.press('Control+A')
  keyboard.type('attack')
  keyboard.press('Enter')
  visitor.status('B', '2.1 s')
  assert visitor.focused().startswith('0.6 s: ')
  keyboard.press('ArrowDown')
  assert visitor.focused() == '0.6 s: attack, told'
  keyboard.press('Home')
  assert visitor.focused() == '0.0 s: first frame'
  visitor.tab_to('Back one frame')
  keyboard.press('Enter')


@pytest.mark.parametrize('colours', ['light', 'dark'])
@pytest.mark.parametrize('width', [360, 1280])
def test_it_is_accessible_and_nothing_overflows(studio, colours, width):
  axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
  visit, _ = studio()
  window = {'width': width, 'height': 800}
  visitor = visit(
    viewport=window, color_scheme=colours, reduced_motion='reduce'
  )
  faults = [axe.run(visitor.page)]
  assert visitor.overflow() <= 0
  visitor.film(seconds=6)
  visitor.status('A', '6.1 s')
  visitor.branch('A', 1.6, 'turn left ' * 4)
  visitor.status('B', '6.1 s')
  visitor.film(prompt=' ')
  expect(visitor.page.get_by_role('alert')).to_contain_text('prompt: empty')
  visitor.moment('B', 2.1).click()
  faults.append(axe.run(visitor.page))
  assert [
    each.generate_report() for each in faults if each.violations_count
  ] == []
  assert visitor.overflow() <= 0
  # Where movement is not wanted nothing plays by itself.
  expect(visitor.button('Play')).to_be_visible()


def test_two_people_wait_in_line_and_cancel(studio):
  visit, engine = studio(lanes=1)
  engine.gate.clear()
  ann, bob = visit(), visit()
  ann.film(seed=1)
  ann.status('A', 'Filmed 0 of 6')
  bob.film(seed=2)
  bob.status('A', 'Next')
  cat = visit()
  cat.film(seed=3)
  cat.status('A', 'Place 2 in line')
  bob.button('Cancel').click()
  bob.status('A', 'Cancelled')
  assert bob.focused() == 'film'
  cat.status('A', 'Next')
  engine.gate.set()
  ann.status('A', '3.1 s')
  cat.status('A', '3.1 s')
  assert (
    visiting.differ(ann.pictures('A'), cat.pictures('A'))
    == [False] + [True] * 6
  )
  bob.film(seed=3)
  bob.status('B', '3.1 s')
  assert visiting.differ(bob.pictures('B'), cat.pictures('A')) == [False] * 7


def test_it_says_in_plain_words_what_cannot_be(studio, tmp_path):
  visit, _ = studio()
  visitor = visit()
  alert = visitor.page.get_by_role('alert')
  visitor.film(prompt=' ')
  expect(alert).to_contain_text('prompt: empty')
  visitor.film(prompt='go ' * 99)
  expect(alert).to_contain_text('99 tokens')
  visitor.film(seconds=1000)
  expect(alert).to_contain_text('seconds = 1000')
  broken = tmp_path / '"><b>.png'
  broken.write_bytes(b'no picture')
  visitor.field('Use a picture of mine…').set_input_files(broken)
  visitor.film()
  expect(alert).to_contain_text('picture')
  visitor.button('Dismiss').click()
  expect(alert).to_be_empty()
  visitor.page.get_by_role('radio', name='Start 2').check()
  visitor.film(prompt='fail')
  visitor.status('A', 'Failed: ')
  visitor.film(prompt='end')
  visitor.status('B', 'The model ended it at 1.6 s')


def test_a_picture_of_ones_own_begins_a_story(studio):
  visit, _ = studio()
  visitor = visit()
  picture = io.BytesIO()
  Image.new('RGB', (200, 90), (250, 20, 30)).save(picture, 'png')
  file = {
    'name': 'red.png',
    'mimeType': 'image/png',
    'buffer': picture.getvalue(),
  }
  visitor.field('Use a picture of mine…').set_input_files(file)
  mine = visitor.page.get_by_role('radio', name='My picture: red.png')
  expect(mine).to_be_checked()
  visitor.film()
  visitor.status('A', '3.1 s')
  red, green, blue = visitor.pictures('A')[0].reshape(-1, 3).max(0)
  assert red > 2 * max(green, blue)


def test_a_reload_keeps_the_stories_and_remove_does_not(studio):
  visit, engine = studio()
  visitor = visit()
  visitor.film()
  visitor.status('A', '3.1 s')
  engine.held = 5
  engine.gate.clear()
  visitor.branch('A', 1.6, 'attack')
  visitor.status('B', 'Filmed 4 of 6')
  before = visitor.pictures('A')
  visitor.page.reload()
  visitor.status('B', 'Filmed 4 of 6')
  engine.gate.set()
  visitor.status('B', '3.1 s')
  assert visiting.differ(visitor.pictures('A'), before) == [False] * 7
  expect(visitor.row('B').locator('.title')).to_have_text('“attack” at 1.6 s')
  visitor.row('A').locator('.remove').click()
  expect(visitor.page.locator('.row')).to_have_count(1)
  visitor.page.reload()
  visitor.status('A', '3.1 s')
  expect(visitor.page.locator('.row .title')).to_have_text(
    ['“attack” at 1.6 s']
  )
  assert visitor.page.locator('.screen').count() == 1


def test_more_futures_at_once_than_a_browser_has_connections(studio):
  visit, engine = studio(lanes=2)
  engine.held = 3
  engine.gate.clear()
  visitor = visit()
  visitor.film()
  visitor.status('A', 'Filmed 2 of 6')
  for words in ('turn left', 'attack', 'go', 'turn right', 'forward', 'hall'):
    visitor.branch('A', 0.6, words)
    expect(visitor.page.locator('#editor')).to_be_hidden()
  engine.gate.set()
  for letter in 'ABCDEFG':
    visitor.status(letter, '3.1 s')
  films = [visitor.pictures(letter)[-1].tobytes() for letter in 'ABCDEFG']
  assert len(set(films)) == 7


def test_films_and_stories_are_taken_home(studio):
  visit, _ = studio()
  visitor = visit()
  visitor.film(seconds=1)
  visitor.status('A', '1.1 s')
  for name, ending in (('mp4', '.mp4'), ('story', '.zip')):
    with visitor.page.expect_download() as download:
      visitor.row('A').get_by_role('link', name=f'Download {name}').click()
    assert download.value.suggested_filename.endswith(ending)
    assert download.value.path().stat().st_size > 100


def test_it_says_when_the_server_is_gone(browser):
  teller = fake_teller.Storyteller(lanes=1)
  with contextlib.ExitStack() as gone:
    with fake_teller.served(teller) as address:
      visitor = visiting.Visit(browser, address)
      gone.callback(visitor.page.context.close)
      visitor.film()
      visitor.status('A', '3.1 s')
    visitor.film()
    expect(visitor.page.get_by_role('alert')).to_contain_text('not answer')
    # What is there can still be watched.
    visitor.field('Position').fill('3')
    expect(visitor.page.locator('#clock')).to_have_text('0.4 / 3.1 s')
