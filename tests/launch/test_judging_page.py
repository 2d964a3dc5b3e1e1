"""A judge at the page, in a browser: answers by keyboard, and their tally."""

import json

import numpy as np
import pytest

from launch.judging import answers
from launch.judging import tally
from tests.launch import judged
from tests.launch import visiting

expect = visiting.api.expect
_COLOURS = """videos => videos.map(video => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d');
  canvas.drawImage(video, 0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
})"""
_TIMES = 'videos => videos.map(video => video.currentTime)'


@pytest.fixture(scope='module')
def browser():
  with visiting.browser() as browser:
    yield browser


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A page of three pairs, with the films in it, and its key."""
  place = tmp_path_factory.mktemp('judging')
  _, key = judged.made(place / 'out', judged.told(place, 3))
  return (place / 'out' / 'page' / 'index.html').as_uri(), key


@pytest.fixture(scope='module')
def large(tmp_path_factory):
  """A page of twelve pairs and a check, with its films beside it."""
  place = tmp_path_factory.mktemp('large')
  folders = judged.told(place, 12)
  _, key = judged.made(place / 'out', folders, checks=1, most=0)
  return (place / 'out' / 'page' / 'index.html').as_uri(), key


@pytest.fixture
def judge(browser):
  """Opens pages; no console has anything to complain of."""
  heard, contexts = [], []

  def open_one(address, name='Ann', **context):
    contexts.append(browser.new_context(**context))
    page = contexts[-1].new_page()
    page.on('console', lambda message: heard.append(message.text))
    page.on('pageerror', lambda error: heard.append(str(error)))
    page.on('request', lambda request: heard.extend(_foreign(request.url)))
    page.goto(address)
    if name:
      page.get_by_label('Your name').fill(name)
      page.keyboard.press('Enter')
      expect(page.locator('#pair')).to_be_visible()
    return page

  yield open_one
  for context in contexts:
    context.close()
  assert heard == []


def _foreign(url):
  return [] if url.startswith(('file:', 'data:', 'blob:')) else [url]


def _colours(page):
  """What is seen of the two films at their end."""
  page.wait_for_function(
    '() => [...document.querySelectorAll("video")].every(v => v.readyState > 1)'
  )
  if page.locator('#play').inner_text() == 'Pause both':
    page.keyboard.press(' ')
  position = page.get_by_label('Position in both films')
  position.fill('1')
  position.blur()  # Or arrows would move it.
  page.wait_for_function(
    '() => [...document.querySelectorAll("video")].every('
    'v => !v.seeking && Math.abs(v.currentTime - 1) < 0.02)'
  )
  return np.array(page.locator('video').evaluate_all(_COLOURS))


def _answers(page, path):
  """The file that a judge takes home."""
  with page.expect_download() as download:
    page.get_by_role('button', name='Download answers').first.click()
  download.value.save_as(path)
  return download.value.suggested_filename


def test_three_pairs_by_keyboard_with_a_reload_and_the_winner_is_right(
  judge, made, tmp_path
):
  address, key = made
  page = judge(address, name='  Ann  Lee ')
  for place in range(3):
    expect(page.locator('#pair-title')).to_have_text(f'Pair {place + 1} of 3')
    red = _colours(page)[:, 0].argmax()
    wanted, other = [('1', '3'), ('ArrowRight', 'ArrowLeft')][red]
    page.keyboard.press(wanted)
    expect(page.locator('fieldset:focus')).to_have_count(1)  # of no side
    if place == 1:  # In the middle of a pair.
      page.reload()
      expect(page.locator('#pair-title')).to_have_text('Pair 2 of 3')
      expect(page.locator('input:checked')).to_have_count(1)
      assert _colours(page)[:, 0].argmax() == red
    page.keyboard.press('ArrowDown')
    page.keyboard.press(other)
    page.keyboard.press(other)
    page.keyboard.press('ArrowUp')  # A change of mind, at the third.
    page.keyboard.press(wanted)
    expect(page.locator('input:checked')).to_have_count(4)
    expect(page.locator('#progress-text')).to_have_text(
      f'{place + 1} of 3 pairs answered'
    )
    if place == 0:
      page.get_by_label('Anything to add?').fill('a "fine"\nfilm, 1st')
      page.keyboard.press('Escape')
    page.keyboard.press('n')
  expect(page.locator('#finished')).to_be_visible()
  page.keyboard.press('p')
  expect(page.locator('#pair-title')).to_have_text('Pair 2 of 3')

  name = _answers(page, tmp_path / 'ann.csv')
  assert name == f'answers-ann-lee-{key.page}.csv'
  given = answers.read([tmp_path / 'ann.csv'], key)
  assert {a.judge for a in given.answers} == {'ann lee'}
  assert [c.text for c in given.comments] == ['a "fine"\nfilm, 1st']
  figures = tally.report(key, given, seed=0)
  leads = {q['id']: q['shares']['lead']['value'] for q in figures['questions']}
  assert leads == {
    'instruction': 1,
    'alignment': 1,
    'quality': 0,
    'realism': 1,
    'overall': -1,
  }
  assert figures['comments'][0]['judge'] == 'ann lee'


def test_both_films_play_at_one_time_and_again(judge, made):
  page = judge(made[0])
  expect(page.get_by_role('button', name='Pause both')).to_be_visible()
  page.wait_for_function(
    """() => {
      const time = document.querySelector('#left').currentTime;
      window.before ??= [];
      window.before.push(time);
      return window.before.some((t, i) => i && t < window.before[i - 1]);
    }"""
  )
  for _ in range(5):
    left, right = page.locator('video').evaluate_all(_TIMES)
    assert abs(left - right) < 0.2
  page.keyboard.press(' ')
  expect(page.get_by_role('button', name='Play both')).to_be_visible()
  paused = page.locator('video').evaluate_all(_TIMES)
  assert paused[0] == pytest.approx(paused[1], abs=0.01)
  assert page.locator('#told li').or_(page.locator('#prompt')).count()


def test_sides_and_order_are_drawn_for_each_judge_and_balanced(
  judge, large, tmp_path
):
  address, key = large
  page = judge(address, name='')
  full = {
    pair: {question.id: 'left' for question in key.asked(pair)}
    for pair in key.pairs
  }
  kept = json.dumps({'answers': full, 'comments': {}, 'place': 0})
  lefts, orders = [], []
  for number in range(16):
    page.evaluate(
      '([key, kept]) => localStorage.setItem(key, kept)',
      [f'judging/{key.page}/judge {number}', kept],
    )
    page.get_by_label('Your name').fill(f'judge {number}')
    page.keyboard.press('Enter')
    _answers(page, tmp_path / 'answers.csv')
    given = answers.read([tmp_path / 'answers.csv'], key).answers
    real = [a for a in given if a.question == 'overall' and a.left in key.names]
    lefts.append([a.left == key.names[0] for a in real])
    rows = (tmp_path / 'answers.csv').read_text().splitlines()[1:]
    orders.append(tuple(row.split(',')[2] for row in rows))
    page.get_by_role('button', name='Another judge').click()
  lefts = np.array(lefts)
  assert lefts.shape == (16, 12)
  # Four standard deviations of a fair coin.
  assert abs(lefts.mean() - 0.5) < 4 * 0.5 / np.sqrt(lefts.size)
  assert len(np.unique(lefts, axis=0)) > 12
  assert (lefts.any(0) & ~lefts.all(0)).all()  # each pair, on both sides
  assert len(set(orders)) == 16
  assert len({order[0] for order in orders}) > 4


def test_a_seen_page_tells_nothing_of_the_sets(judge, large):
  page = judge(large[0])
  for _ in range(13):
    whole = page.evaluate('document.documentElement.outerHTML')
    for secret in (*judged.NAMES, 'damaged', 'whole"'):
      assert secret not in whole
    page.keyboard.press('n')


def test_a_judge_needs_a_name(judge, made):
  page = judge(made[0], name='')
  page.get_by_role('button', name='Begin').click()
  expect(page.get_by_role('alert').first).to_contain_text('Give a name')
  expect(page.locator('#pair')).to_be_hidden()


def test_pages_are_accessible_and_nothing_overflows(judge, made, tmp_path):
  axe = pytest.importorskip('axe_playwright_python.sync_playwright').Axe()
  address, key = made
  rows = [
    judged.row(key, 'ann', pair, 'overall', wanted)
    for pair, wanted in zip(key.pairs, (*judged.NAMES, 'tie'), strict=True)
  ]
  given = answers.read([judged.write(tmp_path / 'a.csv', rows)], key)
  tally.write(tmp_path, key, given, seed=0)
  page = judge(address, '', reduced_motion='reduce')
  faults = []

  def look(*colours):
    for width in (360, 1280):
      page.set_viewport_size({'width': width, 'height': 800})
      wide = page.evaluate('document.documentElement.scrollWidth - innerWidth')
      assert wide <= 0
      for scheme in colours:
        page.emulate_media(color_scheme=scheme, reduced_motion='reduce')
        faults.append(axe.run(page))

  look('light')
  page.get_by_label('Your name').fill('bob')
  page.keyboard.press('Enter')
  # Where movement is not wanted nothing plays by itself.
  expect(page.get_by_role('button', name='Play both')).to_be_visible()
  for letter in '222n222n2222p2p':
    page.keyboard.press(letter)
  look('light', 'dark')
  page.keyboard.press('2')
  expect(page.locator('#finished')).to_be_visible()
  look('dark')
  page.goto((tmp_path / 'tally.html').as_uri())
  look('light', 'dark')
  assert [f.generate_report() for f in faults if f.violations_count] == []
