// Keeps pages current, shows times in the viewer's zone, and hears keys. Pages work without it.

const live = document.getElementById("live");
const pause = document.getElementById("pause");
const interval = Number(document.body.dataset.refresh ?? 0);
let paused = false;
let busy = false;

// Times.

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function span(ms) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [size, name] = units[at];
  const whole = Math.floor(seconds / size);
  const next = units[at + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return whole < 10 && rest > 0 ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
}

function times(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const utc = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    if ("ago" in time.dataset) {
      time.title = `${clock.format(at)} · ${utc}`;
    } else {
      time.title = utc;
      time.textContent = clock.format(at);
    }
  }
}

// Takes over what has changed, and leaves everything else as it is: focus, selection, what is open and what is typed.

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key || "" : "";
}

function same(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && key(one) === key(other);
}

function isUsed(element) {
  return element === document.activeElement || (element.type !== "hidden" && "value" in element && element.value !== element.defaultValue);
}

function morph(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE || old.isEqualNode(fresh)) return;
  if (old.matches("input, select, textarea") && isUsed(old)) return;
  for (const { name, value } of [...fresh.attributes]) {
    if (!(name === "open" && old.nodeName === "DETAILS") && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  children(old, fresh);
}

function children(old, fresh) {
  const keyed = new Map([...old.children].filter((child) => key(child)).map((child) => [key(child), child]));
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const its = key(wanted) && keyed.get(key(wanted));
    if (its && its.nodeName === wanted.nodeName) {
      if (its === at) at = at.nextSibling;
      else old.insertBefore(its, at);
      morph(its, wanted);
    } else if (at && same(at, wanted)) {
      const next = at.nextSibling;
      morph(at, wanted);
      at = next;
    } else {
      old.insertBefore(document.importNode(wanted, true), at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

async function refresh() {
  if (busy || paused || document.hidden || document.querySelector("dialog[open]")) return;
  busy = true;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (response.redirected && new URL(response.url).pathname === "/login") {
      stop("Logged out. Load the page again to log in.");
      return;
    }
    if (!response.ok) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    times(fresh);
    const focused = document.activeElement;
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const its = fresh.getElementById(part.id);
      if (its) morph(part, its);
    }
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    tell("live", "ok");
  } catch {
    tell("The broker does not answer. Trying again.", "bad");
  } finally {
    busy = false;
  }
}

function tell(words, kind) {
  if (live && live.textContent !== words) live.textContent = words;
  if (live) live.dataset.kind = kind;
}

let timer = 0;

function stop(words) {
  clearInterval(timer);
  if (live) live.setAttribute("aria-live", "polite");
  tell(words, "bad");
}

function toggle() {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  tell(paused ? "paused" : "live", paused ? "quiet" : "ok");
  if (!paused) refresh();
}

// What comes in, live.

const ROWS_MAX = 200;
const shown = document.getElementById("tail");

// What cannot be seen, or turns text around, as the pages write it.
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (it) => (it === "\n" ? "\\n" : it === "\t" ? "\\t" : it === "\r" ? "\\r" : `\\u{${it.codePointAt(0).toString(16)}}`));
}

function cell(row, text, kind) {
  const made = row.insertCell();
  if (kind) made.className = kind;
  const name = made.appendChild(document.createElement("bdi"));
  name.className = "name";
  name.textContent = visible(text);
}

function tail(source) {
  const state = document.getElementById("tail-state");
  const say = (words) => (state.textContent = words);
  const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  let [came, missed, ended] = [0, 0, false];
  const count = () => say(`${came} came${missed ? `, ${missed} left out` : ""}.`);
  source.addEventListener("error", () => ended || say(source.readyState === EventSource.CLOSED ? "This cannot be looked at, or not now." : "The broker does not answer. Trying again."));
  on("begin", () => say("Waiting for messages."));
  on("missed", (its) => {
    missed += its.sampled_out + its.lost;
    count();
  });
  on("end", (its) => {
    ended = true;
    source.close();
    say(`It is over: ${its.reason}.`);
  });
  on("message", (its) => {
    came += 1;
    count();
    if (paused) return;
    const row = shown.insertRow(0);
    cell(row, clock.format(its.at), "when");
    cell(row, its.exchange || "(default)");
    cell(row, its.routing_key);
    cell(row, its.payload_bytes.toLocaleString("en"), "number");
    cell(row, its.payload_encoding === "string" ? its.payload : "(no text)", "mono");
    while (shown.rows.length > ROWS_MAX) shown.deleteRow(-1);
  });
}

// Keys.

const places = { o: "/", q: "/queues", e: "/exchanges", c: "/connections" };
let went = false;

function hear(event) {
  const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const help = document.getElementById("help");
  if (went && places[event.key]) {
    location.href = places[event.key];
  } else if (event.key === "/") {
    const field = document.getElementById("search");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    } else {
      location.href = "/queues";
    }
  } else if (event.key === "?" && help && !help.open) {
    help.showModal();
  } else if (event.key === "p" && pause) {
    toggle();
  }
  went = event.key === "g";
}

times(document);
document.addEventListener("keydown", hear);
const from = document.querySelector("[data-tail]")?.dataset.tail;
const refreshes = interval && document.querySelector("[data-live]");
if (from) tail(new EventSource(from));
if (from || refreshes) {
  pause.hidden = false;
  pause.addEventListener("click", toggle);
  tell("live", "ok");
}
if (refreshes) {
  timer = setInterval(refresh, interval);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
}
