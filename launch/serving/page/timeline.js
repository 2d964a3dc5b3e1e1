/**
 * @file The timeline: a row for each story and a cell for each of its chunks,
 * all rows on one scale of time, so that branches are seen side by side.
 */

import {edit} from './editor.js';
import {$, piece, seconds} from './page.js';
import {chunkOf, chunksOf, frameOf, model, timeOf} from './server.js';
import {moves, shown, watch} from './stage.js';
import {listeners, stories} from './story.js';

const rows = new Map(); // by story

/** A story's row. */
class Row {
  constructor(story) {
    this.story = story;
    this.section = piece('row');
    this.strip = this.part('strip');
    for (let n = chunksOf(story.seconds); n > 0; n--) this.#grow();
    this.part('badge').textContent = story.letter;
    this.part('told-by').textContent = manner(story);
    this.part('watch').onclick = () => watch(story);
    this.part('stop').onclick = () => {
      story.cancel();
      this.part('watch').focus();
    };
    this.part('remove').onclick = () => {
      story.remove();
      (document.querySelector('.row .watch') ?? $('film')).focus();
    };
    for (const kind of ['mp4', 'zip']) {
      this.part(kind).href = `/api/stories/${story.id}/story.${kind}`;
    }
    this.update();
  }

  part(name) {
    return this.section.querySelector(`.${name}`);
  }

  #grow() {
    this.strip.append(document.createElement('li'));
  }

  /** The item of a chunk, with something in it to choose. */
  moment(chunk) {
    while (this.strip.children.length <= chunk) this.#grow();
    const item = this.strip.children[chunk];
    if (item.firstElementChild) return item;
    item.append(piece('moment'));
    item.className = chunk < this.story.fork ? 'shared' : '';
    item.classList.toggle('fork', chunk > 0 && chunk === this.story.fork);
    item.querySelector('.time').textContent = seconds(timeOf(chunk));
    Object.assign(item.querySelector('canvas'), model.size);
    const button = item.firstElementChild;
    button.tabIndex = chunk ? -1 : 0; // arrows lead on
    button.onclick = () => edit(this.story, chunk, button);
    this.#name(chunk);
    return item;
  }

  #name(chunk) {
    const word = this.story.words[chunk];
    let name = word?.text || 'no words';
    if (word?.told) name = word.text ? `${name}, told` : 'told to say nothing';
    if (!chunk) name = 'first frame';
    this.strip.children[chunk].firstElementChild.setAttribute(
      'aria-label', `${seconds(timeOf(chunk))}: ${name}`);
  }

  /** Words that go on unchanged are set once, over all that they hold for. */
  write(chunk) {
    const {words} = this.story;
    const {text, told, shared} = words[chunk];
    const item = this.moment(chunk);
    item.classList.toggle('said', Boolean(text));
    item.classList.toggle('told', told);
    item.classList.toggle('hushed', told && !text);
    item.querySelector('.text').textContent = text || (told ? 'nothing' : '');
    this.#name(chunk);
    const same = (n) => words[n]?.text === text && words[n].told === told
      && words[n].shared === shared;
    let first = chunk;
    while (same(first - 1)) first--;
    let n = first;
    for (; same(n); n++) this.moment(n).classList.toggle('held', n > first);
    this.moment(first).style.setProperty('--span', n - first);
  }

  film(chunk) {
    const canvas = this.moment(chunk).querySelector('canvas');
    this.story.draw(canvas, frameOf(chunk + 1) - 1);
    canvas.dataset.filmed = '';
    const next = this.strip.children[chunk + 1];
    if (next && !next.firstElementChild) next.className = 'coming';
  }

  update() {
    const {story} = this;
    this.section.className = `row ${story.status}`;
    this.section.classList.toggle('root', !stories.has(story.parent));
    this.section.classList.toggle('over', !story.live);
    this.part('title').textContent = story.title;
    this.part('status').textContent = story.progress;
    this.part('stop').hidden = !story.live;
    const film = !story.live && story.ready > 0;
    this.part('mp4').hidden = this.part('zip').hidden = !film;
    const name = `${story.letter}: ${story.title}`;
    this.strip.setAttribute('aria-label', name);
    for (const does of this.section.querySelectorAll('[data-does]')) {
      does.setAttribute('aria-label', `${does.dataset.does}, ${name}`);
    }
  }
}

