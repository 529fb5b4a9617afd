// Requests to the service, with the key, and its errors as one class.

import { keyHeaders } from "./key.js";

export class Refused extends Error {
  // status: 0 where the service cannot be reached.
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function call(path, body) {
  const answer = await fetched(path, body);
  const text = await answer.text();
  const json = parsed(text);
  if (!answer.ok) throw new Refused(answer.status, json?.error ?? `The service answered with status ${answer.status}.`);
  return json;
}

async function fetched(path, body) {
  const sent = body === undefined ? {} : { method: "POST", body, headers: { "content-type": "application/json" } };
  try {
    return await fetch(path, { ...sent, cache: "no-store", headers: { ...sent.headers, ...keyHeaders() } });
  } catch {
    throw new Refused(0, "The service cannot be reached.");
  }
}

// Answers may hold NaN and infinities as bare words, which JSON has not: they are read as texts.
const TEXT_OR_WORD = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

function parsed(text) {
  try {
    return JSON.parse(text.replace(TEXT_OR_WORD, (found) => (found.startsWith('"') ? found : `"${found}"`)));
  } catch {
    return undefined;
  }
}
