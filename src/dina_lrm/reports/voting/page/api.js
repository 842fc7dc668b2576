"use strict";
// What the page asks the server: every answer is JSON or a picture, every failure an Error with a sentence.

const KEPT = "dina-lrm:token";

// The token comes behind the # of the address, which no server is sent; it leaves the address at once.
const given = decodeURIComponent(location.hash.slice(1));
if (given) {
  sessionStorage.setItem(KEPT, given);
  history.replaceState(null, "", location.pathname);
}

export class Refused extends Error {
  constructor(status, told) {
    super(told);
    this.status = status;
  }
}

// What is said of votes that nothing waits for
export const savedWords = () => "All votes are saved.";

export const keepToken = token => sessionStorage.setItem(KEPT, token);

const ask = async (path, request = {}) => {
  const token = sessionStorage.getItem(KEPT);
  const headers = {...request.headers, ...(token ? {Authorization: "Bearer " + token} : {})};
  const answer = await fetch(path, {...request, headers, cache: request.cache ?? "no-store"});
  if (answer.ok) return answer;
  const found = await answer.json().catch(() => null);
  throw new Refused(answer.status, found?.error?.message ?? "The server answered " + answer.status + ".");
};

export const get = async path => (await ask(path)).json();

export const post = async (path, body) =>
  (await ask(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)})).json();

export const blob = async path => (await ask(path, {cache: "default"})).blob();
