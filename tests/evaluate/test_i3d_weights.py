"""Public weights of I3D come in whole, or what is wrong is named."""

import os
import pickle

import jax
import numpy as np
import pytest
from safetensors import torch as safetensors
import torch
from torch import nn

from tests.evaluate import torch_i3d
from tv2tv_jax.evaluate import i3d_files
from tv2tv_jax.evaluate import i3d_weights


@pytest.fixture(scope='module')
def state():
  return torch_i3d.drawn().state_dict()


def _program(tensors):
  """A TorchScript module that holds tensors under the same names."""
  top = nn.Module()
  for name, tensor in tensors.items():
    *path, last = name.split('.')
    place = top
    for part in path:
      if part not in place._modules:
        place.add_module(part, nn.Module())
      place = place._modules[part]
    place.register_buffer(last, tensor)
  return torch.jit.script(top)


def _few():
  """Tensors of all kinds, some of which share their numbers."""
  numbers = torch.randn(6, 5)
  return {
    'a.0.weight': numbers,
    'a.0.turned': numbers.T,
    'a.1.part': numbers[2:4, 1:],
    'halfs': numbers.half(),
    'brains': numbers.bfloat16(),
    'doubles': numbers.double(),
    'count': torch.tensor(7),
    'none': torch.zeros(0, 3),
  }


@pytest.mark.parametrize('how', ['archive', 'old', 'program', 'safetensors'])
def test_tensors_come_in_from_every_format(how, tmp_path):
  few = _few()
  path = tmp_path / 'few.pt'
  if how == 'safetensors':
    path = tmp_path / 'few.safetensors'
    few = {n: t.clone().contiguous() for n, t in few.items()}
    safetensors.save_file(few, path)
  elif how == 'program':
    _program(few).save(path)
  else:
    zipped = how == 'archive'
    torch.save(few, path, _use_new_zipfile_serialization=zipped)
  found = i3d_files.tensors(path)
  assert found.keys() == few.keys()
  for name, tensor in few.items():
    np.testing.assert_array_equal(
      found[name].astype(np.float64), tensor.double().numpy(), strict=True
    )


def test_both_families_are_the_same_net(state, tmp_path):
  with torch.device('meta'):
    names = torch_i3d.I3d(torch_i3d.HASSONY).state_dict()
  other = dict(zip(names, state.values(), strict=True))
  torch.save(state, tmp_path / 'one.pth')
  safetensors.save_file(other, tmp_path / 'other.safetensors')
  one, two = (
    jax.tree.leaves(i3d_weights.restored(tmp_path / name))
    for name in ('one.pth', 'other.safetensors')
  )
  for a, b in zip(one, two, strict=True):
    np.testing.assert_array_equal(a, b)


def _damaged(state, case):
  """The weights with one thing wrong."""
  state = dict(state)
  if case == 'lacking':
    del state['Mixed_4c.b2b.bn.bias'], state['logits.conv3d.bias']
  elif case == 'too many':
    state['fc.weight'] = torch.zeros(3)
  elif case == 'another number of classes':
    state['logits.conv3d.weight'] = torch.zeros(600, 1024, 1, 1, 1)
  elif case == 'not finite':
    state['Mixed_3b.b0.conv3d.weight'] = torch.full((64, 192, 1, 1, 1), np.nan)
  else:
    state['Conv3d_1a_7x7.bn.running_var'] = torch.full((64,), -1.0)
  return state


@pytest.mark.parametrize(
  ('case', 'message'),
  [
    ('lacking', 'it lacks Mixed_4c.b2b.bn.bias, logits.conv3d.bias$'),
    ('too many', 'it has, beside those of I3D, fc.weight$'),
    (
      'another number of classes',
      r'it has logits.conv3d.weight of shape \(600, 1024, 1, 1, 1\), not '
      r'\(400, 1024, 1, 1, 1\)$',
    ),
    ('not finite', 'number in Mixed_3b.b0.conv3d.weight that is not finite$'),
    ('negative', 'a variance in Conv3d_1a_7x7.bn.running_var below zero$'),
  ],
)
def test_what_is_wrong_is_named(state, case, message, tmp_path):
  path = tmp_path / 'w.pt'
  torch.save(_damaged(state, case), path)
  with pytest.raises(ValueError, match=message) as caught:
    i3d_weights.restored(path)
  assert str(caught.value).startswith(f'{path}: no weights of I3D as piergiaj')


def test_weights_of_another_net_are_named(tmp_path):
  path = tmp_path / 'r3d.pth'
  net = {f'layer{n}.0.conv1.weight': torch.zeros(4) for n in range(5)}
  torch.save(net, path)
  message = (
    r'another net: it has layer0.0.conv1.weight, .*\(5 in all\); I3D has '
    'Conv3d_1a_7x7.conv3d.weight'
  )
  with pytest.raises(ValueError, match=message):
    i3d_weights.restored(path)


class _Call:
  """What a pickle would run."""

  def __reduce__(self):
    return os.mkdir, ('never',)


def _foreign(case):
  """Bytes that are no file of tensors."""
  return {
    'call': pickle.dumps(_Call()),
    'text': b'no weights',
    'empty': b'',
    'zip': b'PK\x05\x06' + bytes(18),
    'much': b'\x80\x02}r\xff\xff\xff\x7f.',  # numbers a thing 2**31
  }[case]


@pytest.mark.parametrize('case', ['call', 'text', 'empty', 'zip', 'much'])
@pytest.mark.parametrize('suffix', ['pt', 'safetensors'])
def test_foreign_files_are_refused_and_nothing_is_run(
  case, suffix, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / f'w.{suffix}'
  path.write_bytes(_foreign(case))
  with pytest.raises(ValueError, match=f'{path}: no file of tensors'):
    i3d_files.tensors(path)
  assert not (tmp_path / 'never').exists()


@pytest.mark.parametrize('how', ['archive', 'old', 'safetensors'])
def test_half_a_file_is_refused(how, tmp_path):
  path = tmp_path / f'w.{"safetensors" if how == "safetensors" else "pt"}'
  tensors = {'a': torch.randn(50, 50), 'b': torch.randn(50)}
  if how == 'safetensors':
    safetensors.save_file(tensors, path)
  else:
    torch.save(tensors, path, _use_new_zipfile_serialization=how == 'archive')
  data = path.read_bytes()
  for part in (0.3, 0.9):
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(ValueError, match='no file of tensors, or not all'):
      i3d_files.tensors(path)


def test_no_file_is_named(tmp_path):
  with pytest.raises(ValueError, match=r'gone.pt: cannot be read \(No such'):
    i3d_weights.restored(tmp_path / 'gone.pt')
  with pytest.raises(ValueError, match=r'cannot be read \(Is a directory'):
    i3d_weights.restored(tmp_path)
