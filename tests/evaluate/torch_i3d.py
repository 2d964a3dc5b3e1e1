"""I3D in PyTorch, written from the paper's figure 3: a referee for ours.

Its tensors have the names of the public files, `rgb_imagenet.pt` by default.
"""

import collections

import torch
from torch import nn
from torch.nn import functional

# The paper's figure 3 and Inception-v1's table of widths: 1 x 1, reduced and
# 3 x 3, reduced and "5 x 5", pooled.
_WIDTHS = {
  '3b': (64, 96, 128, 16, 32, 32),
  '3c': (128, 128, 192, 32, 96, 64),
  '4b': (192, 96, 208, 16, 48, 64),
  '4c': (160, 112, 224, 24, 64, 64),
  '4d': (128, 128, 256, 24, 64, 64),
  '4e': (112, 144, 288, 32, 64, 64),
  '4f': (256, 160, 320, 32, 128, 128),
  '5b': (256, 160, 320, 32, 128, 128),
  '5c': (384, 192, 384, 48, 128, 128),
}


def _same(x: torch.Tensor, window, stride) -> torch.Tensor:
  """Zeros around the last three axes, for TensorFlow's `SAME`."""
  pads = []
  for axis in (2, 1, 0):
    size, over, step = x.shape[2 + axis], window[axis], stride[axis]
    whole = (-(-size // step) - 1) * step + over
    missing = max(whole - size, 0)
    pads += [missing // 2, missing - missing // 2]
  return functional.pad(x, pads)


class Unit(nn.Module):
  """Convolution, batch norm, ReLU."""

  def __init__(self, inputs, outputs, size, step=1, norm='bn'):
    super().__init__()
    self.size, self.step, self.norm = (size,) * 3, (step,) * 3, norm
    self.conv3d = nn.Conv3d(inputs, outputs, size, step, bias=False)
    self.add_module(norm, nn.BatchNorm3d(outputs, eps=1e-3))

  def forward(self, x):
    x = self.conv3d(_same(x, self.size, self.step))
    return functional.relu(getattr(self, self.norm)(x))


class Pool(nn.Module):
  """The largest."""

  def __init__(self, over, step):
    super().__init__()
    self.over, self.step = over, step

  def forward(self, x):
    x = _same(x, self.over, self.step)
    return functional.max_pool3d(x, self.over, self.step)


class Mixed(nn.Module):
  """Four branches; `names` of their five units with kernels of 1, and 3."""

  def __init__(self, inputs, widths, names, norm):
    super().__init__()
    alone, into_1, out_1, into_2, out_2, behind = widths
    self.pool = Pool((3, 3, 3), (1, 1, 1))
    units = [
      Unit(inputs, alone, 1, norm=norm),
      Unit(inputs, into_1, 1, norm=norm),
      Unit(into_1, out_1, 3, norm=norm),
      Unit(inputs, into_2, 1, norm=norm),
      Unit(into_2, out_2, 3, norm=norm),
      Unit(inputs, behind, 1, norm=norm),
    ]
    for name, unit in zip(names, units, strict=True):
      *path, last = name.split('.')
      place = self
      for part in path:
        if part not in place._modules:
          place.add_module(part, nn.Module())
        place = place._modules[part]
      place.add_module(last, unit)
    self.units = [self.get_submodule(name) for name in names]

  def forward(self, x):
    a, b, c, d, e, f = self.units
    return torch.cat([a(x), c(b(x)), e(d(x)), f(self.pool(x))], 1)


# What the two public families of files call their parts.
PIERGIAJ = dict(
  stem=('Conv3d_1a_7x7', 'Conv3d_2b_1x1', 'Conv3d_2c_3x3'),
  mixed='Mixed_',
  branches=('b0', 'b1a', 'b1b', 'b2a', 'b2b', 'b3b'),
  norm='bn',
  logits='logits',
)
HASSONY = dict(
  stem=('conv3d_1a_7x7', 'conv3d_2b_1x1', 'conv3d_2c_3x3'),
  mixed='mixed_',
  branches=(
    'branch_0',
    'branch_1.0',
    'branch_1.1',
    'branch_2.0',
    'branch_2.1',
    'branch_3.1',
  ),
  norm='batch3d',
  logits='conv3d_0c_1x1',
)


class I3d(nn.Module):
  """The whole net: films [B, 3, T, Y, X] to logits."""

  def __init__(self, names=PIERGIAJ):
    super().__init__()
    norm = names['norm']
    one, two, three = names['stem']
    parts = collections.OrderedDict()
    parts[one] = Unit(3, 64, 7, 2, norm=norm)
    parts['pool_2'] = Pool((1, 3, 3), (1, 2, 2))
    parts[two] = Unit(64, 64, 1, norm=norm)
    parts[three] = Unit(64, 192, 3, norm=norm)
    parts['pool_3'] = Pool((1, 3, 3), (1, 2, 2))
    width = 192
    for name, widths in _WIDTHS.items():
      if name == '4b':
        parts['pool_4'] = Pool((3, 3, 3), (2, 2, 2))
      if name == '5b':
        parts['pool_5'] = Pool((2, 2, 2), (2, 2, 2))
      mixed = Mixed(width, widths, names['branches'], norm)
      parts[names['mixed'] + name] = mixed
      width = widths[0] + widths[2] + widths[4] + widths[5]
    for name, part in parts.items():
      self.add_module(name, part)
    self.order = list(parts)
    logits = nn.Module()
    logits.conv3d = nn.Conv3d(1024, 400, 1)
    self.add_module(names['logits'], logits)
    self.logits_name = names['logits']

  def forward(self, x):
    for name in self.order:
      x = self._modules[name](x)
    x = functional.avg_pool3d(x, (2, 7, 7), 1)
    x = self._modules[self.logits_name].conv3d(x)
    return x[..., 0, 0].mean(2)


def drawn(names=PIERGIAJ, seed: int = 0) -> I3d:
  """Random weights that keep what they see of about unit size."""
  torch.manual_seed(seed)
  model = I3d(names).eval()
  for name, tensor in model.state_dict().items():
    if name.endswith('conv3d.weight'):
      fan_in = tensor[0].numel()
      tensor.normal_(0, (2 / fan_in) ** 0.5)
    elif name.endswith('running_var'):
      tensor.uniform_(0.5, 2)
    elif name.endswith('weight'):
      tensor.uniform_(0.7, 1.3)
    elif tensor.is_floating_point():
      tensor.normal_(0, 0.2)
  return model
