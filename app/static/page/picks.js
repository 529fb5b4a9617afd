// Several categories out of many: those that are picked as a list, and a field that searches the others.

import { html, nothing } from "../lit-html/lit-html.js";
import { live } from "../lit-html/directives/live.js";
import { named, plural } from "./words.js";

const MOST_OFFERED = 50;

// A list that may end before it is full; a whole one of a fixed length is written as JSON.
export const isPicked = ({ kind, shape, missing }) => kind === "category" && shape.length === 1 && missing === "fill";

export function picks(form, feature, id, about, problem) {
  const { name, categories, fill, shape } = feature;
  const picked = form.values[name].filter((one) => one !== fill);
  const sought = form.sought[name] ?? "";
  const offered = matching(categories, sought).filter((one) => one !== fill && !picked.includes(one));
  const full = picked.length >= shape[0];
  const add = (one) => {
    form.sought[name] = "";
    form.set(name, [...picked, one]);
  };
  const typed = (event) => {
    const { value } = event.target;
    // Typing says how; what is chosen from the list comes as a replacement, or as an event that says nothing.
    const isChosen = event.inputType === undefined || event.inputType === "insertReplacementText";
    if (isChosen && offered.includes(value)) return add(value);
    form.seek(name, value);
  };
  const enter = () => {
    const exact = offered.find((one) => one.toLowerCase() === sought.trim().toLowerCase());
    if (exact ?? (sought.trim() && offered.length === 1)) add(exact ?? offered[0]);
  };
  const pressed = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    enter();
  };
  return html`<ul class="picks" aria-label="${named(name)}, picked">
      ${picked.map(
        (one) =>
          html`<li>
            <span>${one}</span>
            <button
              type="button"
              aria-label="Remove ${one}"
              @click=${() => form.set(name, picked.filter((other) => other !== one))}
            >
              ×
            </button>
          </li>`,
      )}
    </ul>
    <div class="together search">
      <input
        id=${id}
        list="${id}-offered"
        autocomplete="off"
        placeholder=${full ? `No more than ${shape[0]}` : "Search, and choose one to add"}
        ?disabled=${full}
        aria-describedby=${about}
        aria-invalid=${problem ? "true" : nothing}
        .value=${live(sought)}
        @input=${typed}
        @keydown=${pressed}
      />
      <datalist id="${id}-offered">
        ${offered.slice(0, MOST_OFFERED).map((one) => html`<option value=${one}></option>`)}
      </datalist>
      <button type="button" ?disabled=${full} @click=${enter}>Add</button>
    </div>
    <p class="hint" role="status">${sought ? plural(offered.length, "match", "matches") : `${picked.length} of at most ${shape[0]}`}</p>`;
}

// Those that have every word that is sought, wherever in them.
function matching(categories, sought) {
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  return words.length ? categories.filter((one) => words.every((word) => one.toLowerCase().includes(word))) : categories;
}
