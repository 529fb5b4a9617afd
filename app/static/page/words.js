// Numbers and names as people read them.

const FIVE_DIGITS = new Intl.NumberFormat("en", { maximumSignificantDigits: 5, useGrouping: false });
const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => GROUPED.format(value);

export function number(value) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9)
    ? value.toExponential(1).replace("e+", "e").replace(".0e", "e")
    : FIVE_DIGITS.format(value);
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(100 * share).toFixed(1).replace(/\.0$/, "")} %`;
}

export function duration(seconds) {
  if (seconds === Infinity) return "> 30 s";
  if (seconds >= 1) return `${seconds.toPrecision(2)} s`;
  const ms = 1000 * seconds;
  return `${ms >= 10 ? Math.round(ms) : Number(ms.toPrecision(2))} ms`;
}

export function rate(perSecond) {
  return perSecond >= 10 ? count(perSecond) : String(Number(perSecond.toFixed(perSecond < 1 ? 2 : 1)));
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

const ACRONYMS = {
  auc: "AUC",
  f1: "F1",
  hdl: "HDL",
  kusd: "kUSD",
  ldl: "LDL",
  mae: "MAE",
  mase: "MASE",
  mse: "MSE",
  ndcg: "NDCG",
  pr: "PR",
  r2: "R²",
  rmse: "RMSE",
  wape: "WAPE",
};

// "mean_radius" -> "Mean radius", "auc" -> "AUC"
export const named = (name) => capital(inWords(name));

export const inWords = (name) =>
  name
    .split("_")
    .map((word) => ACRONYMS[word] ?? word)
    .join(" ");

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const sentence = (text) => (text ? capital(text).replace(/\.?$/, ".") : "");

// "CPUExecutionProvider" -> "CPU"
export const provider = (name) => name.replace(/ExecutionProvider$/, "");

// Small multi-line lists of numbers stay on one line each.
export const json = (value) =>
  JSON.stringify(value, null, 2).replace(
    /\[\s+([^[\]{}]*?)\s+\]/g,
    (_, inner) => `[${inner.replace(/\s*\n\s*/g, " ")}]`,
  );
