"""Models by name, from a laptop's to the paper's.

| preset | towers | pictures | for |
|---|---|---|---|
| tiny | 3 layers of 128 | 48 x 64 | two CPU cores (`launch/demo.sh`) |
| 100m | 12 layers of 512 | 128 x 160 | one GPU |
| 3b | twice Llama-3.2-3B | 144 x 272 | the paper's game model |
| 8b | twice Llama-3.1-8B | 256 x 448 | the paper's sports model |

Shapes of the text towers of `3b` and `8b` are published (Llama 3.2 and 3.1);
their frame coders and picture sizes are open in the paper: the U-Net is
MADFormer's, pictures are those of the data cut to whole tokens (150 x 280 of
the game; of sports, a choice).
"""

from tv2tv_jax.mot import tower
from tv2tv_jax.nn import rope
from tv2tv_jax.tv2tv import frames
from tv2tv_jax.tv2tv import model


def preset(name: str) -> model.ModelConfig:
  """The model of that name.

  Raises:
    ValueError: a name that no preset has.
  """
  if name not in _PRESETS:
    raise ValueError(f'no preset {name!r}; choose one of {", ".join(names())}')
  return _PRESETS[name]


def names() -> tuple[str, ...]:
  """Every preset, the smallest first."""
  return tuple(_PRESETS)


_PRESETS = {
  'tiny': model.ModelConfig(
    vocabulary=384,
    towers=tower.MotConfig(
      width=128,
      depth=3,
      heads=2,
      key_heads=2,
      head_width=64,
      hidden=384,
      rope=rope.RopeConfig(theta=1e3),
      query_key_norm=True,
      remat='none',
      unroll=3,
    ),
    frames=frames.FramesConfig(
      rows=6,
      columns=8,
      channels=(32, 128),
      blocks=(1, 0),
      attention_heads=0,
      time_features=64,
      remat='none',
    ),
    video_init='random',
    chunk_places='chunk',
    dtype='float32',
  ),
  '100m': model.ModelConfig(
    vocabulary=8192,
    towers=tower.MotConfig(
      width=512,
      depth=12,
      heads=8,
      key_heads=4,
      head_width=64,
      hidden=1408,
      rope=rope.RopeConfig(theta=1e4),
      query_key_norm=True,
    ),
    frames=frames.FramesConfig(
      rows=16,
      columns=20,
      channels=(192, 384),
      blocks=(1, 2),
      attention_heads=6,
    ),
    video_init='random',
  ),
  '3b': model.ModelConfig(
    vocabulary=128256,
    towers=tower.MotConfig(
      width=3072,
      depth=28,
      heads=24,
      key_heads=8,
      head_width=128,
      hidden=8192,
      rope=rope.RopeConfig(theta=5e5, factor=32.0),
      attention='flash',
    ),
    frames=frames.FramesConfig(rows=18, columns=34),
  ),
  '8b': model.ModelConfig(
    vocabulary=128256,
    towers=tower.MotConfig(
      width=4096,
      depth=32,
      heads=32,
      key_heads=8,
      head_width=128,
      hidden=14336,
      rope=rope.RopeConfig(theta=5e5, factor=8.0),
      attention='flash',
    ),
    frames=frames.FramesConfig(rows=32, columns=56),
    tied=False,
  ),
}
