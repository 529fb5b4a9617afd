// The OpenAPI document for the two viewers; where the service wants a key, a form asks for it first.

import { keyHeaders, storedKey, storeKey } from "./page/key.js";

export async function openapi() {
  for (;;) {
    const answer = await fetch("/openapi.json", { headers: keyHeaders() });
    if (answer.status !== 401) return answer.json();
    storeKey(await asked(storedKey() ? "The service did not accept that key." : ""));
  }
}

// Resolves with what is entered.
function asked(problem) {
  const form = document.createElement("form");
  const label = Object.assign(document.createElement("label"), { textContent: "This service wants an API key" });
  const input = Object.assign(document.createElement("input"), {
    type: "password",
    required: true,
    autocomplete: "off",
  });
  const button = Object.assign(document.createElement("button"), { textContent: "Continue" });
  const told = Object.assign(document.createElement("p"), { textContent: problem, role: "alert" });
  label.append(input);
  form.className = "headrace";
  form.append(label, button, told);
  document.querySelector("nav.headrace").after(form);
  input.focus();
  return new Promise((entered) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.remove();
      entered(input.value.trim());
    });
  });
}
