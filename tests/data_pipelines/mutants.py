"""Files as damage makes them."""

import random

# What breaks numbers, lengths and separators of text and of bytes.
_PARTS = (b'\0', b'\xff', b'\n\n', b'-->', b'9' * 40, b'\x7f\xff\xff\xff', b'"')


def mutated(data: bytes, rng: random.Random) -> bytes:
  """A file in which one to four places are damaged; half the time in place."""
  data = bytearray(data)
  ways = rng.choice(('in place', 'in place', 'moves what follows', 'cuts'))
  for _ in range(rng.randint(1, 4)):
    at = rng.randrange(len(data) + 1)
    size = rng.randint(1, 1 + len(data) // 8)
    if ways == 'moves what follows':
      match rng.randrange(3):
        case 0:
          del data[at : at + size]
        case 1:
          data[at:at] = data[rng.randrange(len(data) + 1) :][:size]
        case 2:
          data[at:at] = rng.choice(_PARTS)
    else:
      part = rng.choice(
        (bytes([rng.randrange(256)]), rng.choice(_PARTS), bytes(size))
      )
      left = len(data) - at
      data[at : at + len(part)] = part[:left]
  if ways == 'cuts':
    del data[rng.randrange(len(data) + 1) :]
  return bytes(data)
