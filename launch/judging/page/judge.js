// Pairs of films in an order and on sides that each judge has for himself.
(() => {
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId('data').textContent);
const SIDES = ['left', 'tie', 'right'];
const LABELS = { left: 'Left', tie: 'Tie', right: 'Right' };
const KEYS = {
  1: 'left', ArrowLeft: 'left', 2: 'tie', ArrowDown: 'tie',
  3: 'right', ArrowRight: 'right',
};
const calm = matchMedia('(prefers-reduced-motion: reduce)');

// What is kept: answers by pair and question, comments by pair, the place.
let judge = '';
let kept = { answers: {}, comments: {}, place: 0 };
let order = [];

// FNV-1a over the letters, then the finaliser of MurmurHash3: 32 bits that
// depend on every letter.
function drawn(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
const lot = (what, pair) => drawn(`${data.page}/${judge}/${what}/${pair}`);
const pairAt = () => order[kept.place];
function sides(pair) {
  const [one, other] = data.pairs[pair].films;
  return lot('side', pair) >>> 31 ? [other, one] : [one, other];
}

// Memory. A browser that keeps nothing says so.
const slot = () => `judging/${data.page}/${judge}`;
function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}
function keep() {
  try {
    localStorage.setItem(slot(), JSON.stringify(kept));
    localStorage.setItem(`judging/${data.page}`, JSON.stringify(judge));
  } catch {
    byId('trouble').textContent =
      'This browser keeps nothing: download your answers before you leave.';
  }
}

// Progress.
const answered = (pair) => data.pairs[pair].questions.every(
  (question) => kept.answers[pair]?.[question]);
function tell() {
  const done = order.filter(answered).length;
  byId('progress').max = order.length;
  byId('progress').value = done;
  byId('progress-text').textContent =
    `${done} of ${order.length} pairs answered`;
  byId('finished').hidden = done < order.length;
  byId('next').classList.toggle('primary', answered(pairAt()));
}

// A pair.
function said(list, words, lead = '') {
  list.replaceChildren(...words.map(({ begin, end, text }) => {
    const item = document.createElement('li');
    item.dataset.begin = begin;
    item.dataset.end = end;
    const time = `${begin.toFixed(1)}–${end.toFixed(1)} s`;
    item.textContent = `${lead}${time}: ${text || '(nothing)'}`;
    return item;
  }));
}
function asked(question) {
  const set = document.createElement('fieldset');
  set.dataset.question = question;
  set.setAttribute('role', 'radiogroup');
  set.tabIndex = -1; // Keys come to the question: no side of it is marked.
  const text = document.createElement('div');
  text.className = 'question';
  text.id = `question-${question}`;
  text.textContent = data.questions[question];
  set.setAttribute('aria-labelledby', text.id);
  const answers = document.createElement('div');
  answers.className = 'answers';
  for (const side of SIDES) {
    const label = document.createElement('label');
    const radio = document.createElement('input');
    radio.type = 'radio';
    radio.name = question;
    radio.value = side;
    radio.checked = kept.answers[pairAt()]?.[question] === side;
    radio.addEventListener('change', () => answer(question, side));
    label.append(radio, LABELS[side]);
    answers.append(label);
  }
  set.append(text, answers);
  return set;
}
function show(place) {
  kept.place = Math.max(0, Math.min(order.length - 1, place));
  const name = pairAt();
  const pair = data.pairs[name];
  const title = `Pair ${kept.place + 1} of ${order.length}`;
  byId('pair-title').textContent = title;
  byId('spoken').textContent = title;
  byId('prompt').textContent = pair.prompt && `“${pair.prompt}”`;
  said(byId('told'), pair.told, 'told at ');
  const shown = sides(name);
  films.load(shown.map((film) => data.films[film]), pair.shape, pair.seconds);
  keep();
  shown.forEach((film, index) => {
    said(byId(`words-${index}`), pair.words[film] ?? []);
  });
  byId('questions').replaceChildren(...pair.questions.map(asked));
  byId('comment').value = kept.comments[name] ?? '';
  byId('previous').disabled = kept.place === 0;
  tell();
  mark();
  films.play(!calm.matches);
}

// Answers.
const sets = () => [...document.querySelectorAll('#questions fieldset')];
const isOpen = (set) => !kept.answers[pairAt()]?.[set.dataset.question];
function current() {
  return document.activeElement.closest?.('#questions fieldset')
    ?? sets().find(isOpen);
}
function mark() {
  const now = current();
  for (const set of sets()) set.classList.toggle('current', set === now);
}
function answer(question, side) {
  (kept.answers[pairAt()] ??= {})[question] = side;
  keep();
  tell();
  mark();
}
function byKey(side) {
  const set = current();
  if (!set) return;
  set.querySelector(`[value=${side}]`).checked = true;
  answer(set.dataset.question, side);
  byId('spoken').textContent = LABELS[side];
  (sets()[sets().indexOf(set) + 1] ?? set).focus();
}
function turn(by) {
  if (by > 0 && kept.place === order.length - 1) {
    const left = order.findIndex((pair) => !answered(pair));
    if (left < 0) return byId('finished-title').focus();
    show(left);
  } else {
    show(kept.place + by);
  }
  byId('pair-title').focus();
}

// A file that spreadsheets read; `place` is where the judge met the pair.
function csv() {
  const rows = [['page', 'judge', 'pair', 'place', 'left', 'right',
    'question', 'answer']];
  order.forEach((pair, index) => {
    const head = [data.page, judge, pair, index + 1, ...sides(pair)];
    for (const question of data.pairs[pair].questions) {
      const given = kept.answers[pair]?.[question];
      if (given) rows.push([...head, question, given]);
    }
    const comment = kept.comments[pair]?.trim();
    if (comment) rows.push([...head, 'comment', comment]);
  });
  const cell = (value) => `"${String(value).replaceAll('"', '""')}"`;
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}
function download() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv()], { type: 'text/csv' }));
  const name = judge.replace(/[^a-z0-9]+/g, '-');
  link.download = `answers-${name}-${data.page}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Coming and going.
function begin(name) {
  judge = name.trim().replace(/\s+/g, ' ').toLowerCase();
  const missing = judge ? '' : 'Give a name: your answers are kept under it.';
  byId('begin-error').textContent = missing;
  if (missing) return byId('judge').focus();
  kept = recall(slot()) ?? { answers: {}, comments: {}, place: 0 };
  order = Object.keys(data.pairs).sort(
    (a, b) => lot('order', a) - lot('order', b) || a - b);
  enter(true);
  show(kept.place);
  byId('pair-title').focus();
}
function enter(inside) {
  byId('begin').hidden = inside;
  for (const id of ['pair', 'state', 'tools']) byId(id).hidden = !inside;
  if (!inside) byId('finished').hidden = true;
}
function leave() {
  films.play(false);
  judge = '';
  order = [];
  try {
    localStorage.removeItem(`judging/${data.page}`);
  } catch { /* There was nothing kept. */ }
  enter(false);
  byId('judge').value = '';
  byId('judge').focus();
}

function pressed(event) {
  const { key, target } = event;
  if (!judge || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches('textarea, input[type=text]')) {
    if (key === 'Escape') target.blur();
    return;
  }
  const ranged = target.matches('input[type=range]');
  if (ranged && /^(Arrow|Home|End|Page)/.test(key)) return;
  const set = current();
  if (KEYS[key]) byKey(KEYS[key]);
  else if (key === 'n') turn(1);
  else if (key === 'p') turn(-1);
  else if (key === ' ' && !target.matches('button')) films.toggle();
  else if (key === 'ArrowUp' && set) {
    sets()[Math.max(0, sets().indexOf(set) - 1)].focus();
  } else return;
  event.preventDefault();
}

document.addEventListener('keydown', pressed);
document.addEventListener('focusin', () => judge && mark());
byId('begin').addEventListener('submit', (event) => {
  event.preventDefault();
  begin(byId('judge').value);
});
byId('questions').addEventListener('submit', (event) => event.preventDefault());
byId('previous').addEventListener('click', () => turn(-1));
byId('next').addEventListener('click', () => turn(1));
byId('download').addEventListener('click', download);
byId('download-end').addEventListener('click', download);
byId('leave').addEventListener('click', leave);
byId('comment').addEventListener('input', (event) => {
  kept.comments[pairAt()] = event.target.value;
  keep();
});
const before = recall(`judging/${data.page}`);
if (before) begin(before);
})();
