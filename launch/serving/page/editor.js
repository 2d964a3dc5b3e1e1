/**
 * @file The editor: other words at a moment of a story, and so another future
 * beside it.
 */

import {$, calm, fault, seconds, settled} from './page.js';
import {call, frameOf, timeOf} from './server.js';
import {play, seek, show, shown} from './stage.js';
import {listeners, open} from './story.js';
import {chance, settings} from './ask.js';

let edited = null; // {story, chunk, button}
let busy = false;

/** Opens the editor below a story's row, for the moment of a button there. */
export function edit(story, chunk, button) {
  close();
  edited = {story, chunk: Math.max(1, chunk), button};
  button.setAttribute('aria-expanded', 'true');
  button.closest('.row').append($('editor'));
  $('editor').hidden = false;
  $('editor-title').textContent =
    `${seconds(timeOf(edited.chunk))} into story ${story.letter}`;
  $('words').value = story.words[edited.chunk]?.text ?? '';
  $('reseed').checked = $('reset').checked = false;
  play(false);
  if (!shown.includes(story)) show([story]);
  seek(frameOf(chunk));
  $('words').focus({preventScroll: true});
  $('words').select();
  $('editor').scrollIntoView({block: 'nearest'});
}

/** Closes it; the moment from which it was opened has the focus again. */
function close() {
  if (!edited) return;
  const {button} = edited;
  edited = null;
  $('editor').hidden = true;
  button.setAttribute('aria-expanded', 'false');
  button.focus();
}

/** Films another future; `text` null leaves the words to the model. */
async function branch(text) {
  if (busy) return;
  busy = true;
  const {story, chunk} = edited;
  const hold = Number($('hold').value);
  const body = {time: timeOf(chunk), text, hold};
  // The model's own words from the same seed would be the same film again.
  const same = text === null && !story.words[chunk]?.told;
  if ($('reseed').checked || same) body.seed = chance();
  if ($('reset').checked) body.settings = settings();
  try {
    const {id} = await call('POST', `/api/stories/${story.id}/fork`, body);
    settled();
    const other = await open(id);
    close();
    show([story, other], frameOf(other.fork));
    play(!calm.matches);
    $('stage').scrollIntoView({block: 'nearest'});
  } catch (error) {
    fault(error);
  } finally {
    busy = false;
  }
}

/** Makes the editor's buttons work. */
export function ready() {
  $('editor').onsubmit = (event) => {
    event.preventDefault();
    branch($('words').value.trim());
  };
  $('hush').onclick = () => branch('');
  $('free').onclick = () => branch(null);
  $('close').onclick = close;
  $('editor').onkeydown = ({key}) => {
    if (key === 'Escape') close();
  };
  listeners.push((story, kind) => {
    if (kind !== 'removed' || edited?.story !== story) return;
    close();
    $('timeline').append($('editor'));
  });
}
