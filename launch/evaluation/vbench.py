"""Finished stories laid out for VBench, and VBench run where it is installed.

VBench (Huang et al., 2024, arXiv 2311.17982; version 0.1.5 on PyPI) reads

  layout     file of a film              prompts                    dimensions
  stories    videos/NAME.mp4             prompts.json: file to text six
  prompts    videos/PROMPT-INDEX.mp4     the names of the files     all sixteen

The second is for its own list of prompts, up to five films of each; INDEX
counts them from 0 in the order of the stories' names. A prompt that can be no
file's name leaves its stories out. Its authors measure films of 5 s and more
with VBench-Long, which reads both layouts, but from their repository: the
package lacks its settings.
"""

from collections.abc import Iterator, Mapping, Sequence
import importlib.util
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
from typing import Any, Literal, NamedTuple

from data_pipelines.prepare import dataset
from launch import story_folder
from launch.evaluation.told import films

Layout = Literal['stories', 'prompts']

# What VBench measures of films of any prompt.
DIMENSIONS = (
  'subject_consistency',
  'background_consistency',
  'motion_smoothness',
  'dynamic_degree',
  'aesthetic_quality',
  'imaging_quality',
)
# What it measures of its own prompts beside.
_OF_ITS_PROMPTS = (
  'temporal_flickering',
  'object_class',
  'multiple_objects',
  'human_action',
  'color',
  'spatial_relationship',
  'scene',
  'temporal_style',
  'appearance_style',
  'overall_consistency',
)
_VIDEOS, _PROMPTS, _RESULTS = 'videos', 'prompts.json', 'results'
_RECORD = 'vbench.json'
_MODES = {'stories': 'custom_input', 'prompts': 'vbench_standard'}
_LONG = 5.0  # seconds, from which VBench-Long is meant
_LONGEST = 255  # bytes of a file's name
_MOST = 5  # films of a prompt that VBench looks at


class Exported(NamedTuple):
  """What was laid out.

  Attributes:
    count: of films.
    long: how many of them have 5 s or more.
    left_out: names of stories that were not, and why.
  """

  count: int
  long: int
  left_out: Mapping[str, str]

  def __str__(self) -> str:
    lines = [f'{self.count} films for VBench']
    if self.long:
      lines.append(
        f'{self.long} of 5 s or more, which VBench-Long is meant for'
      )
    lines += [f'without {name}: {why}' for name, why in self.left_out.items()]
    return '; '.join(lines)


def export(
  folder: pathlib.Path, out: pathlib.Path, layout: Layout = 'stories'
) -> Exported:
  """Lays the films of finished stories out; what was there is replaced.

  Args:
    folder: of `launch.generate --prompts`.
    out: gets `videos/`, `prompts.json` and, of what was laid out and left out,
      `vbench.json`.
    layout: how the films are named.

  Raises:
    ValueError: no stories, none whose film is whole, or a place that is taken.
  """
  _check_place(folder, out)
  partial = out / f'.{_VIDEOS}.partial'
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  prompts, left_out, long = {}, {}, 0
  try:
    names = _Names(layout)
    for story in films.stories(folder):
      why = _why_not(folder, story) or names.why_not(story)
      if why:
        left_out[story.name] = why
        continue
      file = names.add(story)
      shutil.copyfile(folder / story.name / story_folder.FILM, partial / file)
      prompts[file] = story.record['prompt']
      long += story.record['frames'] >= _LONG * story.record['rate']
    if not prompts:
      raise ValueError(f'{folder}: no film for VBench: {_listed(left_out)}')
    shutil.rmtree(out / _VIDEOS, ignore_errors=True)
    partial.rename(out / _VIDEOS)
  finally:
    shutil.rmtree(partial, ignore_errors=True)
  dataset.write_text(out / _PROMPTS, json.dumps(prompts, indent=2) + '\n')
  exported = Exported(len(prompts), long, left_out)
  record = {'layout': layout, **exported._asdict()}
  dataset.write_text(out / _RECORD, json.dumps(record, indent=2) + '\n')
  return exported


def run(
  out: pathlib.Path, dimensions: Sequence[str] = ()
) -> dict[str, float] | None:
  """VBench's score in each dimension, which is printed too.

  Its own program is started, rather than `vbench evaluate`, which starts it by
  a shell that takes names apart at spaces, and does not say whether it failed.

  Args:
    out: of `export`; gets `results/`, all that VBench writes.
    dimensions: what is measured; none: all that there is for the layout.

  Returns:
    None where VBench is not installed: what starts it was printed.

  Raises:
    ValueError: nothing was laid out there, a dimension that VBench has not for
      it, or VBench failed.
  """
  command = _command(out, dimensions)
  if importlib.util.find_spec('vbench') is None:
    print('VBench is not installed here; where it is:', shlex.join(command))
    return None
  before = set(_results(out))
  try:
    subprocess.run([sys.executable, *command[1:]], check=True)
  except subprocess.CalledProcessError as error:
    raise ValueError(
      f'VBench failed with status {error.returncode}: {shlex.join(command)}'
    ) from None
  found = sorted(set(_results(out)) - before)
  if not found:
    raise ValueError(f'VBench wrote no results: {shlex.join(command)}')
  scores = _scores(found[-1][1])
  print('VBench:', ', '.join(f'{k} {v:.4f}' for k, v in scores.items()))
  return scores


