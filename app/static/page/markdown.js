// The little Markdown that model cards use: headings, paragraphs, lists, tables, **bold**, *italic* and `code`.

import { html } from "../lit-html/lit-html.js";

export const markdown = (text) =>
  text
    .split(/\n{2,}/)
    .filter((block) => block.trim())
    .map(block);

function block(text) {
  const lines = text.trim().split("\n");
  if (/^#{1,6} /.test(lines[0])) {
    return html`<h3>${inline(lines[0].replace(/^#+ /, ""))}</h3>
      ${lines.length > 1 ? block(lines.slice(1).join("\n")) : ""}`;
  }
  if (lines.every((line) => line.startsWith("|"))) return table(lines.map(cells));
  if (lines.every((line) => /^[-*] /.test(line))) {
    return html`<ul>
      ${lines.map((line) => html`<li>${inline(line.slice(2))}</li>`)}
    </ul>`;
  }
  return html`<p>${inline(lines.join(" "))}</p>`;
}

const cells = (line) =>
  line
    .replace(/^\||\|$/g, "")
    .split("|")
    .map((cell) => cell.trim());

function table(rows) {
  const [head, ...body] = rows.filter((row) => !row.every((cell) => /^:?-+:?$/.test(cell)));
  return html`<div class="scrolls" tabindex="0" role="group" aria-label="Table">
    <table>
      <thead>
        <tr>
          ${head.map((cell) => html`<th scope="col">${inline(cell)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${body.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${inline(cell)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|\*[^*]+\*|`[^`]+`)/).map((part) => {
    if (/^\*\*.+\*\*$/.test(part)) return html`<strong>${part.slice(2, -2)}</strong>`;
    if (/^\*.+\*$/.test(part)) return html`<em>${part.slice(1, -1)}</em>`;
    if (/^`.+`$/.test(part)) return html`<code>${part.slice(1, -1)}</code>`;
    return part;
  });
}
