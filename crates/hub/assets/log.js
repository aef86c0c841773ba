// A log that is followed. Records come by a stream that resumes where it broke off, are drawn some
// times a second, and only the newest stay: neither time nor memory of the page grow with the log.

const LINES_MAX = 2_000;
const CHARACTERS_MAX = 16_384;
const DRAW_INTERVAL_MS = 100;
// Rows in one frame: what is left is drawn in the next ones, so that the page stays at hand.
const DRAWN_MAX = 250;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;
const LOOKS = 6;

const log = document.querySelector("#log");
const state = document.querySelector("#log-state");
const button = document.querySelector("#log-follow");
const more = document.querySelector("#log-new");
const { needle, page } = log.dataset;

let last = log.dataset.last;
let following = true;
// Records as they came that are not drawn yet, oldest first; at most as many as the page may hold.
let waiting = [];
let skipped = 0;
let stale = false;
let planned = false;
// The look of each service that was named.
const looks = new Map();
// The newest number of each service: what came before is not drawn again.
const seen = new Map();
for (const line of log.children) note(line.id);

function note(id) {
  const colon = id.lastIndexOf(":");
  const [service, sequence] = [id.slice(0, colon), Number(id.slice(colon + 1))];
  if (sequence === 0) return true;
  if (sequence <= (seen.get(service) ?? 0)) return false;
  seen.set(service, sequence);
  return true;
}

// Following.

function take(data, cursor) {
  if (cursor) last = cursor;
  // A long line would fill the memory while it waits.
  waiting.push(data.length > CHARACTERS_MAX * 2 ? JSON.stringify(cut(JSON.parse(data))) : data);
  if (waiting.length > LINES_MAX * 2) drop();
  plan();
}

// What would leave the page at once need not be drawn at all; nor may what is drawn stay then, as
// there would be a hole between.
function drop() {
  skipped += waiting.length - LINES_MAX;
  waiting = waiting.slice(-LINES_MAX);
  stale = true;
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
  // How high a line is shows only when it is seen.
  requestAnimationFrame(() => { if (following) log.scrollTop = log.scrollHeight; });
}

function cut(record) {
  if (record.text?.length > CHARACTERS_MAX) {
    record.text = record.text.slice(0, CHARACTERS_MAX);
    record.cut = true;
  }
  return record;
}

function plan() {
  if (planned) return;
  planned = true;
  // A page that nobody sees draws nothing: what waits is bounded, and drawn when it is seen.
  setTimeout(() => requestAnimationFrame(draw), waiting.length > DRAWN_MAX ? 0 : DRAW_INTERVAL_MS);
}

function draw() {
  planned = false;
  if (!following) { tell(); return; }
  if (waiting.length > LINES_MAX) drop();
  if (stale) {
    skipped += log.childElementCount;
    log.replaceChildren();
    stale = false;
  }
  const rows = [];
  for (const data of waiting.splice(0, DRAWN_MAX)) {
    const record = cut(JSON.parse(data));
    if (note(`${record.service}:${record.sequence}`)) rows.push(row(record));
  }
  const over = log.childElementCount + rows.length - LINES_MAX;
  for (let n = 0; n < over; n += 1) log.firstElementChild.remove();
  skipped += Math.max(over, 0);
  log.append(...rows);
  toEnd();
  tell();
  if (waiting.length > 0) plan();
}

function tell() {
  const older = skipped > 0 ? ` ${skipped.toLocaleString("en")} older ones are not on this page; the log has them.` : "";
  state.textContent = `${log.childElementCount.toLocaleString("en")} records${following ? ", live" : ", paused"}.${older}`;
  const news = waiting.length >= LINES_MAX ? `${LINES_MAX.toLocaleString("en")} and more` : waiting.length;
  more.hidden = following || waiting.length === 0;
  more.textContent = `${news} new lines ↓`;
  button.setAttribute("aria-pressed", String(following));
  document.querySelector("#log-empty")?.remove();
}

function pause(paused) {
  following = !paused;
  if (following) { toEnd(); plan(); }
  tell();
}

const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 8;
let top = log.scrollTop;
log.addEventListener("scroll", () => {
  const up = log.scrollTop < top;
  top = log.scrollTop;
  // Only a person scrolls up; drawing scrolls down, and trimming does not move what is seen.
  if (following && up && !atEnd()) pause(true);
  else if (!following && atEnd()) pause(false);
}, { passive: true });
button.addEventListener("click", () => pause(following));
more.addEventListener("click", () => pause(false));
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "f" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) pause(following);
});
button.hidden = false;
toEnd();
tell();
connect(RETRY_MS_MIN);

