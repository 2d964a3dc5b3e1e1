"""Runs pytest on the folders named: what a Bazel test target starts."""

import sys

import pytest

if __name__ == '__main__':
  sys.exit(pytest.main(sys.argv[1:]))
