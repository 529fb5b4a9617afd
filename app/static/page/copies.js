// The same request for a terminal or a program.

import { html, nothing } from "../lit-html/lit-html.js";
import { Refused } from "./api.js";
import { storedKey } from "./key.js";
import { json } from "./words.js";

export function copies(form, page) {
  const toggled = (event) => {
    form.showsCopies = event.target.open;
    page.update();
  };
  return html`<details class="copies" @toggle=${toggled}>
    <summary>Send the same from a terminal or a program</summary>
    ${form.showsCopies ? blocks(form, page) : nothing}
  </details>`;
}

function blocks(form, page) {
  let request;
  try {
    request = form.request();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return nothing;
  }
  const body = json(request.body);
  return html`
    <p>
      What the form sends, by ${form.manifest ? "V1, the protocol to write by hand" : "the Open Inference Protocol v2"}.
      All operations are in <a href="/docs">the API</a>.
    </p>
    ${block("curl", curl(request.path, body), form, page)} ${block("JSON", body, form, page)}
    ${form.answer ? block("Answer", json(form.answer.content), form, page) : nothing}
  `;
}

function curl(path, body) {
  const key = storedKey() ? ' \\\n  -H "X-API-Key: $HEADRACE_API_KEY"' : "";
  return `curl -s ${location.origin}${path}${key} \\\n  -d '${body.replaceAll("'", "'\\''")}'`;
}

function block(name, text, form, page) {
  const copy = async (event) => {
    getSelection().selectAllChildren(event.target.closest(".block").querySelector("pre"));
    form.copied = { name, how: await written(text) };
    page.update();
  };
  return html`<div class="block">
    <div class="together">
      <h3>${name}</h3>
      <button type="button" @click=${copy} aria-label="Copy: ${name}">
        ${form.copied?.name === name ? form.copied.how : "Copy"}
      </button>
    </div>
    <pre tabindex="0" aria-label=${name}>${text}</pre>
  </div>`;
}

// Browsers give the clipboard to pages from a secure address alone; elsewhere the text is selected, to copy by hand.
async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    return "Selected";
  }
}
