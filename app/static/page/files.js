// Pictures and sounds from the visitor's own files: sent as base64, shown before they are sent.

import { html, nothing } from "../lit-html/lit-html.js";
import { isDrawable, pictureType } from "./picture.js";
import "./wave.js";

export function imageField(form, feature, id, about) {
  const take = (file) => file && read(file, (b64) => form.set(feature.name, { b64 }));
  const shown = isDrawable(feature) ? undefined : pictureOf(form.values[feature.name], feature);
  return html`<div class="drop" @dragover=${over} @dragleave=${leave} @drop=${(event) => dropped(event, take)}>
    ${shown ? html`<img src=${shown} alt="The picture that is sent" />` : nothing}
    <div>
      <p>Drop a picture here, or choose one: PNG, JPEG or WebP.</p>
      <input
        type="file"
        id=${id}
        accept="image/png,image/jpeg,image/webp"
        aria-describedby=${about}
        aria-label="${feature.name}: choose a picture"
        @change=${(event) => take(event.target.files[0])}
      />
    </div>
  </div>`;
}

export function audioField(form, feature, id, about) {
  const take = (file) => file && read(file, (b64) => form.set(feature.name, { b64 }));
  const value = form.values[feature.name];
  return html`<div class="drop" @dragover=${over} @dragleave=${leave} @drop=${(event) => dropped(event, take)}>
    <div>
      <p>Drop a sound here, or choose one: WAV, FLAC, OGG or MP3.</p>
      <input
        type="file"
        id=${id}
        accept="audio/*"
        aria-describedby=${about}
        @change=${(event) => take(event.target.files[0])}
      />
      <sound-wave .feature=${feature} .sound=${value}></sound-wave>
      ${typeof value?.b64 === "string" ? player(value.b64) : nothing}
    </div>
  </div>`;
}

const player = (b64) => html`<audio controls src="data:${soundType(b64)};base64,${b64}"></audio>`;

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

// By the first bytes, in base64.
const soundType = (b64) =>
  ({ UklGR: "audio/wav", ZkxhQ: "audio/flac", T2dnU: "audio/ogg" })[b64.slice(0, 5)] ?? "audio/mpeg";

const painted = new WeakMap();

// An address that an <img> shows: of a file, or of nested numbers as the model takes them.
export function pictureOf(value, feature) {
  if (typeof value?.b64 === "string") return `data:${pictureType(value.b64)};base64,${value.b64}`;
  if (!Array.isArray(value)) return undefined;
  if (!painted.has(value)) painted.set(value, paint(value, feature));
  return painted.get(value);
}

function paint(value, feature) {
  const size = Object.fromEntries([...feature.layout].map((axis, place) => [axis, feature.shape[place]]));
  const channels = size.C ?? 1;
  const { minimum: black, maximum: white } = feature;
  const flat = value.flat(2);
  const at = (y, x, c) =>
    feature.layout === "CHW" ? flat[(c * size.H + y) * size.W + x] : flat[(y * size.W + x) * channels + c];
  const canvas = Object.assign(document.createElement("canvas"), { width: size.W, height: size.H });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(size.W, size.H);
  for (let y = 0; y < size.H; y += 1) {
    for (let x = 0; x < size.W; x += 1) {
      const colour = [0, 1, 2].map((c) => (255 * (at(y, x, Math.min(c, channels - 1)) - black)) / (white - black));
      pixels.data.set([...colour, 255], 4 * (y * size.W + x));
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas.toDataURL();
}
