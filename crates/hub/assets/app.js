// What a page gains from scripts: keys, live jobs, a schedule's next runs, copying.
// Every page reads and every form works without it.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Keys. `g` and a letter goes somewhere; never while someone types.
const places = {
  h: "/", k: "/search", d: "/documents", s: "/sources", j: "/jobs", x: "/dead-letters",
  p: "/projects", u: "/users", t: "/tokens", a: "/audit",
};
let pending = "";
let row = -1;

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function select(step) {
  const rows = $$("tbody tr, .results > li");
  if (rows.length === 0) return;
  rows[row]?.classList.remove("at");
  row = Math.min(Math.max(row + step, 0), rows.length - 1);
  rows[row].classList.add("at");
  rows[row].scrollIntoView({ block: "nearest" });
  $("a", rows[row])?.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (pending === "g") {
    pending = "";
    if (places[event.key]) { event.preventDefault(); location.assign(places[event.key]); }
    return;
  }
  switch (event.key) {
    case "g": pending = "g"; setTimeout(() => { pending = ""; }, 1500); return;
    case "j": select(1); break;
    case "k": select(-1); break;
    case "/": {
      const box = $("[data-search]");
      if (box) { box.focus(); box.select(); } else location.assign("/search");
      break;
    }
    case "?": $("#keys")?.showModal?.(); break;
    default: return;
  }
  event.preventDefault();
});

// A button beside a secret or an id that copies it; shown only where it can work.
for (const button of $$("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText($(button.dataset.copy).textContent.trim());
    say("Copied");
  });
}

function say(text) {
  const region = $("#live");
  if (region) region.textContent = text;
}

// Live jobs: rows and the detail page follow the stream of changes.
const live = $("[data-live-jobs]");
if (live) {
  const stream = new EventSource(live.dataset.liveJobs);
  stream.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    for (const part of $$(`[data-job="${job.id}"]`)) show(part, job);
    const fresh = $("#fresh-jobs");
    if (fresh && belongs(fresh.dataset, job)) fresh.hidden = false;
  });
  stream.addEventListener("open", () => say("Live"));
  // A refusal ends the stream for good; only what broke off comes back by itself.
  stream.addEventListener("error", () => say(stream.readyState === EventSource.CLOSED
    ? "Live updates have ended: load the page again" : "Reconnecting"));
  addEventListener("pagehide", () => stream.close());
}

// Whether a list with these filters would show the job above all that it shows: ids grow with time.
function belongs(filter, job) {
  const newest = $("tbody [data-job]")?.dataset.job ?? "";
  const same = (asked, value) => !asked || asked === value;
  return job.id > newest && same(filter.state, job.state) && same(filter.kind, job.kind)
    && same(filter.project, job.project) && same(filter.source, job.source_id);
}

const finals = ["done", "dead", "cancelled"];

function show(part, job) {
  for (const field of $$("[data-field]", part)) {
    switch (field.dataset.field) {
      case "state": badge(field, job.state); break;
      case "progress":
        if (job.progress === null) field.removeAttribute("value");
        else field.value = job.progress;
        field.hidden = job.state !== "running";
        break;
      case "progress_text": field.textContent = job.progress_text; break;
      case "attempt": field.textContent = job.attempt; break;
      case "last_error": field.textContent = job.last_error; break;
    }
  }
  const settled = finals.includes(job.state) !== finals.includes(part.dataset.state);
  part.dataset.state = job.state;
  // The attempts and the buttons change as it ends or begins anew: read the page again once.
  if (settled && part.dataset.reload !== undefined) location.reload();
}

const looks = {
  running: ["busy", "▸"], queued: ["calm", "○"], done: ["good", "✓"], dead: ["bad", "✕"],
  cancelled: ["calm", "‖"],
};

function badge(field, state) {
  const [look, icon] = looks[state] ?? ["calm", "·"];
  const span = document.createElement("span");
  span.className = `badge ${look}`;
  const sign = document.createElement("span");
  sign.ariaHidden = "true";
  sign.textContent = icon;
  span.append(sign, ` ${state}`);
  field.replaceChildren(span);
}

// What only some pages need.
if ($("[data-live], [data-poll]")) import("/assets/live.js");
if ($("[data-log]")) import("/assets/log.js");

// A schedule in words while it is typed.
const preview = $("#schedule-preview");
if (preview) {
  const inputs = ["schedule", "zone"].map((name) => $(`[name="${name}"]`));
  let timer = 0;
  const explain = async () => {
    const [expression, zone] = inputs.map((input) => input.value.trim());
    const answer = await fetch(`/sources/schedule?${new URLSearchParams({ expression, zone })}`);
    if (answer.ok) preview.textContent = await answer.text();
  };
  for (const input of inputs) {
    input?.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(explain, 300); });
  }
}
