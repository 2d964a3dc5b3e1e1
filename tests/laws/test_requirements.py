"""requirements.txt is closed, is what the code imports, and is pyproject's."""

import importlib.metadata
import tomllib

from packaging import requirements
from packaging import version as version_lib

from tests.laws import tree

# Extras that some of the code imports; all else is among the dependencies.
_EXTRAS = ('corpora', 'beam', 'tensorboard')
# What PyTorch brings where it is built for CUDA: no machine needs it.
_CUDA = ('cuda-', 'nvidia-', 'triton')


def _pins(lines):
  """Lines of pins as {(package, marker): version}."""
  pins = {}
  for line in lines:
    line = line.partition('#')[0].strip()
    if line:
      pin = requirements.Requirement(line)
      (specifier,) = pin.specifier
      assert specifier.operator == '==', f'{line}: pin it by =='
      pins[tree.normal(pin.name), str(pin.marker or '')] = specifier.version
  return pins


def _pinned():
  return _pins((tree.ROOT / 'requirements.txt').read_text().splitlines())


def _project():
  return tomllib.loads((tree.ROOT / 'pyproject.toml').read_text())['project']


def test_pyproject_pins_what_requirements_pin():
  project, pinned = _project(), _pinned()
  extras = project['optional-dependencies']
  for lines in (project['dependencies'], *extras.values()):
    for pin, version in _pins(lines).items():
      assert pinned.get(pin) == version, (
        f'{pin} is {version} in pyproject.toml, {pinned.get(pin)} in '
        'requirements.txt'
      )


def _named(*extras):
  """The packages of the dependencies, or of some extras."""
  project = _project()
  if not extras:
    return {package for package, _ in _pins(project['dependencies'])}
  groups = [project['optional-dependencies'][extra] for extra in extras]
  return {package for group in groups for package, _ in _pins(group)}


def _imported(name):
  """The packages that a file imports."""
  foreign = (m for m in tree.imports(name) if tree.owned(m) is None)
  return {tree.distribution(module) for module in foreign} - {None}


def test_dependencies_are_what_the_code_imports():
  wanted = set().union(*map(_imported, tree.sources()))
  named = _named() | _named(*_EXTRAS)
  assert wanted == named, (
    f'pyproject.toml, dependencies: add {sorted(wanted - named)}, '
    f'remove {sorted(named - wanted)}; requirements.txt likewise'
  )
  assert not _named() & _named(*_EXTRAS)


def test_what_extras_bring_is_imported_by_name_alone():
  """Modules that need them, and all that import those, are no programs."""
  extra = _named(*_EXTRAS)
  needing = {name for name in tree.sources() if _imported(name) & extra}
  while (
    more := {
      name
      for name in tree.sources()
      if any(tree.owned(module) in needing for module in tree.imports(name))
    }
    - needing
  ):
    needing |= more
  rooms = {name.split('/')[0] for name in needing}
  assert rooms == {'data_pipelines', 'tv2tv_jax'}, sorted(needing)


def _brought(package):
  """The packages that one asks for where this runs, without its extras."""
  for line in importlib.metadata.requires(package) or ():
    needed = requirements.Requirement(line)
    if package == 'torch' and needed.name.startswith(_CUDA):
      continue
    if needed.marker is None or needed.marker.evaluate({'extra': ''}):
      yield tree.normal(needed.name)


def test_every_package_brings_only_pinned_packages():
  pinned = {package for package, _ in _pinned()}
  for package in pinned:
    for needed in _brought(package):
      assert needed in pinned, (
        f'{package} needs {needed}: pin it in requirements.txt'
      )


def test_the_demo_installs_no_pytorch():
  needed = _named()
  while more := {each for one in needed for each in _brought(one)} - needed:
    needed |= more
  assert not needed & {'torch', 'transformers'}


def test_the_environment_is_the_pinned_one():
  for (package, marker), version in _pinned().items():
    if not marker or requirements.Marker(marker).evaluate():
      installed = importlib.metadata.version(package)
      # Public: without the name of a build, as in 2.13.0+cpu.
      assert version_lib.Version(installed).public == version, (
        f'{package} is {installed}: run launch/test.sh, which renews .venv'
      )
