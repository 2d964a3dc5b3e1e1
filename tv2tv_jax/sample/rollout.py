"""A story rolled out: words, a chunk, words, a chunk.

Stories lie in lanes, side by side in one compiled program, which is the same
however many there are and however long they have become. A story does not
depend on its lane or its neighbours, bit for bit.
"""

from collections.abc import Callable, Sequence
import functools

from jaxtyping import Float
import numpy as np

from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import frames
from tv2tv_jax.sample import program
from tv2tv_jax.sample import reading
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import writing
from tv2tv_jax.tv2tv import model as model_lib


class Engine:
  """Tells stories with a model: holds its compiled parts, no story.

  Under a mesh the model and what is known of the stories lie on its devices:
  lanes along its axes `data` and `fsdp`, heads along `tensor`.

  Attributes:
    config: what is compiled in.
    layout: where the words of a story are.
    lanes: stories at once, at most.
  """

  def __init__(
    self,
    model: model_lib.Tv2tv,
    vocabulary: tokens_lib.Vocabulary,
    config: settings_lib.SampleConfig,
    layout: story_lib.Layout = 'tv2tv',
  ):
    """Prepares; nothing is compiled before the first story.

    Args:
      model: on the devices of the mesh that is set, if one is.
      vocabulary: of its words.
      config: what is compiled in.
      layout: where the words of a story are.

    Raises:
      ValueError: fields of the configuration that cannot be, or a mesh that
        cannot share out lanes and heads.
    """
    settings_lib.check(config)
    settings_lib.check_mesh(config, model.config.towers.key_heads)
    self.config, self.layout, self.lanes = config, layout, config.lanes
    # Not the model: programs have it as they use it, which takes less room.
    coder = model.config.frames
    self._shape = (coder.rows, coder.columns, coder.latent)
    programs = program.Programs(model)
    self._reader = reading.Reader(programs, vocabulary.special, config, layout)
    self._writer = writing.Writer(programs, vocabulary, config, layout)
    self._film = programs.compiled(
      functools.partial(
        frames.filmed,
        bof=vocabulary.special.bof,
        solver=config.solver,
      )
    )

  def lowered(self) -> program.Parts:
    """What tells a story, by name, as its compiler gets it: nothing is run.

    The model may be shapes and layouts, for devices that are not here. What
    goes on as long as it must, for tokens or for steps, stands there once.
    """
    reader, lanes = self._reader, self.lanes
    told = reader.abstract
    source, course = chance.source({}, lanes), settings_lib.course({}, lanes)
    alone = frames.States(told, None, None)
    guided = frames.States(told, told if self._remembers else None, told)
    parts = {'film': alone}
    if self.layout != 't2v':
      parts['film, guided'] = guided
    return {
      **reader.lowered(self._shape),
      **self._writer.lowered(told),
      **{
        name: self._film.lowered(states, source, course)
        for name, states in parts.items()
      },
    }

  @property
  def _remembers(self) -> bool:
    """Whether a guided chunk is guided away from another past.

    A plan is guided away from no plan at all, which is read beside it.
    """
    return self.config.untold == 'story' or self.layout == 'think2v'

  def begin(
    self,
    latents: Float[np.ndarray, 'N Y X Z'],
    prompt: Sequence[int],
    seed: int,
    settings: settings_lib.Settings | None = None,
    words: Sequence[roll_lib.Words] | None = None,
  ) -> roll_lib.Roll:
    """A story with a prompt, and a starting frame or clip.

    Args:
      latents: normalised, of the starting frame and what of a clip follows it.
      prompt: token ids.
      seed: the same seed gives the same story, whatever its neighbours.
      settings: its own; None: those of the configuration.
      words: of each chunk of the clip; None: there are none.

    Raises:
      ValueError: a prompt or words over their budget, settings or a seed out of
        range, latents of another size, no latents.
    """
    if latents.shape[1:] != self._shape or not len(latents):
      raise ValueError(
        f'a story begins with latents of {latents.shape}: give [N, '
        f'{", ".join(map(str, self._shape))}] with N of 1 or more'
      )
    if len(prompt) > self.config.prompt_budget:
      raise ValueError(
        f'a prompt of {len(prompt)} tokens is over the budget of '
        f'{self.config.prompt_budget}: shorten it'
      )
    if not 0 <= seed < 2**32:
      raise ValueError(f'seed is {seed}: give 0 to {2**32 - 1}')
    words = tuple(map(tuple, words or [()] * len(latents)))
    if len(words) != len(latents):
      raise ValueError(
        f'words before {len(words)} chunks, of a clip of {len(latents)}'
      )
    for each in words:
      self._check_words(each)
    return roll_lib.Roll(
      prompt=tuple(prompt),
      seed=seed,
      settings=(settings or self.config.settings).checked(),
      words=words,
      latents=tuple(np.asarray(latents, np.float32)),
      plans=((),) * len(latents),
    )

  def advance(
    self,
    rolls: Sequence[roll_lib.Roll],
    asks: Sequence[roll_lib.Ask] | None = None,
    wrote: Callable[[int, roll_lib.Words], None] = lambda index, words: None,
  ) -> list[roll_lib.Roll]:
    """Every story that is not over writes, or is told, and films one chunk.

    Args:
      rolls: stories of any lengths, as many as there are lanes or fewer.
      asks: of each story; None: nothing.
      wrote: called with a story's number and words when they are known.

    Raises:
      ValueError: too many stories, words over the budget, a chunk of another
        size.
    """
    if len(rolls) > self.lanes:
      raise ValueError(f'{len(rolls)} stories for {self.lanes} lanes')
    asks = list(asks or [roll_lib.Ask()] * len(rolls))
    for roll, ask in zip(rolls, asks, strict=True):
      self._check_words(ask.words or ())
      if ask.latent is not None and ask.latent.shape != roll.latents[0].shape:
        raise ValueError(
          f'a chunk of {ask.latent.shape} after {roll.latents[0].shape}'
        )
    out, groups = list(rolls), {}
    for index, roll in enumerate(rolls):
      if not roll.ended:
        groups.setdefault(self._is_guided(roll), []).append(index)
    # A guided step is another program, which rounds in another way.
    for guided, group in groups.items():
      told_on = self._advanced(
        [rolls[index] for index in group],
        [asks[index] for index in group],
        lambda lane, words, group=group: wrote(group[lane], words),
        guided=guided,
      )
      for index, roll in zip(group, told_on, strict=True):
        out[index] = roll
    return out

  def _is_guided(self, roll: roll_lib.Roll) -> bool:
    """Whether there are words to be guided by."""
    return self.layout != 't2v' and roll.settings.guidance != 1

  def _check_words(self, words: roll_lib.Words) -> None:
    """Whether so many words may stand before a chunk."""
    if len(words) > self.config.words_budget:
      raise ValueError(
        f'{len(words)} tokens of words before one chunk are over the '
        f'budget of {self.config.words_budget}: say less at a time'
      )

  def _advanced(
    self,
    rolls: list[roll_lib.Roll],
    asks: list[roll_lib.Ask],
    wrote: Callable[[int, roll_lib.Words], None],
    *,
    guided: bool,
  ) -> list[roll_lib.Roll]:
    """The stories, guided ones or others, with one chunk more."""
    reader, plan = self._reader, self._writer.planned
    remembers = guided and self._remembers
    edits = [ask.words or () if self.layout == 't2v' else () for ask in asks]
    rolls, seat = reader.seated(rolls, plan, edits, remembers=remembers)
    wanted = rolls
    if self.layout == 'think2v':
      wanted = _replanned(rolls, asks)
      wanted, seat = reader.seated(wanted, plan, edits, remembers=remembers)
    texts, going = self._writer.worded(wanted, asks, seat.told)
    for lane, text in texts.items():
      wrote(lane, text)
    silence = dict.fromkeys(texts, ())
    spoken = texts if self.layout == 'tv2tv' else silence
    told, untold = reader.said(seat.told, spoken), None
    if remembers:
      untold = reader.said(seat.untold, silence)
    states = frames.States(told, untold, seat.told if guided else None)
    latents = self._acted(rolls, asks, states)
    told = reader.kept(told, latents, going)
    untold = reader.kept(untold, latents, going) if remembers else None
    out = []
    for lane, roll in enumerate(rolls):
      if lane not in texts:
        out.append(roll._replace(ended=True, seat=None))
        continue
      opening = reader.opening(roll)
      seat = roll_lib.Seat(told, untold, lane, opening, edits[lane])
      out.append(
        roll._replace(
          words=(*roll.words, texts[lane]),
          latents=(*roll.latents, latents[lane].copy()),
          plans=(*roll.plans, roll.plans[-1][1:]),
          seat=seat,
        )
      )
    return out

  def _acted(
    self,
    rolls: list[roll_lib.Roll],
    asks: list[roll_lib.Ask],
    states: frames.States,
  ) -> Float[np.ndarray, 'B Y X Z']:
    """The next chunk of each lane: filmed, or what a person wants."""
    shape = rolls[0].latents[0].shape
    latents = np.zeros((self.lanes, *shape), np.float32)
    if any(ask.latent is None for ask in asks):
      chosen = {lane: roll.settings for lane, roll in enumerate(rolls)}
      uses = {
        lane: (roll.seed, 2 * len(roll.latents) + 1)
        for lane, roll in enumerate(rolls)
      }
      filmed = self._film(
        states,
        chance.source(uses, self.lanes),
        settings_lib.course(chosen, self.lanes),
      )
      latents = np.array(filmed)
    for lane, ask in enumerate(asks):
      if ask.latent is not None:
        latents[lane] = ask.latent
    return latents


def _replanned(
  rolls: list[roll_lib.Roll], asks: list[roll_lib.Ask]
) -> list[roll_lib.Roll]:
  """The stories with what a person wants in their plans."""
  out = []
  for roll, ask in zip(rolls, asks, strict=True):
    *before, plan = roll.plans
    if ask.words is not None and plan[0] != ask.words:
      plans = (*before, (ask.words, *plan[1:]))
      roll = roll._replace(plans=plans, seat=None)
    out.append(roll)
  return out
