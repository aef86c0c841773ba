// Parts of a page that follow what happens: a stream or a clock says when, the server's own page
// says what. A part that has not changed is left alone.

const REFRESH_MS_MIN = 400;
const RETRY_MS_MAX = 30_000;

const say = (text) => { document.querySelector("#live").textContent = text; };

let running = false;
let wanted = false;

async function refresh() {
  wanted = true;
  if (running) return;
  running = true;
  while (wanted) {
    wanted = false;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      // Whoever is signed out is led to sign in.
      if (answer.redirected) { location.reload(); return; }
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      say("Reconnecting");
    }
    await new Promise((done) => setTimeout(done, REFRESH_MS_MIN));
  }
  running = false;
}

function swap(fresh) {
  const parts = (root) => [...root.querySelectorAll("[data-part]")];
  const [old, now] = [parts(document), parts(fresh)];
  const names = (list) => list.map((part) => part.dataset.part).join();
  // Services came or went.
  if (names(old) !== names(now)) { location.reload(); return; }
  const focus = document.activeElement?.id;
  old.forEach((part, place) => {
    const next = now[place];
    for (const open of part.querySelectorAll("details[open][id]")) {
      next.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
    }
    if (next.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(next));
  });
  if (focus && document.activeElement?.id !== focus) document.getElementById(focus)?.focus();
}

const live = document.querySelector("[data-live]");
if (live) follow(live.dataset.live, live.dataset.event, 1_000);

function follow(address, name, retry) {
  const stream = new EventSource(address);
  stream.addEventListener("open", () => { retry = 1_000; say("Live"); });
  stream.addEventListener(name, (event) => {
    const { state } = JSON.parse(event.data);
    // An operation that has ended changes no more.
    if (state !== undefined && state !== "running") stream.close();
    refresh();
  });
  stream.addEventListener("error", () => {
    say("Reconnecting");
    if (stream.readyState !== EventSource.CLOSED) return;
    // It was refused: the server may be starting.
    setTimeout(() => follow(address, name, Math.min(retry * 2, RETRY_MS_MAX)), retry);
  });
  addEventListener("pagehide", () => stream.close());
}

const clock = document.querySelector("[data-poll]");
if (clock) setInterval(() => { if (!document.hidden) refresh(); }, Number(clock.dataset.poll));