def _check_place(folder: pathlib.Path, out: pathlib.Path) -> None:
  """ValueError if films may not be laid out there."""
  here, there = folder.resolve(), out.resolve()
  if there == here or here in there.parents:
    raise ValueError(
      f'{out}: is in the folder of the stories, whose folders are all stories; '
      'name another'
    )
  if (
    out.exists()
    and not (out / _RECORD).is_file()
    and (not out.is_dir() or any(out.iterdir()))
  ):
    raise ValueError(f'{out}: there is something else; name another')


def _why_not(folder: pathlib.Path, story: films.Told | films.Failed) -> str:
  """Why a story has no film to lay out; '': it has one."""
  if isinstance(story, films.Failed):
    return story.error
  try:
    films.frames(folder, story)
  except ValueError as error:
    return films.failed(folder, story.name, error).error
  return ''


class _Names:
  """Names of files for films, one after another."""

  def __init__(self, layout: Layout):
    self._layout = layout
    self._counts, self._known = {}, {}

  def why_not(self, story: films.Told) -> str:
    """Why a film cannot have a name; '': it can."""
    if self._layout == 'stories':
      return ''
    prompt = story.record['prompt']
    size = len(self._name(story).encode())
    if not prompt.strip() or '/' in prompt or '\0' in prompt:
      return f'its prompt {prompt!r} is no name of a file'
    if size > _LONGEST:
      return f'its prompt makes the name of a file of {size} bytes'
    if self._counts.get(prompt, 0) >= _MOST:
      return f'VBench looks at {_MOST} films of a prompt, and has them'
    # Some file systems do not tell small letters from capitals.
    other = self._known.get(prompt.casefold(), prompt)
    if other != prompt:
      return f'its prompt {prompt!r} may be the file of {other!r}'
    return ''

  def add(self, story: films.Told) -> str:
    """The name of a film's file."""
    name, prompt = self._name(story), story.record['prompt']
    self._counts[prompt] = self._counts.get(prompt, 0) + 1
    self._known[prompt.casefold()] = prompt
    return name

  def _name(self, story: films.Told) -> str:
    if self._layout == 'stories':
      return f'{story.name}.mp4'
    prompt = story.record['prompt']
    return f'{prompt}-{self._counts.get(prompt, 0)}.mp4'


def _command(out: pathlib.Path, dimensions: Sequence[str]) -> list[str]:
  """What measures the films that were laid out."""
  try:
    layout = json.loads((out / _RECORD).read_bytes())['layout']
    mode = _MODES[layout]
  except (OSError, ValueError, LookupError, TypeError):
    raise ValueError(f'{out}: nothing was laid out there') from None
  known = DIMENSIONS + (_OF_ITS_PROMPTS if layout == 'prompts' else ())
  for each in dimensions:
    if each not in known:
      raise ValueError(
        f'dimension {each!r}: for films laid out by {layout} VBench has '
        f'{", ".join(known)}'
      )
  command = ['python', '-m', 'vbench.launch.evaluate', '--mode', mode]
  command += ['--videos_path', str(out / _VIDEOS)]
  if layout == 'stories':
    command += ['--prompt_file', str(out / _PROMPTS)]
  command += ['--output_path', str(out / _RESULTS)]
  return [*command, '--dimension', *(dimensions or known)]


def _results(out: pathlib.Path) -> Iterator[tuple[int, pathlib.Path]]:
  """The tables that VBench wrote, and when."""
  for path in (out / _RESULTS).glob('*_eval_results.json'):
    yield path.stat().st_mtime_ns, path


def _scores(path: pathlib.Path) -> dict[str, float]:
  """The score of all films together in each dimension of a table.

  Raises:
    ValueError: it is none of VBench's.
  """
  try:
    table: dict[str, Any] = json.loads(path.read_bytes())
    return {name: float(each[0]) for name, each in table.items()}
  except (ValueError, LookupError, TypeError, AttributeError):
    raise ValueError(f'{path}: no table of VBench') from None


def _listed(left_out: Mapping[str, str]) -> str:
  """Stories and why they were left out, in a line."""
  return '; '.join(f'{name}: {why}' for name, why in left_out.items())
