// Quantities as people write them: "8B", "8×10^9", "2^33", "80 GB", "14 days", "64 H100 for 14 days".
// What cannot be read is refused with words that say what would be; nothing is guessed. Nothing here touches the page.

const POWERS = { k: 3, g: 9, b: 9, t: 12, p: 15, thousand: 3, million: 6, mn: 6, bn: 9, billion: 9, tn: 12, trillion: 12 };
const HOURS = { min: 1 / 60, h: 1, hr: 1, hour: 1, d: 24, day: 24, w: 168, wk: 168, week: 168, y: 8760, yr: 8760, year: 8760 };
const BYTES = { kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, pb: 1e15, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, pib: 2 ** 50 };
const NUMBER = /^(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:e([+-]?\d+)(?![\d.]))?/i;

// The words of a kind, and what a field of it expects.
const EXPECTS = {
  count: "a number such as 8B, 1e9 or 2^33",
  flop: "FLOP such as 1e23, or 64 H100 for 14 days, or $100k",
  bytes: "memory such as 80 GB, or 8 × 80 GB",
  hours: "a time such as 14 d, 2 weeks or 100 h",
  dollars: "dollars such as $100k or 2.50",
  share: "a share such as 40 %",
  bits: "bits such as 4 or 6.5, or full",
  widths: "widths such as 3, 4, 6, 8, 16",
};
const refuse = (kind, why) => ({ error: `${why ? `${why} ` : ""}Expected ${EXPECTS[kind]}.` });

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const plain = (text) =>
  text.replace(/[\u00a0\u2009\u202f]/g, " ").replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]+/g, (s) => `^${[...s].map((c) => SUPERSCRIPTS.indexOf(c)).join("")}`)
    .replace(/−/g, "-").replace(/[·*]/g, "×").replace(/\s+/g, " ").trim();

// A number at the beginning of a text: [value, rest], or null.
function number(text) {
  const found = NUMBER.exec(text);
  if (!found) return null;
  let rest = text.slice(found[0].length);
  let value = Number(found[0].replace(/,/g, ""));
  const power = /^ ?\^ ?([+-]?\d+(?:\.\d+)?)/.exec(rest);
  if (power) return [value ** Number(power[1]), rest.slice(power[0].length).trim()];
  const times = /^ ?[×x] ?(\d+) ?\^ ?([+-]?\d+)/.exec(rest);
  if (times) { // 8×10^9 as the decimal literal 8e9, which is rounded once
    value = times[1] === "10" && !found[2] ? Number(`${found[1].replace(/,/g, "")}e${times[2]}`) : value * Number(times[1]) ** Number(times[2]);
    rest = rest.slice(times[0].length);
  }
  return [value, rest.trim()];
}

// 8.03 and 9 -> 8030000000 without the rounding of a product.
const scaled = (value, power) => Number(`${value}e${power}`) || value * 10 ** power;

// The power of ten of a suffix, or undefined; m is not one: thousandths, minutes and millions are all written so.
const power = (word) => (word === "M" ? 6 : word === "E" ? 18 : POWERS[word.toLowerCase()]);

function count(text, kind, units, letters = {}) {
  const found = number(text);
  if (!found) return refuse(kind);
  const [value, rest] = found;
  let word = rest;
  for (const unit of units) if (word.toLowerCase().endsWith(unit)) { word = word.slice(0, -unit.length).trim(); break; }
  if (word === "m") return refuse(kind, "A small m may be milli or million: write M.");
  if (/^,\d/.test(word)) return refuse(kind, "Write decimals with a point.");
  const ten = word === "" ? 0 : letters[word] ?? power(word);
  return ten === undefined ? refuse(kind) : { value: ten ? scaled(value, ten) : value };
}

