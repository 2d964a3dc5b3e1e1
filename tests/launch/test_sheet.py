"""Words under a picture stay under it."""

import numpy as np
import pytest

from launch import sheet


@pytest.mark.parametrize('text', ['W' * 40, 'move WWWW OOOO MMMM turn', 'a b'])
def test_no_line_is_wider_than_its_picture(text):
  """Beside a picture without words nothing is drawn."""
  picture = np.zeros((12, 16, 3), np.uint8)
  shots = [sheet.Shot(picture, 0.0, [text]), sheet.Shot(picture, 1.0, [])]
  drawn = np.asarray(sheet.draw([sheet.Row('', shots)]))
  below = drawn[120 + 8 + 2 + 16 :]  # A picture of 120 rows, and the times.
  assert (below[:, : 8 + 160] < 255).any()
  assert (below[:, 8 + 160 :] == 255).all()
