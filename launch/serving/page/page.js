/**
 * @file The page's parts by name, and the places in which it speaks up: what
 * went wrong, whether the server is there, and how far a film is for those who
 * listen instead of look.
 */

export const $ = (id) => document.getElementById(id);

/** A fresh copy of what a template holds. */
export const piece = (id) => $(id).content.firstElementChild.cloneNode(true);

/** Nothing may move by itself. */
export const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** Everything stands in one column; as in the style sheet. */
export const narrow = matchMedia('(max-width: 900px)');

/** A time as it is read: `1.9 s`. */
export const seconds = (time) => `${time.toFixed(1)} s`;

/** Shows in plain words what went wrong, until it is dismissed. */
export function fault(error) {
  const note = piece('fault');
  note.querySelector('span').textContent = error.message;
  note.querySelector('button').onclick = () => note.remove();
  $('alert').replaceChildren(note);
}

/** Whatever went wrong before is settled. */
export const settled = () => $('alert').replaceChildren();

/** Says that the server is gone, or no longer. */
export function offline(gone) {
  $('offline').textContent =
    gone ? 'The studio’s server does not answer; trying again.' : '';
}

let saying = null;

/** Tells those who listen; of what comes within a second the newest is said. */
export function announce(text) {
  if (saying === null) {
    setTimeout(() => {
      $('live').textContent = saying;
      saying = null;
    }, 1000);
  }
  saying = text;
}
