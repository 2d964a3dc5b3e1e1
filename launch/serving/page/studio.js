/**
 * @file The studio: ask for a story, watch it being written and filmed, change
 * a word at any moment, and see another future beside the first.
 *
 * The stories in view stand in the address (`#id,id`), all else on the server,
 * so that a reload draws the same page.
 */

import {prepare} from './ask.js';
import {ready} from './editor.js';
import {$, calm, fault} from './page.js';
import {load, model} from './server.js';
import {raise, show} from './stage.js';
import {listeners, open, stories} from './story.js';
import {lay} from './timeline.js';

/** What films, in a line; more of it is told at the foot of the page. */
function introduce() {
  const {width, height} = model.size;
  const style = document.documentElement.style;
  style.setProperty('--shape', `${width} / ${height}`);
  style.setProperty('--wide', width / height);
  document.title = `Studio: ${model.title}`;
  $('about').textContent = [
    model.title, `${width} × ${height}`, `${model.rate} frames a second`,
    `step ${model.checkpoint.step.toLocaleString('en')}`,
  ].join(' · ');
  $('card').hidden = !model.card;
  $('card').querySelector('.card-text').textContent = model.card;
}

/** Takes the stories of the address into view again. */
async function recall() {
  for (const id of location.hash.match(/\w+/g) ?? []) {
    await open(id).catch((error) => error.status === 404 || fault(error));
  }
  const last = [...stories.values()].at(-1);
  if (last) show([stories.get(last.parent), last].filter(Boolean), 0);
}

function remember() {
  history.replaceState(null, '', `#${[...stories.keys()].join(',')}`);
}

async function main() {
  await load();
  introduce();
  raise(!calm.matches);
  lay();
  ready();
  await prepare();
  await recall();
  remember();
  listeners.push((story, kind) => {
    if (['new', 'removed'].includes(kind)) remember();
  });
}

main().catch(fault);
