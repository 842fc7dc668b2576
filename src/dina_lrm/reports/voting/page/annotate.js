"use strict";
// The page: who votes, what is shown, and which key or button says what. The next pairs are here before they are needed.

import {get, keepToken, post, Refused, savedWords} from "./api.js";
import {newId, Outbox} from "./outbox.js";
import {Pictures} from "./pictures.js";
import {showRanking} from "./ranking.js";
import {Zoom} from "./zoom.js";

const AHEAD = 4;
const find = id => document.getElementById(id);
const NAME = "dina-lrm:name";
const pictures = new Pictures();
const zoom = new Zoom(find("sides"), find("zoom"));

let collection = null, name = "", outbox = null;
let asks = [], shown = null, whole = false, since = 0, pressed = 0;
let history = [], votes = 0, times = [], more = "waiting", refilling = null, again = null;
let state = {mine: 0, all: 0};

const notice = text => { find("notice").textContent = text; find("notice").hidden = !text; };
const show = part => { for (const id of ["join", "vote", "done"]) find(id).hidden = id !== part; };
const remembered = () => { try { return localStorage.getItem(NAME) ?? ""; } catch (error) { return ""; } };
const remember = text => { try { localStorage.setItem(NAME, text); } catch (error) { /* asked again next time */ } };

// Who votes

const open = async () => {
  try {
    collection = await get("api/collection");
  } catch (error) {
    find("token-row").hidden = !(error instanceof Refused && error.status === 401);
    if (find("token-row").hidden) setTimeout(open, 2000);
    notice(error instanceof Refused ? (error.status === 401 ? "" : error.message) : "The server does not answer; it is asked again.");
    return find("token-row").hidden || show("join");
  }
  notice("");
  find("token-row").hidden = true;
  document.title = find("title").textContent = "Votes on " + collection.title;
  find("name").value = remembered();
  if (find("name").value) return begin(find("name").value);
  show("join");
  find("name").focus();
};

const begin = text => {
  name = text.trim();
  remember(name);
  outbox = new Outbox(collection.id, name, confirmed, saved);
  [asks, shown, history, times, more, state] = [[], null, [], [], "waiting", {mine: 0, all: 0}];
  find("who").textContent = "You vote as " + name + ".";
  find("leave").hidden = false;
  outbox.flush().then(advance);
};

find("join").addEventListener("submit", event => {
  event.preventDefault();
  if (find("token").value) keepToken(find("token").value.trim());
  if (!collection) return remember(find("name").value.trim()), open();
  if (find("name").value.trim()) begin(find("name").value);
});
find("leave").addEventListener("click", () => { shown = null; show("join"); find("name").focus(); find("name").select(); });

// What is asked

const identity = ask => ask.pair + "/" + ask.question;

const refill = () => {
  refilling ??= fill().finally(() => { refilling = null; });
  return refilling;
};

const fill = async () => {
  if (asks.length >= AHEAD) return;
  const held = [...asks, ...(shown ? [shown] : []), ...outbox.waiting().map(([, event]) => event).filter(event => event.pair)];
  const answer = await post("api/asks", {annotator: name, count: AHEAD, holding: held.map(identity)});
  const known = new Set([...asks, ...(shown ? [shown] : [])].map(identity));
  asks.push(...answer.asks.filter(ask => !known.has(identity(ask))));
  more = answer.more;
  progress(answer.progress);
  for (const ask of asks) for (const key of [ask.left, ask.right]) pictures.picture(key).catch(() => {});
};

const advance = async () => {
  clearTimeout(again);
  if (!asks.length) {
    try {
      await refill();
    } catch (error) {
      notice((error instanceof Refused ? error.message : "The server does not answer.") + " The next pictures come when it does.");
      again = setTimeout(advance, 2000);
      return;
    }
  }
  notice("");
  if (shown) return;
  if (!asks.length) return idle();
  shown = asks.shift();
  await present(shown);
  refill().catch(() => {});
};

const idle = () => {
  show("done");
  find("done-told").textContent = more === "waiting"
    ? "The next pictures are being prepared." : "You have answered everything there is to ask. Thank you.";
  again = setTimeout(advance, more === "waiting" ? 500 : 5000);
};

const present = async ask => {
  const places = [find("left"), find("right")];
  const ready = await Promise.allSettled([ask.left, ask.right].map(key => pictures.picture(key)));
  if (shown !== ask) return;
  ready.forEach((found, side) => {
    const broken = document.createElement("p");
    broken.textContent = found.reason?.message ?? "";
    places[side].replaceChildren(found.value ?? broken);
    if (found.value) found.value.alt = side ? "second picture" : "first picture";
  });
  find("question").textContent = ask.text;
  find("prompt").textContent = ask.prompt;
  zoom.reset();
  show("vote");
  find("undo").disabled = votes === 0;
  whole = ready.every(found => found.value);
  for (const button of document.querySelectorAll("[data-answer]")) button.disabled = !whole;
  requestAnimationFrame(() => requestAnimationFrame(() => painted(ask)));
};

