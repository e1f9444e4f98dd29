// The dashboard: badges and the newest messages, live over /ws. Plain DOM: what a caller chose is only ever textContent.

const SHOWN = 50;
const RELOAD_MS = 30 * 60 * 1000; // links to audio end after an hour
const LONGEST_WAIT_MS = 30_000;

const element = (id) => document.getElementById(id);
const here = (path) => new URL(path, document.baseURI);

let token = takeToken();
let socket = null;
let seq = null; // the journal's position that this page is at
let total = 0;
let retries = 0;
let timer = 0;
let loading = null;
const badges = new Map(); // "100@default" -> {new, urgent, ...}
const messages = new Map(); // id -> message
const rows = new Map(); // id -> what shows it

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem("token");
}

// ---- what is shown

function showTotal() {
  const unread = total === 1 ? "1 unread message" : `${total} unread messages`;
  element("total").textContent = unread;
  element("total").classList.toggle("some", total > 0);
  document.title = total > 0 ? `(${total}) Voicemail` : "Voicemail";
}

function showBadges() {
  const names = [...badges.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  element("mailboxes").replaceChildren(
    ...names.map((name) => {
      const counts = badges.get(name);
      const badge = made("span", "badge", String(counts.new));
      badge.classList.toggle("some", counts.new > 0);
      badge.title = `${counts.new} unread, ${counts.urgent} of them urgent; ${counts.old} old, ${counts.saved} saved`;
      badge.setAttribute("aria-label", `${counts.new} unread`);
      const item = made("li");
      item.append(made("span", "", name.replace(/@default$/, "")), badge);
      return item;
    }),
  );
}

function showMessages() {
  const newest = [...messages.values()].sort(
    (a, b) => b.date_time.localeCompare(a.date_time) || b.id - a.id,
  );
  for (const dropped of newest.slice(SHOWN)) messages.delete(dropped.id);
  const shown = newest.slice(0, SHOWN);
  for (const id of [...rows.keys()]) {
    if (!messages.has(id)) {
      rows.get(id).item.remove();
      rows.delete(id);
    }
  }
  const list = element("messages");
  shown.forEach((message, place) => {
    const row = rows.get(message.id) ?? addRow(message.id);
    fill(row, message);
    if (list.children[place] !== row.item) list.insertBefore(row.item, list.children[place] ?? null);
  });
  element("none").hidden = shown.length > 0;
}

function addRow(id) {
  const row = {
    item: made("li"),
    who: made("div", "who"),
    what: made("div", "what"),
    actions: made("div", "actions"),
    button: made("button", "", "Mark as read"),
    audio: made("audio"),
  };
  row.button.type = "button";
  row.button.addEventListener("click", () => markRead(id));
  row.audio.controls = true;
  row.audio.preload = "none";
  row.item.append(row.who, row.what, row.actions, row.audio);
  rows.set(id, row);
  return row;
}

function fill(row, message) {
  const unread = message.status.number === 1;
  const caller = callerOf(message);
  const about = `from ${caller} to ${message.dst}, ${message.date_time}`;
  row.item.className = unread ? "unread" : "read";
  row.who.textContent = caller;
  row.what.textContent =
    `${message.date_time} · to ${message.dst} · ${lengthOf(message.duration)}` +
    (message.urgent ? " · urgent" : "") + (unread ? "" : " · read");
  row.button.setAttribute("aria-label", `Mark as read: message ${about}`);
  if (unread && !row.button.isConnected) row.actions.append(row.button);
  if (!unread) row.button.remove();
  row.audio.setAttribute("aria-label", `Play message ${about}`);
  row.audio.hidden = message.recorded_file_url === null;
  // A new link to the same audio must not stop what is being played.
  if (message.recorded_file_url !== null && row.audio.paused && row.audio.src !== message.recorded_file_url) {
    row.audio.src = message.recorded_file_url;
  }
}

function callerOf(message) {
  const number = message.src || "unknown number";
  return message.caller_id_name ? `${message.caller_id_name} (${number})` : number;
}

function lengthOf(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function made(name, className = "", text = "") {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function complain(text) {
  element("problem").textContent = text;
  element("problem").hidden = text === "";
}

// ---- what is asked

async function ask(path, method = "GET") {
  const response = await fetch(here(path), { method, headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (response.status === 401) signOut(answer.message ?? "The token is not accepted.");
  throw new Error(answer.message ?? `The answer was ${response.status}.`);
}

function load() {
  loading ??= loadNewest().finally(() => { loading = null; });
  return loading;
}

async function loadNewest() {
  const asked = token;
  try {
    const { data } = await ask(`message-voice?sort=-datetime&per_page=${SHOWN}`);
    if (asked !== token) return;
    const known = new Map(messages);
    messages.clear();
    for (const message of data) messages.set(message.id, { ...known.get(message.id), ...message });
    showMessages();
  } catch (error) {
    if (token) complain(error.message);
  }
}

async function markRead(id) {
  const { button } = rows.get(id);
  button.disabled = true;
  try {
    await ask(`message-voice/${id}/mark-as-a-read`, "POST");
    complain("");
    const message = messages.get(id);
    if (message) messages.set(id, { ...message, status: { number: 2, name: "Read" } });
    showMessages();
  } catch (error) {
    if (token) complain(error.message);
  } finally {
    button.disabled = false;
  }
}

// ---- what is heard

function connect() {
  const address = here("ws");
  address.protocol = address.protocol.replace("http", "ws");
  if (seq !== null) address.searchParams.set("since", seq);
  const opened = new WebSocket(address, ["voicemaild.v1", `bearer.${token}`]);
  socket = opened;
  opened.addEventListener("message", (event) => {
    if (socket === opened) hear(JSON.parse(event.data));
  });
  opened.addEventListener("close", (event) => {
    if (socket === opened) lost(event);
  });
}

function hear(frame) {
  retries = 0;
  element("link").textContent = "live";
  if (frame.type === "reset") {
    seq = null;
  } else if (frame.type === "hello") {
    greet(frame);
  } else if (frame.type === "unread") {
    badges.set(frame.mailbox, frame);
    total = frame.total;
    showBadges();
    showTotal();
  } else if (frame.type?.startsWith("message.")) {
    change(frame.type, frame.message);
  }
  // What follows a hello after `since` is older than its position: go by the last record, once they have come.
  if (typeof frame.seq === "number") seq = Math.max(seq ?? 0, frame.seq);
}

function greet(frame) {
  badges.clear();
  for (const [name, counts] of Object.entries(frame.unread.mailboxes)) badges.set(name, counts);
  total = frame.unread.total;
  showBadges();
  showTotal();
  complain("");
  load();
}

async function change(type, message) {
  await loading; // an answer that was asked for before must not undo this
  if (type === "message.deleted") messages.delete(message.id);
  else messages.set(message.id, message);
  showMessages();
}

function lost(event) {
  socket = null;
  if (event.code === 4401) {
    signOut("The token is no longer accepted.");
    return;
  }
  element("link").textContent = "reconnecting…";
  const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** retries) * (0.5 + Math.random() / 2);
  retries += 1;
  // The browser does not say why a connection was refused; an ordinary request does, and signs out on 401.
  timer = setTimeout(() => { ask("message-voice/unread-count").then(connect, () => { if (token) lost(event); }); }, wait);
}

// ---- signing in and out

function signIn() {
  element("sign-in").hidden = true;
  element("signed-in").hidden = false;
  element("total").hidden = false;
  element("sign-out").hidden = false;
  element("link").textContent = "connecting…";
  connect();
}

function signOut(reason) {
  token = null;
  seq = null;
  total = 0;
  sessionStorage.removeItem("token");
  clearTimeout(timer);
  socket?.close();
  socket = null;
  badges.clear();
  messages.clear();
  showBadges();
  showMessages();
  showTotal();
  element("link").textContent = "";
  for (const id of ["signed-in", "total", "sign-out"]) element(id).hidden = true;
  element("sign-in").hidden = false;
  element("token").value = "";
  complain(reason);
}

element("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  sessionStorage.setItem("token", token);
  complain("");
  ask("message-voice/unread-count").then(signIn, (error) => { if (token) signOut(error.message); });
});
element("sign-out").addEventListener("click", () => signOut(""));
window.addEventListener("hashchange", () => {
  const before = token;
  token = takeToken();
  if (token && token !== before) location.reload();
});
setInterval(() => { if (token) load(); }, RELOAD_MS);

if (token) signIn();
else signOut("");
