"""What a story may choose is checked, and what it chose is done."""

import dataclasses

import numpy as np
import pytest

from tv2tv_jax.flow import times
from tv2tv_jax.sample import settings


@pytest.mark.parametrize(
  'change,complaint',
  [
    ({'steps': 0}, 'steps is 0: give 1 to 128'),
    ({'steps': 129}, 'steps is 129'),
    ({'steps': 2.5}, 'steps is 2.5: give a whole number'),
    ({'steps': True}, 'steps is True: give a number'),
    ({'shift': 0.0}, 'shift is 0'),
    ({'guidance': float('nan')}, 'guidance is nan'),
    ({'guidance_from': -0.1}, 'guidance_from is -0.1'),
    ({'guidance_from': 0.5, 'guidance_to': 0.4}, 'guidance_to is 0.4'),
    ({'temperature': -1.0}, 'temperature is -1'),
    ({'temperature': 'hot'}, "temperature is 'hot': give a number"),
    ({'top_p': 0.0}, 'top_p is 0'),
    ({'times': (0.1, 0.5)}, r'times is \(0.1, 0.5\)'),
    ({'times': (0.0, 0.5, 0.5)}, 'rising'),
    ({'times': (0.0, 1.0)}, 'all below 1'),
  ],
)
def test_a_setting_out_of_range_is_named(change, complaint):
  with pytest.raises(ValueError, match=complaint):
    settings.Settings()._replace(**change).checked()


def test_settings_are_those_of_the_configuration():
  config = settings.SampleConfig(steps=7, guidance=3.0, top_p=0.5)
  assert config.settings == settings.Settings(7, 1.0, 3.0, 0.0, 1.0, 1.0, 0.5)
  assert config.settings.checked() is not None


@pytest.mark.parametrize(
  'change,complaint',
  [
    ({'kept': 16}, 'sample.kept is 16'),
    ({'kept': 0}, 'sample.kept is 0'),
    ({'window': 0}, 'sample.window is 0'),
    ({'lanes': 0}, 'sample.lanes is 0'),
    ({'words_budget': 0}, 'sample.words_budget is 0'),
    ({'prompt_budget': -1}, 'sample.prompt_budget is -1'),
    ({'temperature': -2.0}, 'temperature is -2'),
  ],
)
def test_a_configuration_that_cannot_be_is_named(change, complaint):
  config = dataclasses.replace(settings.SampleConfig(), **change)
  with pytest.raises(ValueError, match=complaint):
    settings.check(config)


def test_rows_have_their_own_courses():
  own = (0.0, 0.5, 0.75)
  course = settings.course(
    {
      0: settings.Settings(steps=2, guidance=3.0),
      2: settings.Settings(times=own, guidance_from=0.2),
    },
    lanes=3,
  )
  assert int(course.steps) == 3
  np.testing.assert_allclose(course.times[:4, 0], [*times.shifted(2, 1.0), 1])
  np.testing.assert_allclose(course.times[:4, 2], [*own, 1])
  assert (course.times[:, 1] == 1).all()  # Nobody: nothing to walk.
  assert list(course.guidance) == [3, 0, 2]
  assert course.begin[2] == np.float32(0.2)


def test_a_window_opens_anew_when_it_is_full():
  config = settings.SampleConfig(window=5, kept=3)
  found = [settings.opening(chunks, config) for chunks in range(1, 12)]
  assert found == [0, 0, 0, 0, 2, 2, 4, 4, 6, 6, 8]
  seen = [n + 1 - first for n, first in enumerate(found)]
  assert max(seen) < 5 and min(seen[4:]) == 3
