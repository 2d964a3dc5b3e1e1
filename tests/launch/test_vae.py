"""A VAE is trained, and takes become latents that carry its name."""

import json

import numpy as np

from data_pipelines import latents as latents_lib
from data_pipelines.prepare import record
from tests.launch import programs


def test_takes_become_latents(tmp_path):
  film, vae, out = (tmp_path / name for name in ('film', 'vae', 'latents'))
  request = record.Request('vizdoom', minutes=0.1, seed=1, maps=('duel',))
  record.record(request, film, processes=1)
  encode = ('launch.encode', f'--vae={vae}', f'--records={film}')
  train = (
    'launch.train_vae',
    *programs.TINY_VAE,
    f'--workdir={vae}',
    f'--config.data.records={film}',
  )
  assert 'is it a workdir?' in programs.error(
    programs.run(*encode, f'--out={out}')
  )

  done = programs.run(*train)
  assert done.returncode == 0, done.stderr
  report = json.loads((vae / 'report.json').read_text())
  assert report['steps'] == 3
  assert len(report['psnr_per_frame']) == 13
  assert report['psnr'] > 15.0  # The linear path alone; a net starts near 5.
  assert (vae / 'reconstructions.png').stat().st_size > 1000
  other = programs.run(*train, '--config.vae.taps=3')
  assert 'config.vae.taps is 3, was 2' in programs.error(other)

  encode = (*encode, f'--out={out}', '--chunks=8')
  assert '--stride is 6' in programs.error(programs.run(*encode, '--stride=6'))
  done = programs.run(*encode)
  assert done.returncode == 0, done.stderr
  clips = list(latents_lib.Clips(out, 'train', report['fingerprint']))
  assert len(clips) == 7  # Of 33 frames, every 16, in 129 frames.
  assert clips[0].latents.shape == (9, 6, 8, 16)
  values = np.stack([clip.latents for clip in clips]).astype(np.float32)
  assert abs(values.mean()) < 0.3
  assert abs(values.std() - 1.0) < 0.3
  starts = [round(clip.start * 17.5) for clip in clips]
  assert starts == [16 * at for at in range(7)]
  assert 'is there already' in programs.run(*encode).stdout
  longer = programs.run(*encode[:-1], '--chunks=9')
  assert 'holds clips of 9 latents' in programs.error(longer)


def test_records_must_be_named(tmp_path):
  done = programs.run(
    'launch.train_vae', *programs.TINY_VAE, f'--workdir={tmp_path / "vae"}'
  )
  assert 'config.data.records is empty' in programs.error(done)
  assert not (tmp_path / 'vae').exists()
