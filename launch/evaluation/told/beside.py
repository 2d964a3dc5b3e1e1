"""What stands beside the figures of every folder: real film, looked at once."""

from collections.abc import Sequence
import functools
import json
import pathlib
from typing import Any

from data_pipelines import records
from launch import witness
from launch.evaluation import reader as reader_lib
from launch.evaluation.told import films
from launch.evaluation.told import parts as parts_lib
from launch.evaluation.told import real as real_lib
from launch.evaluation.told import takes as takes_lib
from launch.evaluation.told import trials as trials_lib
from tv2tv_jax.train import vae_folder

_REAL = 'real'  # folder in a workdir of a reader


class Beside:
  """A split of recorded takes, as the same eyes see it."""

  def __init__(
    self,
    dataset: str,
    split: str,
    vae: str,
    eyes: parts_lib.Eyes,
    witness: str = '',
  ):
    """Looks at nothing yet.

    Args:
      dataset: recorded takes; '': there is no real film.
      split: of them.
      vae: folder of the VAE whose copies the reader is tested on, too; '': it
        is not.
      eyes: that look at stories.
      witness: workdir of the reader, where what is known of each take is kept;
        '': it is not.
    """
    self._dataset, self._split, self._vae = dataset, split, vae
    self._eyes = eyes
    self._kept = pathlib.Path(witness) / _REAL if witness else None
    # Folders of one kind and number of stories have the same beside them.
    self._of = functools.cache(self._looked)
    self._tested = functools.cache(self._ceilings)

  def film(
    self, parts: Sequence[parts_lib.Part]
  ) -> tuple[real_lib.Real | None, real_lib.Real | None]:
    """As much real film as there is of stories, and as much of another split.

    The other is what real film is at from itself: no story can be nearer.
    """
    if not self._dataset:
      return None, None
    film = {name: parts[0].record[name] for name in films.COMMON}
    chunks = sum(len(part.features) for part in parts)
    clips = sum(len(part.i3d) for part in parts)
    return self._of(json.dumps(film), chunks, clips)

  def tested(
    self, parts: Sequence[parts_lib.Part], trials: Sequence[trials_lib.Trial]
  ) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What of real film obeys each word; and what the reader is worth on it."""
    if not self._dataset or not self._eyes.reader:
      return {}, None
    lengths = [trial['chunks'] for trial in trials]
    usual = max(sorted(set(lengths)), key=lengths.count) if lengths else 1
    return self._tested(parts[0].record['chunk_frames'], usual)

  def _looked(
    self, film: str, chunks: int, clips: int
  ) -> tuple[real_lib.Real, real_lib.Real | None]:
    look = functools.partial(real_lib.seen, film=json.loads(film))
    real = look(self._takes(self._split), wanted=(chunks, clips))
    others = [s for s in records.splits(self._dataset) if s != self._split]
    if not others:
      return real, None
    wanted = len(real.features), len(real.i3d)
    return real, look(self._takes(others[0]), wanted=wanted)

  def _ceilings(
    self, step: int, chunks: int
  ) -> tuple[dict[str, Any], dict[str, Any]]:
    copier = None
    if self._vae:
      vae = vae_folder.restored(pathlib.Path(self._vae))
      copier = takes_lib.Copier(vae, reader_lib.fingerprint(vae))
    film = self._takes(self._split).read(step, copier)
    return real_lib.ceilings(film, chunks), witness.tested(film)

  def _takes(self, split: str) -> takes_lib.Takes:
    """A split, as these eyes see it."""
    return takes_lib.Takes(self._dataset, split, self._eyes, self._kept)