const READ = {
  count: (text) => count(text, "count", ["parameters", "params", "tokens", "token", "sequences"]),
  flop(text) {
    const days = /^(.*\d) ?(?:PF|PFLOP\/s|petaflop\/s)[- ]days?$/i.exec(text);
    if (days) { const found = count(days[1], "flop", []); return found.error ? found : { value: found.value * 8.64e19 }; }
    return count(text, "flop", ["flops", "flop"], { Z: 21, Y: 24 });
  },
  bytes(text) {
    const many = /^(\d+) ?[×x] ?(?=[\d.])(?!\d+ ?\^)(.*)$/i.exec(text);
    if (many) {
      const each = READ.bytes(many[2]);
      return each.error || !(Number(many[1]) > 0) ? refuse("bytes") : { value: Number(many[1]) * each.value, devices: Number(many[1]), each: each.value };
    }
    const found = number(text);
    if (!found) return refuse("bytes");
    const size = BYTES[found[1].toLowerCase()] ?? BYTES[`${found[1].toLowerCase()}b`];
    if (found[1] === "") return refuse("bytes", `${text} of what?`);
    if (size === undefined || found[1] === "m") return refuse("bytes");
    return { value: found[0] * size, devices: 1, each: found[0] * size };
  },
  hours(text) {
    const found = number(text);
    if (!found) return refuse("hours");
    const unit = found[1].toLowerCase();
    const size = HOURS[unit] ?? HOURS[unit.replace(/s$/, "")];
    if (unit === "m") return refuse("hours", "A small m may be minutes or months.");
    return size === undefined ? refuse("hours") : { value: found[0] * size };
  },
  dollars(text) {
    if (/[€£¥]/.test(text)) return refuse("dollars");
    return count(text.replace(/^\$ ?/, ""), "dollars", ["dollars", "usd", "$"]);
  },
  share(text) {
    const found = number(text);
    if (!found || !["", "%"].includes(found[1])) return refuse("share");
    const value = found[1] === "%" || found[0] > 1 ? found[0] / 100 : found[0];
    return value <= 1 ? { value } : refuse("share");
  },
  bits(text) {
    if (/^(full|inf|as trained)$/i.test(text)) return { value: Infinity };
    const found = number(text);
    if (!found || !/^(bits?)?$/i.test(found[1])) return refuse("bits");
    return found[0] >= 1 && found[0] <= 32 ? { value: found[0] } : refuse("bits", "Between 1 and 32.");
  },
  widths(text) {
    const values = [];
    for (const part of text.split(/[,; ]+/).filter(Boolean)) {
      const span = /^(\d+)[-–](\d+)$/.exec(part);
      const ends = (span ? [span[1], span[2]] : [part]).map((p) => READ.bits(p));
      if (ends.some((e) => e.error || !(e.value <= 16))) return refuse("widths", `${part} is no width up to 16.`);
      if (span) for (let P = ends[0].value; P <= ends[1].value; P++) values.push(P);
      else values.push(ends[0].value);
    }
    if (values.length > 24) return refuse("widths", "At most 24 of them.");
    return values.length ? { value: [...new Set(values)].sort((a, b) => a - b) } : refuse("widths");
  },
};

// { value } of a text, or { error }; zero is allowed where `least` is 0.
export function read(text, kind, least = Number.MIN_VALUE) {
  const clean = plain(text);
  if (clean === "") return refuse(kind);
  if (clean.startsWith("-")) return refuse(kind, "It must be positive.");
  const found = READ[kind](clean);
  if (found.error || kind === "widths" || kind === "bits") return found;
  if (Number.isNaN(found.value)) return refuse(kind);
  if (!Number.isFinite(found.value)) return refuse(kind, "Too large a number.");
  return found.value < least ? refuse(kind, "It must be positive.") : found;
}

// A budget in words: { by: "flop" | "gpus" | "dollars", and texts of its fields }, or { error }.
// devices: { slug: name }; a device is found by its slug without dashes, as "H100" or "TPUv5p".
export function spokenBudget(text, devices) {
  const clean = plain(text);
  if (/^\$|\$$|dollars?$|usd$/i.test(clean)) {
    const found = read(clean, "dollars");
    return found.error ? { error: found.error } : { by: "dollars", dollars: clean };
  }
  const known = Object.keys(devices).map((slug) => [slug.replace(/-/g, ""), slug]).sort((a, b) => b[0].length - a[0].length);
  const words = /^([\d.,]+k?) ?[×x]? ?([a-z][a-z]*[ -]?v?\d+\w*?)s?(?:[ -]+(?:for )?| for )(.+)$/i.exec(clean);
  const named = words && known.find(([bare]) => bare === words[2].toLowerCase().replace(/[ -]/g, ""));
  if (!named) {
    const found = read(clean, "flop");
    if (words && found.error) return { error: `No device ${words[2]}; there are ${Object.keys(devices).join(", ")}.` };
    return found.error ? { error: found.error } : { by: "flop", C: clean };
  }
  const time = /^\d/.test(words[3]) ? words[3] : `1 ${words[3].replace(/^-/, "")}`; // "3 A100 days": one day each
  const [many, hours] = [read(words[1], "count"), read(time, "hours")];
  return many.error || hours.error ? { error: many.error ?? hours.error } : { by: "gpus", gpus: words[1], device: named[1], time };
}

// -- the way back ----------------------------------------------------------------------------------------------------
const SIZES = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];
export function short(x, digits = 3) {
  if (Number.isNaN(x)) return "none";
  if (!Number.isFinite(x)) return "∞";
  const rounded = Number(x.toPrecision(digits)); // first: 999.9M is 1B
  for (const [size, letter] of SIZES)
    if (Math.abs(rounded) >= size && Math.abs(rounded) < 1e15) return `${Number((rounded / size).toPrecision(digits))}${letter}`;
  if (rounded !== 0 && (Math.abs(rounded) >= 1e15 || Math.abs(rounded) < 1e-3)) return x.toExponential(digits - 1).replace("e+", "e").replace(/\.?0+e/, "e");
  return String(rounded);
}
export const gigabytes = (bytes) => {
  const [size, unit] = bytes >= 1e12 ? [1e12, "TB"] : bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${Number((bytes / size).toPrecision(3))} ${unit}`;
};
export const percent = (share) => {
  if (!Number.isFinite(share)) return "no budget";
  if (share < 5e-6) return "0";
  return share >= 10 ? `×${Number((1 + share).toPrecision(3))}` : `+${Number((100 * share).toPrecision(2 + (share >= 1)))} %`;
};
