/**
 * @file The server: how it is asked, what it films with, and how its chunks,
 * frames and seconds hang together. Chunk 0 is the first frame; every later
 * chunk has as many frames as the model films at once.
 */

import {offline} from './page.js';

/** What the server tells once, at the start: `GET /api/model`. */
export let model;

/** Asks for the model; nothing else of this file works before. */
export async function load() {
  model = await call('GET', '/api/model');
}

/** Frames before a chunk; also how many frames so many chunks have. */
export const frameOf = (chunk) =>
  chunk < 1 ? 0 : 1 + (chunk - 1) * model.chunk_frames;

/** The chunk that a frame is of. */
export const chunkOf = (frame) =>
  frame < 1 ? 0 : 1 + Math.floor((frame - 1) / model.chunk_frames);

/** Seconds into the story at which a chunk begins. */
export const timeOf = (chunk) => frameOf(chunk) / model.rate;

/** Chunks, the first frame among them, of a story of so many seconds. */
export const chunksOf = (time) =>
  1 + Math.max(1, Math.round((time * model.rate - 1) / model.chunk_frames));

/**
 * The server's answer.
 *
 * Throws an Error in the server's own words where it declines, with its
 * `status`; and one that is `gone` where there is no server.
 */
export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      body: body && JSON.stringify(body),
      headers: body && {'Content-Type': 'application/json'},
    });
  } catch {
    const error = new Error(
      'The studio’s server does not answer. Is it still running?');
    throw Object.assign(error, {gone: true});
  }
  offline(false);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const said = await answer.json().catch(() => ({}));
  const error = new Error(
    said.error ?? `${path}: ${answer.status} ${answer.statusText}`);
  throw Object.assign(error, {status: answer.status});
}
