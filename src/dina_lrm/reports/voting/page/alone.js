"use strict";
// What the page asks where no server is: it stands for api.js in a page that is a file. The pairs lie in the page, and
// votes in this browser, until they are saved as a file and sent to whoever made the page.

export class Refused extends Error {
  constructor(status, told) {
    super(told);
    this.status = status;
  }
}

export const keepToken = () => {};

const find = id => document.getElementById(id);
const page = JSON.parse(find("data").textContent);
const PLACE = "dina-lrm:page:" + page.id;
const KEPT = "Your votes stay in this browser: save them as a file, and send it to whoever gave you this page.";
const LOST = "This browser keeps no votes: save them as a file before you leave the page.";
let kept = true;

// What is said of votes that nothing waits for
export const savedWords = () => (kept ? KEPT : LOST);

// Events in the order in which they came, of all who voted here
let events = [];
try { events = JSON.parse(localStorage.getItem(PLACE) ?? "[]"); } catch (error) { kept = false; }
const keep = () => {
  try { localStorage.setItem(PLACE, JSON.stringify(events)); } catch (error) { kept = false; }
};

// The votes of a person that stand, the last one last
const standing = annotator => {
  const found = new Map();
  for (const event of events) {
    if (event.annotator !== annotator) continue;
    if (event.kind === "undo") found.delete([...found.keys()].find(pair => found.get(pair).client_id === event.of));
    else { found.delete(event.pair); found.set(event.pair, event); }
  }
  return found;
};

const asked = pair => ({
  pair: pair.id, question: page.question.name, text: page.question.text, prompt: pair.prompt, side: pair.side,
  left: pair.left, right: pair.right, chance: null,
});
const progress = mine => ({mine: mine.size, all: mine.size, ranking: null});

const tally = mine => {
  const over = page.names !== null && mine.size === page.pairs.length;
  find("tally").hidden = !over;
  if (!over) return;
  const of = Object.fromEntries(page.pairs.map(pair => [pair.id, pair]));
  const said = [...mine.values()].map(({pair, answer}) =>
    answer === "left" || answer === "right" ? page.names[(answer === "left") === (of[pair].side === "a") ? 0 : 1] : answer);
  const rows = [...page.names.map(name => [name, name]), ["equally good", "tie"], ["both bad", "both_bad"], ["skipped", "skip"]];
  find("tally").replaceChildren(...rows.flatMap(([name, answer]) => {
    const head = document.createElement("dt"), value = document.createElement("dd");
    head.textContent = name;
    value.textContent = said.filter(one => one === answer).length + " of " + said.length;
    return [head, value];
  }));
};

const ROUTES = {
  "api/asks": ({annotator, count, holding}) => {
    const mine = standing(annotator), held = new Set(holding);
    const open = page.pairs.filter(pair => !mine.has(pair.id)).map(asked);
    tally(mine);
    const asks = open.filter(ask => !held.has(ask.pair + "/" + ask.question)).slice(0, count);
    return {asks, more: "none", progress: progress(mine)};
  },
  "api/votes": given => {
    const known = new Set(events.map(event => event.client_id));
    events.push(...given.events.filter(event => !known.has(event.client_id)).map(event => ({...event, annotator: given.annotator})));
    keep();
    find("save").disabled = false;
    const mine = standing(given.annotator);
    tally(mine);
    return {results: given.events.map(event => ({client_id: event.client_id, status: "recorded"})), progress: progress(mine)};
  },
  "api/last": ({annotator}) => {
    const last = [...standing(annotator).values()].at(-1);
    const pair = last && page.pairs.find(one => one.id === last.pair);
    return {last: last ? {client_id: last.client_id, ask: asked(pair)} : null};
  },
};

export const get = async () => ({id: page.id, title: page.title, questions: [page.question], aim: page.pairs.length});

export const post = async (path, body) => ROUTES[path](body);

export const blob = async path => {
  const [kind, data] = page.pictures[path.replace("api/pictures/", "")];
  return new Blob([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))], {type: kind});
};

const save = () => {
  const of = Object.fromEntries(page.pairs.map(pair => [pair.id, pair]));
  const people = [...new Set(events.map(event => event.annotator))];
  const lines = people.flatMap(annotator => [...standing(annotator).values()]).map(vote => JSON.stringify({
    page: page.id, prompt: of[vote.pair].prompt, image_a: of[vote.pair].image_a, image_b: of[vote.pair].image_b,
    left: vote.side, answer: vote.answer, reason: vote.reason, annotator: vote.annotator, ms: vote.ms, at: vote.at,
    client_id: vote.client_id}));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], {type: "application/jsonl"}));
  link.download = "votes-" + page.id + ".jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

find("save").hidden = false;
find("save").disabled = events.length === 0;
find("save").addEventListener("click", save);
