"use strict";
// Votes that the server has not confirmed. Each is a value of its own in this browser's storage, so that two windows
// lose nothing of each other; sent twice it changes nothing, as the server knows it by its client_id.

import {post, Refused} from "./api.js";

const AT_ONCE = 32;
const PATIENCE = [1, 2, 4, 8, 15];

export class Outbox {
  // `answered` hears of each confirmed event and of each that was refused; `changed` of how many wait, and why.
  constructor(collection, annotator, answered, changed) {
    this.prefix = "dina-lrm:vote:" + collection + ":" + annotator + ":";
    this.annotator = annotator;
    this.answered = answered;
    this.changed = changed;
    this.memory = new Map();
    this.busy = null;
    this.failures = 0;
    this.sequence = 0;
    addEventListener("online", () => this.flush());
  }

  waiting() {
    const found = new Map(this.memory);
    try {
      for (let place = 0; place < localStorage.length; place++) {
        const key = localStorage.key(place);
        if (key.startsWith(this.prefix)) found.set(key, JSON.parse(localStorage.getItem(key)));
      }
    } catch (error) { /* no storage: what is in memory is all there is */ }
    return [...found.entries()].sort(([one], [other]) => (one < other ? -1 : 1));
  }

  // Keeps an event, then sends it; returns whether it would outlive this window.
  add(event) {
    const order = String(Date.now()).padStart(15, "0") + "-" + String(this.sequence++).padStart(6, "0");
    const key = this.prefix + order + "-" + event.client_id;
    let stored = true;
    try {
      localStorage.setItem(key, JSON.stringify(event));
    } catch (error) {
      this.memory.set(key, event);
      stored = false;
    }
    this.flush();
    return stored;
  }

  flush() {
    clearTimeout(this.timer);
    this.busy ??= this.send().finally(() => { this.busy = null; });
    return this.busy;
  }

  async send() {
    for (let events = this.waiting(); events.length; events = this.waiting()) {
      const part = events.slice(0, AT_ONCE);
      this.changed(events.length, "");
      try {
        const answer = await post("api/votes", {annotator: this.annotator, events: part.map(([, event]) => event)});
        if (answer.results.length !== part.length) throw new Error("an answer for each is missing");
        this.failures = 0;
        part.forEach(([key], place) => {
          this.forget(key);
          this.answered(answer.results[place], answer.progress);
        });
      } catch (error) {
        const seconds = PATIENCE[Math.min(this.failures++, PATIENCE.length - 1)];
        this.timer = setTimeout(() => this.flush(), 1000 * seconds);
        const told = error instanceof Refused ? error.message : "The server does not answer.";
        return this.changed(events.length, told);
      }
    }
    this.changed(0, "");
  }

  forget(key) {
    this.memory.delete(key);
    try { localStorage.removeItem(key); } catch (error) { /* it was in memory alone */ }
  }
}

export const newId = () => {
  // crypto.randomUUID is there over https alone
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
};
