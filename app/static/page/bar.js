// A bar that is filled to a share; SVG, since the Content-Security-Policy lets no style attribute through.

import { html } from "../lit-html/lit-html.js";

export const bar = (share) =>
  html`<svg class="bar" aria-hidden="true">
    <rect width="100%" height="100%" />
    <rect class="filled" width="${100 * share}%" height="100%" />
  </svg>`;
