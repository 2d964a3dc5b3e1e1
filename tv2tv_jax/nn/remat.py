"""What the backward pass computes again, by name.

| policy | kept of each layer |
|---|---|
| none | everything |
| dots | the result of every product of a matrix of weights |
| projections | what enters it and its halves, queries, keys, values, heads |
| attention | what enters it, and heads: attention is not run again |
| layer | what enters it |
| offload | nothing: what enters it waits in the host's memory |

From top to bottom less memory and more to compute; `offload` computes what
`layer` does and moves more.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
from jax import ad_checkpoint

Remat = Literal['none', 'dots', 'projections', 'attention', 'layer', 'offload']

_NAMES = {
  'projections': ('projected', 'attended', 'middle'),
  'attention': ('attended',),
}


def named(x: Any, name: str) -> Any:
  """`x`, which a policy may keep or move by this name."""
  return jax.tree.map(lambda leaf: ad_checkpoint.checkpoint_name(leaf, name), x)


def rematerialised(
  layer: Callable[..., Any], remat: Remat
) -> Callable[..., Any]:
  """A layer whose backward pass computes again what `remat` says."""
  if remat == 'none':
    return layer
  return jax.checkpoint(layer, prevent_cse=False, policy=_policy(remat))


def _policy(remat: Remat) -> Callable[..., Any] | None:
  """What is kept; None for nothing."""
  policies = jax.checkpoint_policies
  if remat == 'dots':
    return policies.save_from_both_policies(
      policies.dots_with_no_batch_dims_saveable,
      policies.save_only_these_names('attended'),
    )
  if remat == 'offload':
    return policies.save_and_offload_only_these_names(
      names_which_can_be_saved=[],
      names_which_can_be_offloaded=['layer'],
      offload_src='device',
      offload_dst='pinned_host',
    )
  if remat == 'layer':
    return None
  return policies.save_only_these_names(*_NAMES[remat])