function connect(retry) {
  const after = last ? `&after=${encodeURIComponent(last)}` : "";
  const stream = new EventSource(log.dataset.log + after);
  stream.addEventListener("open", () => { retry = RETRY_MS_MIN; });
  stream.addEventListener("record", (event) => take(event.data, event.lastEventId));
  stream.addEventListener("problem", (event) => {
    document.querySelector("#live").textContent = JSON.parse(event.data).detail;
  });
  stream.addEventListener("error", () => {
    // What broke off comes back by itself and says where it was; a refusal ends the stream.
    if (stream.readyState !== EventSource.CLOSED) return;
    setTimeout(() => connect(Math.min(retry * 2, RETRY_MS_MAX)), retry);
  });
  addEventListener("pagehide", () => stream.close(), { once: true });
}

// Drawing: the same as the server draws, and like there nothing of a line is ever read as markup.

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function row(record) {
  const item = element("li", record.kind === "line" ? `line ${record.level} ${record.stream}` : "event");
  item.id = `${record.service}:${record.sequence}`;
  const time = element("time", "", record.at ? new Date(record.at).toISOString().slice(11, 23) : "–");
  if (record.at) time.dateTime = record.at;
  const at = element("a", "at", time);
  at.href = `${page}&at=${encodeURIComponent(record.cursor)}#${item.id}`;
  const text = element("span", "text");
  switch (record.kind) {
    case "line":
      colour(text, record.text);
      if (record.truncated || record.cut) text.append(" ", element("em", "", "(cut)"));
      break;
    case "mark": text.append(`— ${record.event} ${record.text}`); break;
    case "gap":
      text.append(`⚠ ${record.lines > 0 ? `${record.lines} lines` : "lines"} are missing: ${record.reason}`);
      break;
    default: text.append(`… ${record.records} records behind`);
  }
  item.append(at, " ", element("span", `svc s-${look(record.service)}`, record.service), " ", text);
  return item;
}

function look(service) {
  if (!looks.has(service)) {
    let sum = 0;
    for (const byte of new TextEncoder().encode(service)) sum = (sum * 31 + byte) % 997;
    looks.set(service, sum % LOOKS);
  }
  return looks.get(service);
}

// A colour, or anything else that a terminal would obey.
const SEQUENCE = /\x1b\[([0-?]*[ -/]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[^@-~]*$|\x1b./gsu;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/gu;

function colour(into, line) {
  if (!line.includes("\x1b") && !line.includes("\r")) { part(into, line, {}); return; }
  const kept = line.replace(/\r+$/u, "");
  const text = kept.slice(kept.lastIndexOf("\r") + 1);
  let style = {};
  let from = 0;
  for (const match of text.matchAll(SEQUENCE)) {
    part(into, text.slice(from, match.index), style);
    from = match.index + match[0].length;
    if (match[2] === "m") style = restyle(style, match[1]);
  }
  part(into, text.slice(from), style);
}

function restyle(style, codes) {
  let next = { ...style };
  const queue = codes.split(";").map(Number);
  while (queue.length > 0) {
    const code = queue.shift();
    if (code === 0) next = {};
    else if (code === 1) next.bold = "bold";
    else if (code === 2) next.dim = "dim";
    else if (code === 3) next.italic = "italic";
    else if (code === 4) next.underline = "underline";
    else if (code === 22) { delete next.bold; delete next.dim; }
    else if (code === 23) delete next.italic;
    else if (code === 24) delete next.underline;
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) next.fore = `fg-${code % 10}`;
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) next.back = `bg-${code % 10}`;
    else if (code === 39) delete next.fore;
    else if (code === 49) delete next.back;
    else if (code === 38 || code === 48) {
      const [place, name] = code === 38 ? ["fore", "fg"] : ["back", "bg"];
      const kind = queue.shift();
      const shown = kind === 5 ? queue.shift() : queue.splice(0, kind === 2 ? 3 : 0) && 256;
      if (shown < 16) next[place] = `${name}-${shown % 8}`; else delete next[place];
    }
  }
  return next;
}

function part(into, text, style) {
  const shown = text.replace(CONTROL, "");
  if (shown === "") return;
  const classes = Object.values(style).join(" ");
  const target = classes ? into.appendChild(element("span", classes)) : into;
  if (!needle) { target.append(shown); return; }
  shown.split(needle).forEach((piece, place) => {
    if (place > 0) target.append(element("mark", "", needle));
    target.append(piece);
  });
}

// What is shown, as a file.
document.querySelector("#log-download").addEventListener("click", (event) => {
  event.preventDefault();
  const lines = [...log.children].map((item) =>
    `${item.querySelector("time")?.dateTime ?? ""} `
    + `${item.querySelector(".svc").textContent} ${item.querySelector(".text").textContent}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, { type: "text/plain" }));
  link.download = log.dataset.file;
  link.click();
  URL.revokeObjectURL(link.href);
});
