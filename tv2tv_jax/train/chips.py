"""What a chip can do: peaks that its maker publishes, of one JAX device.

A TPU7x is two devices to JAX, each with half of the chip; of all others a
device is a chip.
"""

from typing import NamedTuple

_GIB = 2**30


class Chip(NamedTuple):
  """An accelerator, as one JAX device.

  Attributes:
    name: what people call it.
    flops: the peak of dense bf16 matrix products, FLOP/s.
    memory: bytes of HBM that a program may use.
    bandwidth: of HBM, bytes/s.
    link: of the fast network, bytes/s each way of one link.
    links: of the fast network from a device: of a TPU two for each dimension
      of its torus; of a GPU one, to a switch.
    network: of the slow network between slices, bytes/s each way.
  """

  name: str
  flops: float
  memory: int
  bandwidth: float
  link: float
  links: int
  network: float


def of(device_kind: str) -> Chip | None:
  """The chip whose `jax.Device.device_kind` this is; None if it is no known."""
  return _CHIPS.get(device_kind)


# TPUs: docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e,tpu7x}. ICI is published
# per chip and for both ways: 1,200 GB/s over 6 links are 100 GB/s each way. HBM
# is what libtpu's compiler says is available: 95.74 of 96 GiB. Of v4, which
# splits its chip there, the published size; DCN of v4 and v5e by the network
# cards of a host.
_V4 = Chip('v4', 275e12, 32 * _GIB, 1228e9, 50e9, 6, 6.25e9)
_V5E = Chip('v5e', 197e12, int(15.75 * _GIB), 819e9, 50e9, 4, 3.125e9)
_V5P = Chip('v5p', 459e12, int(95.74 * _GIB), 2765e9, 100e9, 6, 6.25e9)
_V6E = Chip('v6e', 918e12, int(31.25 * _GIB), 1638e9, 100e9, 4, 12.5e9)
_V7X = Chip('tpu7x', 1153.5e12, int(94.75 * _GIB), 3690e9, 50e9, 6, 6.25e9)

# GPUs: NVIDIA's data sheets, without sparsity; NVLink is published for both
# ways. The slow network is a card of 400 Gbit/s a GPU (A100: 200), as in DGX.
_A100_40 = Chip('A100 40GB', 312e12, 40 * 10**9, 1555e9, 300e9, 1, 25e9)
_A100_80 = Chip('A100 80GB', 312e12, 80 * 10**9, 2039e9, 300e9, 1, 25e9)
_H100 = Chip('H100', 989.4e12, 80 * 10**9, 3350e9, 450e9, 1, 50e9)
_H200 = Chip('H200', 989.4e12, 141 * 10**9, 4800e9, 450e9, 1, 50e9)

_CHIPS = {
  'TPU v4': _V4,
  'TPU v5 lite': _V5E,
  'TPU v5e': _V5E,
  'TPU v5': _V5P,
  'TPU v5p': _V5P,
  'TPU v6 lite': _V6E,
  'TPU v6e': _V6E,
  'TPU7x': _V7X,
  'NVIDIA A100-SXM4-40GB': _A100_40,
  'NVIDIA A100-SXM4-80GB': _A100_80,
  'NVIDIA H100 80GB HBM3': _H100,
  'NVIDIA H200': _H200,
}
