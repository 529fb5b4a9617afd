// Pictures and sounds from the visitor's own files: sent as base64, shown before they are sent.

import { html, nothing } from "../lit-html/lit-html.js";

export function imageField(form, feature, id, about) {
  const take = (file) => file && read(file, (b64) => form.set(feature.name, { b64 }));
  const value = form.values[feature.name];
  const shown = feature.shape.length && typeof value?.b64 === "string" ? `data:${pictureType(value.b64)};base64,${value.b64}` : undefined;
  return html`<div class="drop" @dragover=${over} @dragleave=${leave} @drop=${(event) => dropped(event, take)}>
    ${shown ? html`<img src=${shown} alt="The picture that is sent" />` : nothing}
    <div>
      <p>Drop a PNG or JPEG here, or choose one:</p>
      <input type="file" id=${id} accept="image/png,image/jpeg" aria-describedby=${about} aria-label="${feature.name}: choose a picture" @change=${(event) => take(event.target.files[0])} />
    </div>
  </div>`;
}

export function audioField(form, feature, id, about) {
  const take = (file) => file && read(file, (b64) => form.set(feature.name, { b64 }));
  const value = form.values[feature.name];
  return html`<div class="drop" @dragover=${over} @dragleave=${leave} @drop=${(event) => dropped(event, take)}>
    <div>
      <p>Drop a WAV file here, or choose one${feature.sample_rate ? `; ${feature.sample_rate} samples a second suit best` : ""}:</p>
      <input type="file" id=${id} accept="audio/wav,.wav" aria-describedby=${about} @change=${(event) => take(event.target.files[0])} />
      ${typeof value?.b64 === "string" ? html`<audio controls src="data:audio/wav;base64,${value.b64}"></audio>` : nothing}
    </div>
  </div>`;
}

function over(event) {
  event.preventDefault();
  event.currentTarget.classList.add("over");
}

const leave = (event) => event.currentTarget.classList.remove("over");

function dropped(event, take) {
  event.preventDefault();
  leave(event);
  take(event.dataTransfer.files[0]);
}

function read(file, done) {
  const reader = new FileReader();
  reader.addEventListener("load", () => done(reader.result.slice(reader.result.indexOf(",") + 1)));
  reader.readAsDataURL(file);
}

// PNG's and JPEG's first bytes in base64.
export const pictureType = (b64) => (b64.startsWith("/9j/") ? "image/jpeg" : "image/png");
