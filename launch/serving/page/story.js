/**
 * @file One story of the server, followed through its event stream. It knows
 * nothing of the page: whoever draws it listens to `stories`.
 */

import {announce, fault, offline, seconds} from './page.js';
import {call, chunkOf, chunksOf, frameOf, model, timeOf} from './server.js';

/** Event streams at a time: a browser opens six connections to a server. */
const STREAMS = 4;
/** Milliseconds between looks at stories that have no stream of their own. */
const LOOK = 15_000;

/** The stories in view by id, in the order in which they came. */
export const stories = new Map();
/** Called with `(story, kind, chunk)` when a story has changed in any way. */
export const listeners = [];

let streams = 0;
let line = [];
let count = 0;

/** Takes a story of the server into view. */
export async function open(id) {
  return new Story(await call('GET', `/api/stories/${id}`));
}

/** Its words and pictures up to now, by chunk; `ready` counts frames. */
export class Story {
  constructor(state) {
    this.id = state.id;
    this.parent = state.parent;
    this.fork = state.forked_at ?? 0;
    this.seconds = state.seconds;
    this.prompt = state.prompt;
    this.seed = state.seed;
    this.settings = state.settings;
    this.#take(state);
    this.words = [];
    this.strips = [];
    this.ready = 0;
    this.letter = letter(count++);
    this.quiet = !this.live; // what is over is not announced again
    this.turn = Promise.resolve();
    stories.set(this.id, this);
    this.#tell('new');
    this.#listen();
  }

  get live() {
    return ['waiting', 'filming'].includes(this.status);
  }

  /** Frames that it has, or is going to have. */
  get length() {
    return this.live ? frameOf(chunksOf(this.seconds)) : this.ready;
  }

  get title() {
    if (!this.parent) return this.prompt || 'Without a prompt';
    const at = seconds(timeOf(this.fork));
    const word = this.words[this.fork];
    if (!word) return `Another future from ${at}`;
    if (!word.told) return `Left to write from ${at}`;
    return word.text
      ? `“${word.text}” at ${at}` : `Told to say nothing at ${at}`;
  }

  /** What became of it, or how far it is. */
  get progress() {
    const time = seconds(this.ready / model.rate);
    switch (this.status) {
      case 'waiting':
        return this.position > 1 ? `Place ${this.position} in line` : 'Next';
      case 'filming': {
        const filmed = Math.max(0, chunkOf(this.ready) - 1);
        return `Filmed ${filmed} of ${chunksOf(this.seconds) - 1}`;
      }
      case 'finished':
        return this.reason === 'eos' ? `The model ended it at ${time}` : time;
      case 'cancelled': return `Cancelled at ${time}`;
      case 'gone': return 'The server no longer has it';
      default: return `Failed: ${this.error}`;
    }
  }

  /** Draws a frame, or the last one that there is before it. */
  draw(canvas, frame) {
    const last = Math.min(frame, this.ready - 1);
    if (last < 0) return;
    const {width, height} = model.size;
    const chunk = chunkOf(last);
    const context = canvas.getContext('2d');
    context.imageSmoothingEnabled = canvas.width !== width; // no pixel changes
    context.imageSmoothingQuality = 'high';
    context.drawImage(
      this.strips[chunk], (last - frameOf(chunk)) * width, 0, width, height,
      0, 0, canvas.width, canvas.height);
  }

  async cancel() {
    try {
      await call('DELETE', `/api/stories/${this.id}`);
    } catch (error) {
      if (error.status !== 404) fault(error);
    }
  }

  /** Takes it out of view; what nobody watches is not filmed either. */
  remove() {
    if (this.live) this.cancel();
    this.#close();
    stories.delete(this.id);
    this.#tell('removed');
  }

  /** Follows it as long as it goes on, or stands in line for a stream. */
  #listen() {
    if (streams >= STREAMS) {
      line.push(this);
      return;
    }
    streams++;
    this.source = new EventSource(`/api/stories/${this.id}/events`);
    this.source.onopen = () => offline(false);
    this.source.onerror = () => this.#lost();
    const on = (kind, act, last) =>
      this.source.addEventListener(kind, (event) => {
        const data = JSON.parse(event.data);
        if (last) this.#close();
        // One after the other: a picture takes a moment to be decoded.
        this.turn = this.turn.then(async () => {
          await act(data);
          this.#changed(kind, data);
        }).catch(fault);
      });
    on('queued', ({position}) => {
      this.status = position ? 'waiting' : 'filming';
      this.position = position;
    });
    on('wrote', ({chunk, text, told, shared}) => {
      this.words[chunk] = {text, told, shared};
    });
    on('filmed', async ({chunk, strip}) => {
      const image = new Image();
      image.src = strip;
      await image.decode();
      this.strips[chunk] = image;
      this.ready = frameOf(chunk + 1);
    });
    on('ended', (data) => this.#take({status: 'finished', ...data}), true);
    on('cancelled', () => this.#take({status: 'cancelled'}), true);
    on('failed', (data) => this.#take({status: 'failed', ...data}), true);
  }

  #take({status, position, reason, error}) {
    Object.assign(this, {status, position, reason, error});
  }

  #changed(kind, {chunk, shared}) {
    this.#tell(kind, chunk);
    if (this.quiet || shared) return;
    const word = this.words[chunk]?.text;
    announce([
      `Story ${this.letter}.`,
      word ? `${seconds(timeOf(chunk))}: ${word}.` : '',
      kind === 'ended' ? `Finished: ${this.progress}.` : `${this.progress}.`,
    ].filter(Boolean).join(' '));
  }

  #tell(kind, chunk) {
    for (const listener of listeners) listener(this, kind, chunk);
  }

  #close() {
    line = line.filter((story) => story !== this);
    if (!this.source) return;
    this.source.close();
    this.source = null;
    streams--;
    line.shift()?.#listen();
  }

  /** The stream broke off: the browser tries again unless it was refused. */
  async #lost() {
    if (this.source?.readyState !== EventSource.CLOSED) {
      offline(true);
      return;
    }
    this.#close();
    await this.#look();
    if (this.live && stories.has(this.id)) {
      setTimeout(() => stories.has(this.id) && this.#listen(), 1000);
    }
  }

  /** Asks how it is; the server films only what somebody looks at. */
  async #look() {
    try {
      this.#take(await call('GET', `/api/stories/${this.id}`));
    } catch (error) {
      if (error.gone) offline(true);
      else this.status = 'gone';
    }
    this.#tell('looked');
  }

  static {
    setInterval(() => {
      for (const story of line) if (story.live) story.#look();
    }, LOOK);
  }
}

/** A, B, … Z, AA: what a story is called beside another. */
function letter(number) {
  const last = String.fromCharCode(65 + (number % 26));
  return number < 26 ? last : letter(Math.floor(number / 26) - 1) + last;
}
