/**
 * @file What is asked for: a first frame, a prompt, a length, and how the story
 * is told.
 */

import {$, calm, fault, narrow, piece, settled} from './page.js';
import {call, model} from './server.js';
import {play, preview, show, shown} from './stage.js';
import {listeners, open} from './story.js';

/** How a story is told: what a person calls it, and why turn it; its step. */
const DIALS = {
  guidance: ['Guidance', 'How closely the film follows the words', 0.1],
  steps: ['Steps', 'From noise to picture; more are slower', 1],
  temperature: ['Temperature', 'How freely it writes; 0 is the surest', 0.05],
  top_p: ['Top p', 'The share of likely words it picks from', 0.05],
};
/** The value of a picture of one's own among the first frames. */
const MINE = 'mine';

let asked = null;
let busy = false;
let picture = null; // base64

/** A seed that nobody has chosen. */
export const chance = () => crypto.getRandomValues(new Uint32Array(1))[0];

/** How the dials stand. */
export const settings = () => Object.fromEntries(
  Object.keys(DIALS).map((name) => [name, Number($(name).value)]));

const chosen = () => document.querySelector('[name=start]:checked');

/** Asks for the story and puts it on stage. */
async function ask() {
  if (busy) return;
  busy = true;
  const start = chosen()?.value;
  try {
    const {id} = await call('POST', '/api/stories', {
      prompt: $('prompt').value,
      ...(start === MINE ? {picture} : {start: Number(start ?? 0)}),
      seconds: Number($('seconds').value),
      seed: Number($('seed').value),
      settings: settings(),
    });
    settled();
    asked = await open(id);
    show([asked], 0);
    play(!calm.matches);
    if (narrow.matches) $('stage').scrollIntoView();
  } catch (error) {
    fault(error);
  } finally {
    busy = false;
  }
}

/** A number with a slider beside it; both say the same. */
function dial(box, name, label, hint, step) {
  const item = piece('dial');
  const [number, range] = item.querySelectorAll('input');
  const [min, max] = model.ranges[name];
  number.id = name;
  item.querySelector('label').textContent = label;
  item.querySelector('label').htmlFor = name;
  item.querySelector('small').textContent = hint;
  item.querySelector('small').id = `${name}-hint`;
  if (hint) number.setAttribute('aria-describedby', `${name}-hint`);
  Object.assign(number, {min, max, step: 'any'});
  Object.assign(range, {min: Math.ceil(min / step) * step, max, step});
  range.setAttribute('aria-label', `${label}, slider`);
  const mark = () => range.style.setProperty(
    '--at', `${100 * (range.value - range.min) / (max - range.min)}%`);
  range.oninput = () => {
    number.value = range.value;
    mark();
  };
  number.oninput = () => {
    range.value = number.value;
    mark();
  };
  number.value = model.defaults[name];
  number.oninput();
  box.append(item);
}

/** A first frame to choose; it brings its prompt, if it has one. */
function offer(value, source, name, prompt) {
  document.querySelector(`[name=start][value="${value}"]`)
    ?.parentElement.remove();
  const item = piece('choice');
  const input = item.querySelector('input');
  const image = item.querySelector('img');
  input.value = value;
  image.src = source;
  image.alt = name;
  input.onchange = () => {
    if (prompt) $('prompt').value = prompt;
    preview(image);
  };
  $('gallery').append(item);
  return input;
}

function choose(input) {
  input.checked = true;
  input.onchange();
}

function upload() {
  const [file] = $('picture').files;
  if (!file) return;
  const reader = new FileReader();
  reader.onload = () => {
    picture = reader.result.slice(reader.result.indexOf(',') + 1);
    choose(offer(MINE, reader.result, `My picture: ${file.name}`, ''));
    chosen().scrollIntoView({block: 'nearest'});
  };
  reader.onerror = () => fault(reader.error);
  reader.readAsDataURL(file);
  $('picture').value = ''; // the same one may be chosen again
}

/** Lays the form out as the model has it. */
export async function prepare() {
  dial($('length'), 'seconds', 'Length, seconds', '', 0.5);
  for (const [name, [label, hint, step]] of Object.entries(DIALS)) {
    dial($('dials'), name, label, hint, step);
  }
  [$('seed').min, $('seed').max] = model.ranges.seed;
  $('seed').value = model.defaults.seed;
  $('settings').open = !narrow.matches;
  $('picture').onchange = upload;
  $('dice').onclick = () => { $('seed').value = chance(); };
  $('cancel').onclick = () => {
    asked.cancel();
    $('film').focus();
  };
  $('ask').onsubmit = (event) => {
    event.preventDefault();
    ask();
  };
  listeners.push((story, kind) => {
    if (kind === 'removed' && !shown.length) chosen()?.onchange();
    if (story !== asked) return;
    $('place').textContent = asked.live ? asked.progress : '';
    $('cancel').hidden = !asked.live;
  });
  const starts = await call('GET', '/api/starts');
  const inputs = starts.map(({number, prompt}) => offer(
    number, `/api/starts/${number}.png`, `Start ${number + 1}: ${prompt}`,
    prompt));
  if (inputs.length) choose(inputs[0]);
  $('film').disabled = false;
}
