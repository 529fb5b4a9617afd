// <sound-wave>: what a sound looks like, over the time that the model takes.

import { html, nothing, render, svg } from "../lit-html/lit-html.js";
import { number } from "./words.js";

const WIDTH = 400;
const HEIGHT = 64;

class SoundWave extends HTMLElement {
  // A file as base64, or numbers from -1 to 1 at the feature's rate.
  set sound(sound) {
    if (sound === this.given) return;
    this.given = sound;
    if (Array.isArray(sound)) this.draw(Float32Array.from(sound), sound.length / this.feature.sample_rate);
    else if (typeof sound?.b64 === "string") this.decode(sound);
    else render(nothing, this);
  }

  async decode(sound) {
    const bytes = Uint8Array.from(atob(sound.b64), (letter) => letter.charCodeAt(0));
    const context = new OfflineAudioContext(1, 1, 44_100);
    const decoded = await context.decodeAudioData(bytes.buffer).catch(() => undefined);
    if (sound !== this.given) return;
    if (decoded) this.draw(decoded.getChannelData(0), decoded.duration);
    else render(nothing, this);
  }

  draw(samples, seconds) {
    const taken = this.feature.shape[0] / this.feature.sample_rate;
    const columns = Math.max(1, Math.round((WIDTH * Math.min(seconds, taken)) / taken));
    const step = (samples.length * Math.min(1, taken / seconds)) / columns;
    const bars = Array.from({ length: columns }, (_, at) => {
      const part = samples.subarray(Math.floor(at * step), Math.max(Math.floor(at * step) + 1, (at + 1) * step));
      return part.reduce(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [0, 0]);
    });
    const up = (value) => ((1 - value) * HEIGHT) / 2;
    const path = bars.map(([low, high], x) => `M${x + 0.5} ${up(high).toFixed(1)}V${(up(low) + 0.5).toFixed(1)}`);
    render(
      html`<svg
        viewBox="0 0 ${WIDTH} ${HEIGHT}"
        preserveAspectRatio="none"
        role="img"
        aria-label="The sound that is sent, ${number(Number(seconds.toPrecision(2)))} s of ${number(taken)} s"
      >
        ${svg`<path d=${path.join("")} />`}
      </svg>`,
      this,
    );
  }
}

customElements.define("sound-wave", SoundWave);
