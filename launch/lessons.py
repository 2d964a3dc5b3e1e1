"""What a step of a run does, for those who run it and those who ask of it."""

from configs import schema
from data_pipelines import stories
from tv2tv_jax.train import objective
from tv2tv_jax.train import step as step_lib


def lesson(run: schema.StoryRun) -> step_lib.Lesson:
  """What a run learns, how fast, and in how many parts of a batch."""
  told = objective.lesson(run.objective, run.rates, plan=stories.plan(run.data))
  return told._replace(accumulate=run.train.accumulate)