/** How a story is told, as far as it is not as its parent or as usual. */
function manner({seed, settings, parent}) {
  const other = stories.get(parent);
  const usual = other?.settings ?? model.defaults;
  const words = Object.entries(settings)
    .filter(([name, value]) => value !== usual[name])
    .map(([name, value]) => `${name.replace('_', ' ')} ${value}`);
  if (seed !== other?.seed) words.unshift(`seed ${seed}`);
  return words.join(' · ');
}

/** Below its parent and whatever grew there before; a new story on top. */
function place(row) {
  const parent = rows.get(stories.get(row.story.parent));
  if (!parent) {
    $('track').prepend(row.section);
    return;
  }
  const family = new Set([parent.story.id]);
  let last = parent.section;
  const sections = [...document.querySelectorAll('.row')];
  const bySection = new Map(
    [...rows.values()].map((each) => [each.section, each.story]));
  for (const section of sections) {
    const story = bySection.get(section);
    if (!family.has(story?.parent)) continue;
    family.add(story.id);
    last = section;
  }
  last.after(row.section);
}

/** Draws the lines from where branches leave to where they go on. */
function link() {
  for (const old of document.querySelectorAll('.link')) old.remove();
  for (const [story, row] of rows) {
    const from = rows.get(stories.get(story.parent))?.strip;
    if (!from) continue;
    const line = document.createElement('i');
    line.className = 'link';
    line.style.setProperty('--fork', story.fork);
    line.style.top = `${from.offsetTop + from.offsetHeight}px`;
    const height = row.strip.offsetTop - from.offsetTop - from.offsetHeight;
    line.style.setProperty('--height', `${height}px`);
    $('track').append(line);
  }
}

function hear(story, kind, chunk) {
  if (kind === 'new') {
    const row = new Row(story);
    place(row);
    rows.set(story, row);
  }
  const row = rows.get(story);
  if (kind === 'wrote') row?.write(chunk);
  if (kind === 'filmed') row?.film(chunk);
  if (kind === 'removed') {
    rows.delete(story);
    row.section.remove();
  }
  for (const each of rows.values()) each.update();
  $('hint').hidden = rows.size > 1;
  $('hint').textContent = rows.size
    ? 'Choose a moment to change its words, and see another future.'
    : 'Words and pictures appear here as they come.';
}

/** The line of the moment on stage; while it plays, the timeline follows. */
function follow(frame, playing) {
  const chunk = chunkOf(frame);
  for (const old of document.querySelectorAll('.now')) {
    old.classList.remove('now');
  }
  for (const [story, row] of rows) {
    const watched = shown.includes(story);
    row.part('watch').setAttribute('aria-pressed', watched);
    row.strip.classList.toggle('watched', watched);
    if (watched) row.strip.children[chunk]?.classList.add('now');
  }
  const cells = frame < 1 ? 0 : 1 + (frame - 1) / model.chunk_frames;
  $('track').style.setProperty('--head', cells);
  const box = $('scroll');
  const item = document.querySelector('.strip li');
  if (!playing || !item || box.contains(document.activeElement)) return;
  const at = cells * item.offsetWidth;
  if (at < box.scrollLeft || at > box.scrollLeft + box.clientWidth - 90) {
    box.scrollLeft = at - 40;
  }
}

/** Arrow keys go from moment to moment, and from story to story. */
function walk(event) {
  const item = event.target.closest('.strip li');
  if (!item) return;
  const at = [...item.parentElement.children].indexOf(item);
  const strips = [...document.querySelectorAll('.strip')];
  const here = strips.indexOf(item.parentElement);
  const moments = (n) => [...strips[n]?.querySelectorAll('button') ?? []];
  const beside = (n) => moments(n)[at] ?? moments(n).at(-1);
  const to = {
    ArrowLeft: moments(here)[at - 1], ArrowRight: moments(here)[at + 1],
    ArrowUp: beside(here - 1), ArrowDown: beside(here + 1),
    Home: moments(here)[0], End: moments(here).at(-1),
  }[event.key];
  if (!to) return;
  event.preventDefault();
  to.closest('.strip').querySelector('[tabindex="0"]').tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

/** Draws every story from now on. */
export function lay() {
  listeners.push(hear);
  moves.push(follow);
  $('track').addEventListener('keydown', walk);
  new ResizeObserver(link).observe($('track'));
}
