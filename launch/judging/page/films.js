// Both films at one time, around and around.
const films = (() => {
const DRIFT = 0.05; // seconds that they may be apart
const byId = (id) => document.getElementById(id);
const videos = [byId('left'), byId('right')];
const [left, right] = videos;
let wanted = false; // Whether they shall play.
let length = 0; // seconds; 0: nothing is loaded

function load(sources, shape, seconds) {
  play(false);
  length = seconds;
  byId('position').max = seconds;
  byId('trouble').textContent = '';
  byId('pair').style.setProperty('--shape', shape);
  videos.forEach((video, index) => {
    video.src = sources[index];
  });
}
function seek(seconds) {
  for (const video of videos) video.currentTime = seconds;
}
function play(on) {
  wanted = on;
  byId('play').textContent = on ? 'Pause both' : 'Play both';
  for (const video of videos) {
    // A play that is cut short by the next film is no failure.
    if (on) video.play().catch(() => {});
    else video.pause();
  }
  if (!on && length) right.currentTime = left.currentTime;
}
const toggle = () => play(!wanted);
function again() {
  if (!wanted) return;
  seek(0);
  play(true);
}
function follow() {
  requestAnimationFrame(follow);
  if (!length) return;
  const seconds = left.currentTime;
  const apart = Math.abs(seconds - right.currentTime);
  const busy = videos.some((video) => video.seeking || video.ended);
  if (wanted && apart > DRIFT && !busy) right.currentTime = seconds;
  byId('position').value = seconds;
  const clock = `${seconds.toFixed(1)} / ${length.toFixed(1)} s`;
  if (byId('clock').textContent !== clock) {
    byId('clock').textContent = clock;
    byId('position').setAttribute('aria-valuetext', clock);
  }
  for (const item of document.querySelectorAll('li[data-begin]')) {
    item.classList.toggle('now',
      item.dataset.begin <= seconds && seconds < item.dataset.end);
  }
}

byId('play').addEventListener('click', toggle);
byId('position').addEventListener('input', (event) => {
  seek(Number(event.target.value));
});
for (const video of videos) {
  video.addEventListener('click', toggle);
  video.addEventListener('ended', again);
  video.addEventListener('error', () => {
    byId('trouble').textContent =
      `The ${video.id} film does not play here: try another browser.`;
  });
}
follow();
return { load, play, toggle };
})();
