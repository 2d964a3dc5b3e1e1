/**
 * @file The stage: one or two stories side by side, on one clock. The clock's
 * head is in frames; it plays along while there is filming, and waits where the
 * film ends so far.
 */

import {$, piece} from './page.js';
import {chunkOf, frameOf, model} from './server.js';
import {listeners, stories} from './story.js';

/** Pixels across a screen's canvas, about; small frames are blown up to it. */
const ACROSS = 512;

/** The stories on stage. */
export let shown = [];

let head = 0;
let playing = false;
let then = 0;
let drawn = null; // the frame that is to be seen; null: draw again

const loops = () => $('loop').getAttribute('aria-pressed') === 'true';
const filming = () => shown.some((story) => story.live);
const length = () => Math.max(0, ...shown.map((story) => story.length));

/** Puts stories on stage, none, one or two; `at` is the frame to be seen. */
export function show(next, at = head) {
  shown = next;
  $('screens').classList.toggle('single', shown.length < 2);
  $('screens').replaceChildren(
    ...(shown.length ? shown : [null]).map(screen));
  for (const id of ['back', 'play', 'next', 'loop', 'scrubber']) {
    $(id).disabled = !shown.length;
  }
  play(playing && shown.length > 0);
  seek(at);
}

function screen(story) {
  const item = piece('screen');
  const scale = Math.max(1, Math.round(ACROSS / model.size.width));
  const canvas = item.querySelector('canvas');
  canvas.width = scale * model.size.width;
  canvas.height = scale * model.size.height;
  item.querySelector('.badge').textContent = story?.letter ?? '';
  name(canvas, story);
  return item;
}

/** A canvas has its name from the moment it is on the page. */
function name(canvas, story) {
  canvas.setAttribute('aria-label', story
    ? `Film of ${story.letter}: ${story.title}` : 'No film yet');
}

/** On stage or off it; where two are there, the older one makes room. */
export function watch(story) {
  if (!shown.includes(story)) {
    show([...shown.slice(-1), story]);
  } else if (shown.length > 1) {
    show(shown.filter((other) => other !== story));
  }
}

/** Before there is a film the stage shows a frame that one could begin at. */
export async function preview(image) {
  await image.decode().catch(() => {});
  if (!image.naturalWidth || shown.length) return;
  const canvas = $('screens').querySelector('canvas');
  const scale = Math.max(
    canvas.width / image.naturalWidth, canvas.height / image.naturalHeight);
  const [width, height] = [canvas.width / scale, canvas.height / scale];
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(
    image, (image.naturalWidth - width) / 2,
    (image.naturalHeight - height) / 2, width, height,
    0, 0, canvas.width, canvas.height);
  canvas.setAttribute('aria-label', image.alt);
}

/** The chunk at which two stories begin to differ. */
function parting([one, two]) {
  const shared = new Map(); // with each ancestor of one, up to which chunk
  let until = Infinity;
  for (let at = one; at; at = stories.get(at.parent)) {
    shared.set(at, until);
    until = Math.min(until, at.fork);
  }
  until = Infinity;
  for (let at = two; at; at = stories.get(at.parent)) {
    if (shared.has(at)) return Math.min(until, shared.get(at));
    until = Math.min(until, at.fork);
  }
  return 0;
}

/** Where a loop begins: two are compared from where they differ. */
const beginning = () => shown.length > 1 ? frameOf(parting(shown)) : 0;

/** Frames that can be played: no further than the slowest still filmed. */
function limit() {
  const most = Math.max(0, ...shown.map((story) => story.ready));
  const live = shown.filter((story) => story.live);
  return Math.min(most, ...live.map((story) => story.ready));
}

/** Plays or pauses; at the end it begins again. */
export function play(on) {
  if (on && !filming() && head >= limit() - 1) head = beginning();
  playing = on && shown.length > 0;
  $('play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
  $('play').querySelector('use').setAttribute(
    'href', playing ? '#i-pause' : '#i-play');
  drawn = null;
}

/** Goes to a frame, or to the last one there is. */
export function seek(frame) {
  head = Math.max(0, frame);
  drawn = null;
}

function advance(by) {
  const end = limit();
  const before = head;
  head += by;
  if (head < end) return;
  if (filming()) {
    head = Math.max(before, end - 0.01); // waits for what comes
  } else if (loops()) {
    head = beginning();
  } else {
    head = Math.max(0, end - 1);
    play(false);
  }
}

function tick(now) {
  requestAnimationFrame(tick);
  const passed = Math.min(now - then, 250) / 1000;
  then = now;
  if (playing) advance(passed * model.rate);
  if (drawn !== Math.floor(head)) draw();
}

function draw() {
  const last = Math.max(0, ...shown.map((story) => story.ready)) - 1;
  drawn = Math.floor(head);
  const frame = Math.max(0, Math.min(drawn, last));
  const chunk = chunkOf(frame);
  shown.forEach((story, n) => {
    const item = $('screens').children[n];
    const canvas = item.querySelector('canvas');
    story.draw(canvas, frame);
    name(canvas, story);
    item.querySelector('.title').textContent = story.title;
    const word = story.ready > frame ? story.words[chunk] : null;
    const caption = item.querySelector('.caption');
    caption.textContent = word?.text ?? '';
    caption.classList.toggle('told', Boolean(word?.told));
  });
  if (shown.length) transport(frame);
  for (const listener of moves) listener(frame, playing);
}

/** Called with `(frame, playing)` when another frame is to be seen. */
export const moves = [];

function transport(frame) {
  const end = Math.max(1, length() - 1);
  const scrubber = $('scrubber');
  scrubber.max = end;
  scrubber.value = frame;
  scrubber.style.setProperty('--at', `${100 * frame / end}%`);
  scrubber.style.setProperty('--ready', `${100 * (limit() - 1) / end}%`);
  const [now, all] = [frame, length()].map(
    (count) => (count / model.rate).toFixed(1));
  scrubber.setAttribute('aria-valuetext', `${now} of ${all} seconds`);
  $('clock').textContent = `${now} / ${all} s`;
}

function step(by) {
  play(false);
  seek(Math.min(Math.floor(head) + by, limit() - 1));
}

/** Sets the stage up; `loop` says whether films begin again by themselves. */
export function raise(loop) {
  $('play').onclick = () => play(!playing);
  $('back').onclick = () => step(-1);
  $('next').onclick = () => step(1);
  $('loop').setAttribute('aria-pressed', loop);
  $('loop').onclick = () => $('loop').setAttribute('aria-pressed', !loops());
  $('scrubber').oninput = () => {
    play(false);
    seek(Math.min(Number($('scrubber').value), limit() - 1));
  };
  listeners.push((story, kind) => {
    if (!shown.includes(story)) return;
    if (kind === 'removed') show(shown.filter((other) => other !== story));
    drawn = null;
  });
  show([]);
  requestAnimationFrame(tick);
}