const painted = ask => {
  if (shown !== ask) return;
  since = performance.now();
  if (pressed) performance.measure("vote to next picture", {start: pressed, end: since});
  pressed = 0;
};

// What is answered

const cast = (answer, reason = null) => {
  if (!shown || (answer !== "skip" && !whole)) return;
  pressed = performance.now();
  const ask = shown, ms = Math.round(pressed - since);
  const event = {
    client_id: newId(), kind: "vote", pair: ask.pair, question: ask.question, side: ask.side, answer, reason, ms,
    at: new Date().toISOString(), screen: innerWidth + "x" + innerHeight,
  };
  [shown, whole] = [null, false];
  times.push(ms);
  history.push({ask, client_id: event.client_id});
  reveal(ask, answer);
  if (!outbox.add(event)) notice("This browser stores nothing: votes that are not sent are lost with this window.");
  progress();
  advance();
};

const undo = async () => {
  let last = history.pop();
  if (!last) {
    try {
      await outbox.flush();
      last = (await post("api/last", {annotator: name})).last;
    } catch (error) {
      return notice("The last vote could not be asked for: the server does not answer.");
    }
  }
  if (!last) return notice("There is no vote of yours to take back.");
  outbox.add({client_id: newId(), kind: "undo", of: last.client_id, at: new Date().toISOString()});
  times.pop();
  progress();
  if (shown) asks.unshift(shown);
  shown = last.ask;
  find("revealed").hidden = true;
  present(shown);
};

const reveal = (ask, answer) => {
  const known = typeof ask.chance === "number" && (answer === "left" || answer === "right");
  find("revealed").hidden = !known;
  if (!known) return;
  const chance = Math.round(100 * (answer === "left" ? ask.chance : 1 - ask.chance));
  find("revealed").textContent = "The model gave your choice " + chance + " %.";
};

// How far it is

const progress = (found = state) => {
  state = found;
  const waiting = outbox.waiting().map(([, event]) => event);
  const pending = waiting.reduce((sum, event) => sum + (event.kind === "vote" ? 1 : -1), 0);
  votes = Math.max(0, found.mine + pending);
  find("bar").max = collection.aim;
  find("bar").value = Math.min(votes, collection.aim);
  const middle = [...times].sort((one, other) => one - other)[times.length >> 1];
  const pace = times.length < 3 ? "" : ", " + (middle / 1000).toFixed(1) + " s each";
  const others = found.all > found.mine ? ", " + found.all + " by all" : "";
  find("count").textContent = votes + (votes === 1 ? " vote" : " votes") + " of " + collection.aim + others + pace;
  showRanking(found.ranking, pictures);
};

const confirmed = (found, state) => {
  if (found.status === "refused") notice("A vote was not taken: " + found.error);
  progress(state);
};

const saved = (waiting, fault) => {
  const told = waiting + (waiting === 1 ? " vote waits" : " votes wait");
  find("saved").textContent = waiting ? told + " in this browser." : savedWords();
  if (fault) notice(fault + " " + told + " in this browser, and " + (waiting === 1 ? "is" : "are") + " sent when it can be.");
  else if (find("notice").textContent.includes("in this browser, and")) notice("");
};

// Keys and buttons

const skip = () => { if (shown) find("skip").showModal(); };
const skipped = reason => { find("skip").close(); cast("skip", reason); };
for (const button of document.querySelectorAll("[data-answer]")) {
  button.addEventListener("click", () => { if (!zoom.moved()) cast(button.dataset.answer); });
}
for (const button of document.querySelectorAll("[data-reason]")) {
  button.addEventListener("click", () => skipped(button.dataset.reason));
}
find("skip-open").addEventListener("click", skip);
find("help-open").addEventListener("click", () => find("help").showModal());
find("undo").addEventListener("click", undo);
find("undo-done").addEventListener("click", undo);
// A pair that was looked at in another window of the desk has taken nobody's time
document.addEventListener("visibilitychange", () => { if (!document.hidden) since = performance.now(); });

const KEYS = {
  1: () => cast("left"), ArrowLeft: () => cast("left"), 2: () => cast("right"), ArrowRight: () => cast("right"),
  0: () => cast("tie"), ArrowDown: () => cast("tie"), b: () => cast("both_bad"), s: skip, u: undo, ArrowUp: undo,
  z: () => zoom.next(), "?": () => find("help").showModal(),
};
const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

document.addEventListener("keydown", event => {
  const free = !event.repeat && !event.ctrlKey && !event.altKey && !event.metaKey;
  if (!free || find("vote").hidden && find("done").hidden || event.target.matches("input")) return;
  if (find("skip").open) {
    const button = document.querySelectorAll("[data-reason]")[Number(event.key) - 1];
    if (button) skipped(button.dataset.reason);
    return;
  }
  if (find("help").open) return;
  const move = event.shiftKey && MOVES[event.key];
  const act = move ? () => zoom.move(...move) : KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (!act || (event.shiftKey && !move && event.key !== "?" && event.key.length > 1)) return;
  event.preventDefault();
  act();
});

open();
