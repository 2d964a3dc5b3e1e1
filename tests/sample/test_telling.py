"""Events come in order, and streamed frames are the whole story's."""

import threading

import numpy as np
import pytest

from tests import tiny
from tests.vae import small
from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream
