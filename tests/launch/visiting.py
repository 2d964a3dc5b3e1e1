"""The studio's page in a real Chromium without a window."""

import base64
from collections.abc import Callable, Iterator, Sequence
import contextlib
import io
import re
import shutil

import numpy as np
from PIL import Image
import pytest

from tests.launch import fake_teller

api = pytest.importorskip(
  'playwright.sync_api', reason="pip install -e '.[test]' for Playwright"
)

_NAMES = 'chromium', 'chromium-browser', 'google-chrome'
_FLAGS = (
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
)
_PATIENCE = 60_000  # milliseconds of a test for what must come
# A refused request is said in the console too; the page has its own words.
_REFUSED = 'Failed to load resource'
# What is on the page at the end of any task, a reader of screens may meet.
_NAMELESS = """
new MutationObserver(() => {
  for (const each of document.querySelectorAll('[role=img]')) {
    if (!each.ariaLabel) console.error(`without a name: ${each.outerHTML}`);
  }
}).observe(document, {subtree: true, childList: true, attributes: true});
"""
_URLS = 'canvases => canvases.map(canvas => canvas.toDataURL())'


@contextlib.contextmanager
def browser() -> Iterator[api.Browser]:
  """A browser; the test is skipped where there is none."""
  path = next(filter(None, map(shutil.which, _NAMES)), None)
  if path is None:
    pytest.skip('no browser: apt-get install -y chromium')
  with api.sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=path, args=_FLAGS)
    try:
      yield browser
    finally:
      browser.close()


@contextlib.contextmanager
def studios(browser: api.Browser) -> Iterator[Callable]:
  """Opens studios: (a way in for visitors, engine); all consoles stay empty."""
  visits = []
  with contextlib.ExitStack() as opened:

    def studio(lanes=2):
      teller = fake_teller.Storyteller(lanes=lanes)
      address = opened.enter_context(fake_teller.served(teller))

      def visit(**context):
        visits.append(Visit(browser, address, **context))
        opened.callback(visits[-1].page.context.close)
        return visits[-1]

      return visit, teller.engine

    yield studio
  assert [visit.errors for visit in visits] == [[]] * len(visits)


class Visit:
  """Somebody who has the page before them.

  Attributes:
    page: of Playwright.
    errors: what the console had to complain of.
  """

  def __init__(self, browser: api.Browser, address: str, **context):
    self.page = browser.new_context(**context).new_page()
    self.page.set_default_timeout(_PATIENCE)
    self.errors = []
    self.page.on('console', self._hear)
    self.page.on('pageerror', lambda error: self.errors.append(str(error)))
    self.page.add_init_script(_NAMELESS)
    self.page.goto(address)
    api.expect(self.button('Film')).to_be_enabled(timeout=_PATIENCE)

  def _hear(self, message) -> None:
    if message.type in ('error', 'warning') and _REFUSED not in message.text:
      self.errors.append(message.text)

  def button(self, name: str, within=None):
    """A button by its whole name."""
    return (within or self.page).get_by_role('button', name=name, exact=True)

  def field(self, name: str):
    return self.page.get_by_label(name, exact=True)

  def film(self, prompt='doom hall', seconds=3.0, seed=None) -> None:
    """Asks for a story."""
    self.field('What it is about').fill(prompt)
    self.field('Length, seconds').fill(str(seconds))
    if seed is not None:
      self.field('Seed').fill(str(seed))
    self.button('Film').click()

  def row(self, letter: str):
    """A story's row of the timeline."""
    badge = self.page.locator('.badge', has_text=re.compile(f'^{letter}$'))
    return self.page.locator('.row').filter(has=badge)

  def status(self, letter: str, text: str) -> None:
    """Waits until a row says so of itself."""
    status = self.row(letter).locator('.status')
    api.expect(status).to_contain_text(text, timeout=_PATIENCE)

  def moments(self, letter: str) -> list[str]:
    """What the moments of a row are called, without their time."""
    names = (
      self.row(letter)
      .locator('.strip button')
      .evaluate_all('all => all.map(each => each.getAttribute("aria-label"))')
    )
    return [name.partition(': ')[2] for name in names]

  def moment(self, letter: str, time: float):
    """The moment of a row at a time."""
    name = re.compile(f'^{time:.1f} s: ')
    return self.row(letter).get_by_role('button', name=name)

  def pictures(self, letter: str) -> list[np.ndarray]:
    """Pixels of all moments of a row that are filmed."""
    return _pixels(self.row(letter).locator('canvas[data-filmed]'))

  def screens(self) -> list[np.ndarray]:
    """Pixels of what is on stage."""
    return _pixels(self.page.locator('.frame canvas'))

  def branch(self, letter: str, time: float, words: str) -> None:
    """Other words at a moment, and Enter."""
    self.moment(letter, time).click()
    self.field('Words at this moment').fill(words)
    self.page.keyboard.press('Enter')

  def overflow(self) -> int:
    """Pixels by which the document is wider than the window."""
    return self.page.evaluate(
      'document.documentElement.scrollWidth - innerWidth'
    )

  def focused(self) -> str:
    """The name, or else the id, of what has the focus."""
    return self.page.evaluate(
      'document.activeElement.getAttribute("aria-label")'
      ' ?? document.activeElement.id'
    )

  def tab_to(self, name: str) -> None:
    """Goes on with Tab to what starts with a name."""
    for _ in range(99):
      self.page.keyboard.press('Tab')
      if self.focused().startswith(name):
        return
    raise AssertionError(f'Tab never comes to {name!r}')


def differ(
  one: Sequence[np.ndarray], other: Sequence[np.ndarray]
) -> list[bool]:
  """Where two films, of as many pictures, are not the same."""
  return [not np.array_equal(*pair) for pair in zip(one, other, strict=True)]


def _pixels(canvases) -> list[np.ndarray]:
  """Of each canvas, [Y, X, 3]."""
  files = [
    io.BytesIO(base64.b64decode(url.partition(',')[2]))
    for url in canvases.evaluate_all(_URLS)
  ]
  return [np.asarray(Image.open(file).convert('RGB')) for file in files]
