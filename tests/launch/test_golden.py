"""The collectives of a step are those that are listed."""

import pytest

from tests.launch import golden


@pytest.mark.slow
@pytest.mark.parametrize('name', golden.NAMES)
def test_the_collectives_of_a_step_are_those_listed(name):
  """`python -m tests.launch.golden` writes the lists anew."""
  assert golden.table(name) == golden.path(name).read_text()
