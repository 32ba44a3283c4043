// The operator's page. It reads GET /api/status, and writes what it reads as text: no markup is made from it.

const EVERY = 15_000; // ms from an answer to the next request
const TIMEOUT = 10_000; // ms until a request is given up
const STORED = "prebooking.token";
const DAY = 86_400_000;
const SHAPES = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", // circle
  "M-3.5-3.5h7v7h-7z", // square
  "M0-4.8L4.5 3.4h-9z", // triangle
  "M0-5L5 0L0 5L-5 0z", // diamond
  "M-4.5-3.4h9L0 4.8z", // triangle upside down
  "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", // plus
];
const FORGOTTEN = "forgotten"; // what the database stores in place of the address of a member who is forgotten
const DIRECTIONS = /[\u202a-\u202e\u2066-\u2069]/g; // characters that turn the text around them
const UNREADABLE = "The answer could not be read.";
const NOT_ACCEPTED = "This token was not accepted. It has to be the value of STATUS_SECRET in this deployment, which is not CRON_SECRET.";
const EMPTY_FIGURES = { p50: null, p95: null, max: null };

const $ = (selector) => document.querySelector(selector);
const count = new Intl.NumberFormat("en-GB");
const addresses = new Map(); // id of a prebooking -> the whole address, once somebody has asked for it
const looks = new Map(); // name of a venue -> the number of its colour and shape
let token = null;
let data = null; // the last answer
let ahead = 0; // ms by which the database's clock is ahead of this machine's
let trouble = null; // why the last request has no answer
let timer = 0;
let asking = null; // the AbortController of the request under way
let shownRow = null; // the time line that was asked for last

// The document ------------------------------------------------------------------------------------------------------

const SVG_TAGS = new Set(["svg", "g", "path", "circle", "rect", "line", "text", "title", "defs", "pattern"]);

function make(tag, attributes = {}, ...children) {
  const svg = SVG_TAGS.has(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  set(node, attributes);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Make one child per item, and keep those that are there already, so that focus and open details survive. */
function sync(parent, items, key, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Map();
  items.forEach((item, index) => {
    let name = String(key(item, index));
    while (wanted.has(name)) name += " again"; // two items may look alike, as two removed venues do
    wanted.set(name, item);
  });
  for (const [name, child] of old) if (!wanted.has(name)) child.remove();
  let next = parent.firstElementChild;
  for (const [name, item] of wanted) {
    let child = old.get(name);
    if (!child) {
      child = create(item);
      child.dataset.key = name;
    }
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
    update(child, item);
  }
}

// What a cell contains: texts, and these. A cell is filled anew only when its parts differ.
const when = (at, zone) => (at ? { kind: "when", at, zone, text: clock(at, zone) } : "unknown");
const distance = (at) => (at ? { kind: "distance", at } : "unknown");
const member = (id, masked) => ({ kind: "member", id, masked });
const opens = (id, label) => ({ kind: "opens", id, label });
const line = (...parts) => ({ kind: "line", parts });
const coloured = (level, text) => ({ kind: "coloured", level, text });
const folded = (summary, lines) => ({ kind: "folded", summary, lines });
const filled = new WeakMap();

const PARTS = {
  when: ({ at, zone, text }) => [make("time", { datetime: at, title: zone }, text), " ", ...PARTS.distance({ at })],
  distance: ({ at }) => [make("time", { class: "ago", datetime: at }, ago(at))],
  member: ({ id, masked }) => [who(id, masked)],
  opens: ({ id, label }) => [button(label, () => openTimeline(id))],
  line: ({ parts }) => [make("span", { class: "part" }, ...parts.flatMap(nodes))],
  coloured: ({ level, text }) => [make("span", { class: level }, text)],
  folded: ({ summary, lines }) => [
    make("details", {}, make("summary", {}, summary), ...lines.flatMap((parts) => nodes(line(...parts)))),
  ],
};

function nodes(part) {
  if (typeof part === "object") return PARTS[part.kind](part);
  return String(part).split("`").map((text, n) => (n % 2 ? make("code", {}, text) : text)); // `commands` are in backticks
}

function fill(node, parts) {
  const now = JSON.stringify(parts);
  if (filled.get(node) === now) return;
  filled.set(node, now);
  const controls = () => [...node.querySelectorAll("button, summary")];
  const focused = controls().indexOf(document.activeElement);
  const open = [...node.querySelectorAll("details")].map((one) => one.open);
  node.replaceChildren(...parts.flatMap(nodes));
  node.querySelectorAll("details").forEach((one, n) => (one.open = open[n] ?? false));
  if (focused >= 0) controls()[focused]?.focus({ preventScroll: true });
}

function button(label, press, attributes = {}) {
  const made = make("button", { type: "button", class: "text", ...attributes }, label);
  made.addEventListener("click", press);
  return made;
}

/** Write a table: `cells` returns an item's cells, each a list of parts. Below an empty one stands a sentence. */
function table(within, items, key, cells, sentence = "") {
  const body = $(`${within} tbody`);
  const numbers = [...body.parentElement.querySelectorAll("th")].map((head) => head.classList.contains("number"));
  const row = () => make("tr", {}, ...numbers.map((number) => make("td", number ? { class: "number" } : {})));
  sync(body, items, key, row, (node, item) => cells(item).forEach((parts, n) => fill(node.children[n], parts)));
  const empty = body.closest(".scroll").querySelector(".empty");
  body.parentElement.hidden = empty !== null && items.length === 0;
  if (empty) write(empty, items.length ? "" : sentence);
}

// Formats -----------------------------------------------------------------------------------------------------------

const formats = new Map();

function format(zone, options) {
  const name = zone + JSON.stringify(options);
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat("en-GB", { timeZone: known(zone), ...options }));
  return formats.get(name);
}

function known(zone) {
  try {
    return Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

/** Return the place of a time zone, for instance "Madrid" of Europe/Madrid. */
export function place(zone) {
  return known(zone) === "UTC" ? "UTC" : zone.split("/").at(-1).replaceAll("_", " ");
}

/** Return an instant on the clock of a time zone, with its name; with the date only if it is not within five days. */
export function clock(at, zone, digits = 0) {
  const far = Math.abs(new Date(at).getTime() - Date.now() - ahead) > 5 * DAY;
  const options = far ? { weekday: "short", day: "numeric", month: "short" } : { weekday: "short" };
  return `${format(zone, options).format(new Date(at)).replace(",", "")} ${hour(at, zone, digits)} ${place(zone)}`;
}

function hour(at, zone, digits = 0) {
  const exact = digits > 0 || new Date(at).getTime() % 60_000 >= 1000;
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (exact) options.second = "2-digit";
  if (digits) options.fractionalSecondDigits = digits;
  return format(zone, options).format(new Date(at));
}

/** Return a duration in one unit, or two of them where one is coarse. */
export function duration(ms) {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 99_500) return `${Math.round(ms / 1000)} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${Math.round(minutes / 1440)} days`;
}

/** Return how far an instant is from now. */
export function ago(at, now = Date.now() + ahead) {
  const ms = new Date(at).getTime() - now;
  if (Math.abs(ms) < 1000) return "now";
  const text = duration(Math.floor(Math.abs(ms) / 1000) * 1000).replace(".0 s", " s");
  return ms < 0 ? `${text} ago` : `in ${text}`;
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const plural = (n, one, many = `${one}s`) => `${count.format(n)} ${n === 1 ? one : many}`;

/** Return the time zone in which the axes are: that of most venues, or this browser's. */
function axisZone() {
  const zones = [...data.openings, ...data.in_doubt, ...data.logins].map((row) => row.timezone);
  const often = new Map();
  for (const zone of zones) often.set(zone, (often.get(zone) ?? 0) + 1);
  return [...often.keys()].sort((one, other) => often.get(other) - often.get(one))[0] ?? format(undefined, {}).resolvedOptions().timeZone;
}

// Scales ------------------------------------------------------------------------------------------------------------

/** Return a linear scale. */
export function linear([from, to], [start, end]) {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

/** Return the place of a lateness on an axis that is linear around 0 and logarithmic beyond. */
export function logarithm(ms) {
  return Math.sign(ms) * Math.log10(1 + Math.abs(ms) / 10);
}

/** Return the instants in a range at which a clock shows every n-th full hour. */
export function hours(from, to, zone, step) {
  const found = [];
  const shown = format(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  for (let at = Math.ceil(from / 900_000) * 900_000; at <= to; at += 900_000) {
    const [h, minute] = shown.format(at).split(":").map(Number);
    if (minute === 0 && h % step === 0) found.push(at);
  }
  return found;
}

/** Return the top of an axis of counts: 1, 2 or 5 times a power of ten. */
export function top(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= most);
}

// Plots -------------------------------------------------------------------------------------------------------------

/** Return the size of a plot, and how to write one of its layers. */
function canvas(within) {
  const svg = $(`${within} > svg`);
  const layer = (name) => svg.querySelector(`.${name}`) ?? svg.appendChild(make("g", { class: name }));
  const draw = (name, marks) =>
    sync(layer(name), marks, (mark) => mark.key, (mark) => make(mark.tag, mark.fixed), (node, mark) => {
      set(node, mark.at);
      if (mark.text !== undefined) write(node, mark.text);
    });
  return { svg, width: svg.clientWidth, height: svg.height.baseVal.value, draw };
}

const segment = (key, kind, x1, y1, x2, y2) => ({ key, tag: "line", fixed: { class: kind }, at: { x1, y1, x2, y2 } });
const label = (key, x, y, text, anchor = "start", kind = "") => ({
  key, tag: "text", fixed: { class: kind, "text-anchor": anchor }, at: { x, y }, text,
});

function timeAxis({ width, height, draw }, [from, to], zone, x, step, text) {
  const ticks = hours(from, to, zone, step).filter((at) => x(at) > 14 && x(at) < width - 14);
  draw("ticks", ticks.map((at) => segment(at, "grid", x(at), 0, x(at), height - 18)));
  draw("times", ticks.map((at) => label(at, x(at), height - 4, text(at), "middle")));
}

function drawOpenings() {
  const plot = canvas("#openings");
  const from = new Date(data.now).getTime();
  const zone = axisZone();
  const gutter = plot.width < 500 ? 0 : 96; // for the names, which stand above the lines where there is none
  const x = linear([from, from + DAY], [gutter + 12, plot.width - 18]);
  const venues = [...new Set(data.openings.map((row) => row.venue))];
  const lanes = Math.min(Math.max(venues.length, 1), 5);
  const y = (venue) => (Math.min(venues.indexOf(venue), lanes - 1) + (gutter ? 0.5 : 0.78)) * ((plot.height - 20) / lanes);
  const step = plot.width < 500 ? 6 : 3;
  timeAxis(plot, [from, from + DAY], zone, x, step, (at) => hour(at, zone));
  const names = venues.slice(0, lanes);
  if (venues.length > lanes) names[lanes - 1] = `${plural(venues.length - lanes + 1, "more venue")}`;
  plot.draw("lanes", names.map((_, n) => segment(n, "lane", gutter, y(venues[n]), plot.width, y(venues[n]))));
  plot.draw("names", names.map((name, n) => label(name, 0, y(venues[n]) - (gutter ? -4 : 15), short(name, gutter ? 15 : 40), "start", "strong")));
  const free = new Map(); // venue -> where its last number ends
  const marks = data.openings.map((row) => {
    const at = x(new Date(row.available_at).getTime());
    const r = Math.min(4 + Math.sqrt(row.waiting) * 1.2, 11);
    const end = at + r + 4 + 7 * String(row.waiting).length;
    const shown = at > (free.get(y(row.venue)) ?? 0) && end < plot.width;
    if (shown) free.set(y(row.venue), end);
    return { row, at, r, shown, key: `${row.venue} ${row.available_at}` };
  });
  plot.draw("dots", marks.map(({ row, at, r, key }) => ({
    key, tag: "circle", fixed: {}, at: { cx: at, cy: y(row.venue), r, class: row.problems.length ? "opening trouble" : "opening" },
  })));
  plot.draw("numbers", marks.filter((mark) => mark.shown).map(({ row, at, r, key }) =>
    label(key, at + r + 3, y(row.venue) - 4, `${row.waiting}${row.problems.length ? " !" : ""}`, "start", "strong")));
  const bad = data.openings.filter((row) => row.problems.length).length;
  set(plot.svg, { "aria-label": `${plural(data.openings.length, "opening")} in 24 hours, ${bad} with problems. The table has them all.` });
  write($("#openings-note"), `24 hours on the clock of ${place(zone)}`);
}

function drawLateness() {
  const { venues, dots, calls, shown } = data.lateness;
  const plot = canvas("#lateness");
  const to = new Date(data.now).getTime();
  const zone = axisZone();
  const left = 54;
  const x = linear([to - 7 * DAY, to], [left + 8, plot.width - 8]);
  const all = dots.map((dot) => dot[2]);
  const range = [Math.min(0, ...all), Math.max(10_000, ...all) * 1.2].map(logarithm);
  const y = linear(range, [plot.height - 26, 12]);
  const levels = [-1000, -100, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000].filter((ms) => logarithm(ms) > range[0] && logarithm(ms) < range[1]);
  const days = (at) => format(zone, { weekday: "short", day: "numeric" }).format(at).replace(",", "");
  timeAxis(plot, [to - 7 * DAY, to], zone, x, 24, plot.width < 500 ? (at) => days(at).split(" ")[1] : days);
  plot.draw("grids", levels.map((ms) => segment(ms, "grid", left, y(logarithm(ms)), plot.width, y(logarithm(ms)))));
  plot.draw("levels", [
    ...levels.map((ms) => label(ms, left - 6, y(logarithm(ms)) + 4, duration(ms).replace(".0", ""), "end")),
    label("opening", left - 6, y(0) + 4, "opening", "end", "strong"),
    label("50", left - 6, y(logarithm(50)) + 4, "50 ms", "end", "mark"),
  ]);
  plot.draw("lines", [
    segment("opening", "axis", left, y(0), plot.width, y(0)),
    segment("50", "mark", left, y(logarithm(50)), plot.width, y(logarithm(50))),
  ]);
  plot.draw("dots", dots.map(([id, at, ms, venue]) => ({
    key: `${id} ${at}`,
    tag: "path",
    fixed: { role: "button", tabindex: -1, "data-id": id, "data-venue": venue },
    at: {
      ...lookOf(venues[venue]),
      transform: `translate(${x(new Date(at).getTime()).toFixed(1)} ${y(logarithm(ms)).toFixed(1)})`,
      "aria-label": `${venues[venue]}, ${duration(Math.abs(ms))} ${ms < 0 ? "before" : "after"} the opening, ${clock(at, zone)}`,
    },
  })));
  const first = plot.svg.querySelector('.dot[tabindex="0"]') ?? plot.svg.querySelector(".dot");
  if (first) set(first, { tabindex: 0 });
  set(plot.svg, { "aria-label": `Lateness of ${plural(calls, "call")}. The arrow keys go from call to call, Enter opens a time line.` });
  sync($("#lateness .legend"), venues, (name) => name, legend, () => {});
  const figures = calls ? data.lateness : EMPTY_FIGURES;
  const shape = (ms) => (ms === null ? "–" : duration(ms));
  const pairs = [["median", shape(figures.p50)], ["95 of 100 under", shape(figures.p95)], ["latest", shape(figures.max)], ["calls", count.format(calls)]];
  sync($("#lateness-figures"), pairs, ([name]) => name, ([name]) => make("div", {}, make("dt", {}, name), make("dd")), (node, [, text]) => write(node.lastChild, text));
  if (!plot.svg.contains(document.activeElement)) write($("#readout"), calls ? many(shown, calls, zone) : "No call in the last 7 days.");
}

function many(shown, calls, zone) {
  const part = shown < calls ? `${count.format(shown)} of ${count.format(calls)} calls are drawn, the latest of them all. ` : "";
  return `${part}Days on the clock of ${place(zone)}. Click a call for its time line.`;
}

/** Return a venue's colour and shape, which it keeps; 36 venues have different ones. */
function lookOf(name) {
  if (!looks.has(name)) looks.set(name, looks.size);
  const [n, kinds] = [looks.get(name), SHAPES.length];
  return { class: `dot v${n % kinds}`, d: SHAPES[(n + Math.floor(n / kinds)) % kinds] };
}

function legend(name) {
  const key = make("svg", { class: "key", viewBox: "-6 -6 12 12", "aria-hidden": true });
  key.append(make("path", lookOf(name)));
  return make("li", {}, key, name);
}

function drawOutcomes() {
  const plot = canvas("#outcomes");
  const days = data.outcomes;
  const sum = (day) => day.completed + day.failed + day.cancelled;
  const most = top(Math.max(...days.map(sum), 0));
  const y = linear([0, most], [plot.height - 20, 14]);
  const left = 12 + 6.5 * count.format(most).length;
  const x = linear([0, days.length], [left, plot.width]);
  const wide = Math.max(x(1) - x(0) - 2, 1);
  plot.draw("grids", [0, most / 2, most].map((n, at) => segment(at, at ? "grid" : "axis", left, y(n), plot.width, y(n))));
  plot.draw("levels", [0, most / 2, most].filter(Number.isInteger).map((n) => label(n, left - 6, y(n) + 4, count.format(n), "end")));
  const bars = days.flatMap((day, n) => {
    let below = 0;
    return ["completed", "failed", "cancelled"].map((kind) => {
      const [base, tip] = [y(below), y((below += day[kind]))];
      return { key: `${day.day} ${kind}`, tag: "rect", fixed: { class: kind }, at: { x: x(n) + 1, y: tip, width: wide, height: base - tip } };
    });
  });
  plot.draw("bars", bars);
  const named = days.map((day, n) => ({ ...day, n })).filter(({ n }) => (days.length - 1 - n) % 7 === 0);
  plot.draw("times", named.map(({ day, n }) =>
    label(day, Math.min(x(n + 0.5), plot.width - 18), plot.height - 4, date(day), "middle")));
  const total = (kind) => count.format(days.reduce((all, day) => all + day[kind], 0));
  set(plot.svg, { "aria-label": `In 30 days ${total("completed")} completed, ${total("failed")} failed, ${total("cancelled")} cancelled. The table has each day.` });
}

const date = (day) => format("UTC", { day: "numeric", month: "short" }).format(new Date(`${day}T00:00Z`));

function drawRuns() {
  const { from, to, gaps, runs } = data.runs;
  const plot = canvas("#runs");
  const zone = axisZone();
  const range = [from, to].map((at) => new Date(at).getTime());
  const x = linear(range, [0, plot.width]);
  const at = (iso) => x(new Date(iso).getTime());
  timeAxis(plot, range, zone, x, plot.width < 500 ? 6 : 3, (instant) => hour(instant, zone));
  if (!plot.svg.querySelector("pattern")) {
    const hatch = make("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    hatch.append(make("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 }));
    plot.svg.append(make("defs", {}, hatch));
  }
  const alive = data.runs.triggers.length > 0;
  plot.draw("beats", alive ? [{ key: 0, tag: "rect", fixed: { class: "beat" }, at: { x: 0, y: 18, width: plot.width, height: 14 } }] : []);
  plot.draw("gaps", gaps.map((gap) => ({
    key: gap.from, tag: "rect", fixed: { class: "gap" },
    at: { x: at(gap.from), y: 18, width: Math.max(at(gap.to) - at(gap.from), 3), height: 14 },
  })));
  plot.draw("names", [label(0, 0, 12, "heartbeat", "start", "strong"), label(1, 0, 50, "runs with work: the taller, the longer", "start", "strong")]);
  const y = linear([0, logarithm(10_000)], [plot.height - 20, 58]);
  const ended = runs.filter((run) => !run.cut_off);
  plot.draw("runs", ended.map((run) =>
    segment(run.opened_at, "run", at(run.opened_at), plot.height - 18, at(run.opened_at), y(Math.min(logarithm(run.ms ?? 0), logarithm(10_000))) - 2)));
  plot.draw("cuts", runs.filter((run) => run.cut_off).map((run) => ({
    key: run.opened_at, tag: "path", fixed: { class: "cut", d: "M-5-5L5 5M5-5L-5 5" },
    at: { transform: `translate(${Math.min(Math.max(at(run.opened_at), 6), plot.width - 6)} 84)` },
  })));
  const longest = Math.max(...gaps.map((gap) => new Date(gap.to) - new Date(gap.from)));
  const cut = runs.length - ended.length;
  const said = gaps.length ? `${plural(gaps.length, "gap")}, the longest ${duration(longest)}` : "no gap";
  write($("#runs-zone"), `24 hours on the clock of ${place(zone)}`);
  write($("#runs-note"), `The heartbeat has ${alive ? said : "not begun"}. ${plural(runs.length, "run")} with work, ${cut ? `${count.format(cut)} cut off (×)` : "none cut off"}.`);
  set(plot.svg, { "aria-label": `Runs of 24 hours: ${said}, ${plural(runs.length, "run")} with work, ${cut} cut off. The table has them.` });
}

// Panels ------------------------------------------------------------------------------------------------------------

const LEVELS = { fail: "Fault", warn: "Warning" };

/** Return the level of the state, its headline and its sentence. */
function stateOf() {
  if (trouble) {
    const below = data ? ` Below is the state of ${clock(data.now, axisZone())}.` : "";
    return ["stale", data ? "Not up to date" : "No answer yet", `${trouble} The page tries again every 15 s.${below}`];
  }
  if (!data) return ["", "Loading", ""];
  const [first, ...others] = [...data.state.problems].sort((one, other) => one.level.localeCompare(other.level));
  if (!first) return ["ok", "All is well", "The triggers call, nothing is overdue, and no check has found anything."];
  return [first.level, first.text, `${first.cure ?? ""} ${others.length ? plural(others.length, "more problem") : ""}`];
}

function writeState() {
  const [level, headline, sentence] = stateOf();
  set($("#state"), { "data-level": level });
  fill($("#headline"), [headline]);
  fill($("#sentence"), [sentence.trim()]);
  const found = level === "fail" || level === "warn" ? plural(data.state.problems.length, "problem") : headline;
  document.title = `${found} · Prebooking scheduler`;
}

function writePanels() {
  const { problems } = data.state;
  sync($("#problems ul"), problems, (problem, n) => `${problem.code} ${n}`, () => make("li"), (node, problem) =>
    fill(node, [coloured(`level ${problem.level}`, `${LEVELS[problem.level] ?? problem.level}: `), problem.text, line(problem.cure ?? "")]));
  write($("#problems .empty"), problems.length ? "" : "Nothing. This list has every check that can be made from inside.");
  table("#openings", data.openings, (row) => `${row.venue} ${row.available_at}`, openingCells, "Nothing opens in the next 24 hours.");
  table("#failures", data.failures, (row) => row.outcome, (row) => [[count.format(row.count)], [`${row.text} `, coloured("soft", row.outcome)]], "No failure in 30 days.");
  table("#doubt", data.in_doubt, (row) => row.id, doubtCells, "No call is without a clear answer.");
  write($("#doubt-note"), data.in_doubt_count ? plural(data.in_doubt_count, "row") : "");
  table("#triggers", data.runs.triggers, (row) => row.trigger, (row) => [[row.trigger], [when(row.last_at, axisZone())], [row.count === null ? "" : count.format(row.count)]], "No trigger has called yet.");
  table("#logins", data.logins, (row) => `${row.member} ${row.venue} ${row.needed_at}`, loginCells, "No login is needed.");
  table("#messages", messages(), (row) => row.key, (row) => row.cells, "Every message was delivered.");
  write($("#messages-note"), data.messages.waiting ? `${count.format(data.messages.waiting)} waiting` : "");
  table("#repeats", data.repeats, (row) => `${row.member} ${row.venue} ${row.text}`, (row) => [[line(row.member), row.venue], [row.text]], "Every repeat makes its prebookings.");
}

function openingCells(row) {
  const lines = row.rows.map((one) => [
    member(one.id, one.member), ` ${one.class_name ?? ""} `, one.problem ? coloured("warn", one.problem) : "", " ", opens(one.id, "time line"),
  ]);
  const hidden = row.waiting - row.rows.length;
  if (hidden > 0) lines.push([`and ${count.format(hidden)} more`]);
  const problems = row.problems.map((problem) => line(coloured("fail", `${count.format(problem.count)} × ${problem.text}`)));
  const nothing = problems.length ? [] : [coloured("soft", "nothing known")];
  return [[when(row.available_at, row.timezone)], [line(row.venue), `${count.format(row.waiting)} waiting`], [...problems, ...nothing, folded("Who waits", lines)]];
}

function doubtCells(row) {
  const next = row.next_question_at ? [line("next query: ", distance(row.next_question_at))] : [];
  return [
    [line(member(row.id, row.member)), line(row.class_name ?? ""), line(row.venue)],
    [when(row.since, row.timezone)],
    [row.text, ` ${plural(row.calls, "call")}. `, ...next, opens(row.id, "time line")],
  ];
}

function loginCells(row) {
  const ends = row.ends_at ? [line("ends ", distance(row.ends_at))] : [];
  return [[line(row.member), row.venue], [when(row.needed_at, row.timezone)], [coloured(row.level, row.text), ...ends]];
}

function messages() {
  const { dead, failing } = data.messages;
  return [
    ...failing.map((row, n) => ({ key: `failing ${n} ${row.kind}`, cells: [[line(row.kind), row.member ?? ""], [coloured("fail", row.text)], [distance(row.since)]] })),
    ...dead.map((row) => ({ key: `dead ${row.event} ${row.kind}`, cells: [[row.kind], [coloured("warn", `${count.format(row.count)} × ${row.event}, given up`)], ["in a day"]] })),
  ];
}

/** Write the tables behind the plots, if somebody has opened them. */
function writeDetails() {
  const zone = axisZone();
  if ($("#lateness details").open) {
    const { dots, venues } = data.lateness;
    const latest = [...dots].sort((one, other) => other[2] - one[2]);
    table("#lateness", latest, ([id, at]) => `${id} ${at}`, ([id, at, ms, venue]) => [[when(at, zone)], [venues[venue]], [duration(ms)], [opens(id, "time line")]]);
  }
  if ($("#outcomes details").open) {
    table("#days", [...data.outcomes].reverse(), (day) => day.day, (day) => [[date(day.day)], ...["completed", "failed", "cancelled"].map((kind) => [count.format(day[kind])])]);
  }
  if ($("#runs details").open) {
    const gaps = data.runs.gaps.map((gap) => ({ at: gap.from, cells: [[coloured("fail", "no heartbeat")], [duration(new Date(gap.to) - new Date(gap.from))], [""]] }));
    const runs = data.runs.runs.map((run) => ({ at: run.opened_at, cells: [[run.cut_off ? coloured("fail", "run, cut off") : "run"], [run.ms === null ? "" : duration(run.ms)], [count.format(run.rows)]] }));
    const both = [...gaps, ...runs].sort((one, other) => new Date(other.at) - new Date(one.at));
    table("#strip", both, (row, n) => `${row.at} ${n}`, (row) => [[when(row.at, zone)], ...row.cells]);
  }
}

function draw() {
  if (!data || $("#board").hidden) return;
  for (const one of [drawOpenings, drawLateness, drawOutcomes, drawRuns, writePanels, writeDetails]) one();
  for (const area of document.querySelectorAll(".scroll")) {
    const scrolls = area.scrollHeight > area.clientHeight; // reachable with the keyboard only where it has to be
    if (scrolls || area === document.activeElement) set(area, { tabindex: 0, role: "region", "aria-label": area.dataset.name ?? area.querySelector("caption").textContent });
    else ["tabindex", "role", "aria-label"].forEach((name) => area.removeAttribute(name));
  }
}

/** Draw an answer. If a part of it has another form than expected, draw the last one and throw an Error for the reader. */
function take(answer) {
  const before = [data, ahead];
  [data, ahead] = [answer, new Date(answer.now).getTime() - Date.now()];
  try {
    draw();
  } catch (problem) {
    console.warn(problem);
    [data, ahead] = before;
    draw();
    throw new Error(UNREADABLE);
  }
}

function tick() {
  for (const node of document.querySelectorAll("time.ago")) write(node, ago(node.dateTime));
  write($("#age"), data ? `Version ${data.version} as of ${hour(data.now, axisZone(), 0)} ${place(axisZone())}, ${ago(data.now)}` : "");
}

// One prebooking ----------------------------------------------------------------------------------------------------

const STEPS = { added: "added", due: "opened", claimed: "claimed", sent: "sent", answered: "answered", settled: "settled" };

async function openTimeline(id) {
  const opener = document.activeElement;
  const dialog = $("#timeline");
  const mine = (shownRow = { token });
  write($("#timeline-title"), "Loading …");
  for (const part of ["#timeline-who", "#timeline-end", "#timeline-steps"]) $(part).replaceChildren();
  dialog.addEventListener("close", () => opener?.isConnected && opener.focus(), { once: true });
  dialog.showModal();
  $("#timeline-title").focus();
  try {
    const row = await request(`?prebooking=${encodeURIComponent(id)}`);
    if (shownRow === mine && token === mine.token) writeTimeline(row);
  } catch (problem) {
    if (shownRow !== mine || token !== mine.token) return;
    if (problem.status === 401) return signOut(NOT_ACCEPTED);
    write($("#timeline-title"), problem.status === 404 ? "This prebooking is not there any more" : "No answer");
    write($("#timeline-end"), problem.status === 404 ? "It may have been deleted." : problem.message);
  }
}

function writeTimeline(row) {
  const due = row.steps.find((step) => step.step === "due");
  write($("#timeline-title"), `${row.class_name ?? "A class"} at ${row.venue}`);
  $("#timeline-who").replaceChildren(who(row.id, row.member), make("span", { class: "soft" }, ` · times of ${row.timezone}`));
  write($("#timeline-end"), [row.status, row.outcome].filter(Boolean).join(": ") + (row.text ? `. ${row.text}` : ""));
  // The database's clock settles and the function's clock sends, so their difference could put the end before the call.
  const end = ({ step }) => Number(step === "settled");
  const steps = row.steps.filter((step) => step.at).sort((one, other) => end(one) - end(other) || new Date(one.at) - new Date(other.at));
  $("#timeline-steps").replaceChildren(...steps.map(({ step, at }) => {
    const offset = due ? new Date(at) - new Date(due.at) : null;
    const text = offset === null || step === "due" ? "" : `${offset < 0 ? "−" : "+"}${duration(Math.abs(offset))}`;
    return make("li", {}, make("strong", {}, STEPS[step] ?? step), make("time", { datetime: at }, clock(at, row.timezone, step === "added" ? 0 : 3)), make("span", { class: "soft" }, text));
  }));
}

/** Return a member: a button for the whole address, or a word where it was removed. */
function who(id, masked) {
  if (masked === FORGOTTEN) addresses.delete(id);
  return masked === FORGOTTEN ? masked : addressButton(id, masked);
}

function addressButton(id, masked) {
  const made = button(addresses.get(id) ?? masked, async () => {
    const mine = token;
    try {
      const answer = await request(`?member=${encodeURIComponent(id)}`);
      if (token !== mine) return;
      addresses.set(id, answer.member);
      write(made, answer.member);
      ["aria-label", "title"].forEach((name) => made.removeAttribute(name));
    } catch (problem) {
      if (problem.status === 401 && token === mine) return signOut(NOT_ACCEPTED);
      set(made, { title: "No answer: try again" });
    }
  });
  if (!addresses.has(id)) set(made, { title: "Show the whole address; this is logged", "aria-label": `${masked}: show the whole address; this is logged` });
  return made;
}

// Requests ----------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the endpoint, and return its JSON. Throws an Error whose message is for the reader. */
async function request(query, signal = AbortSignal.timeout(TIMEOUT)) {
  let answer;
  let body;
  try {
    answer = await fetch(`/api/status${query}`, {
      headers: { Authorization: `Bearer ${token}` }, cache: "no-store", credentials: "omit", redirect: "error", signal,
    });
    body = await answer.text();
  } catch (problem) {
    if (problem.name === "TimeoutError") throw new Error(`There was no answer within ${TIMEOUT / 1000} s.`);
    throw new Error(navigator.onLine ? "The endpoint could not be reached." : "This device is offline.");
  }
  if (!answer.ok) throw new Refused(answer.status, sentenceOf(answer.status, body));
  try {
    return JSON.parse(body, (_, value) => (typeof value === "string" ? value.replace(DIRECTIONS, "\ufffd") : value));
  } catch {
    throw new Error(UNREADABLE);
  }
}

/** Return whether an answer has all sections, so that it can be drawn. */
function isWhole(answer) {
  const lists = [answer?.state?.problems, answer?.lateness?.dots, answer?.runs?.runs, answer?.messages?.dead];
  const sections = ["openings", "outcomes", "failures", "in_doubt", "logins", "repeats"];
  return !Number.isNaN(Date.parse(answer?.now)) && lists.every(Array.isArray) && sections.every((name) => Array.isArray(answer[name]));
}

function sentenceOf(status, body) {
  if (body.includes('"server_not_configured"')) return "The deployment’s variables are incomplete or not valid: its log names them.";
  if (body.includes('"database_not_migrated"')) return "The database is older than the deployment. Run “prebooking init”.";
  if (body.includes('"no_answer_of_the_database"')) return "The database gave no answer: the deployment’s log has the error’s code.";
  return status >= 500 ? `The endpoint answered with an error (${status}): its log has the reason.` : `The endpoint answered ${status}.`;
}

/** Ask for the whole page's data; one request at a time. */
async function load() {
  if (asking || !token) return;
  clearTimeout(timer);
  const mine = (asking = new AbortController());
  const timeout = setTimeout(() => mine.abort(new DOMException("", "TimeoutError")), TIMEOUT);
  try {
    const answer = await request("", mine.signal);
    if (asking !== mine) return;
    if (!isWhole(answer)) throw new Error(UNREADABLE);
    trouble = null;
    show("board");
    take(answer);
    set($("#board"), { "aria-busy": false });
  } catch (problem) {
    if (asking !== mine) return;
    if (problem.status === 401) return signOut(NOT_ACCEPTED);
    if (problem.status === 404) return show("off");
    trouble = problem.message;
  } finally {
    clearTimeout(timeout);
    if (asking === mine) asking = null;
  }
  if ($("#board").hidden) return;
  writeState();
  tick();
  schedule();
}

function schedule(wait = EVERY) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(load, wait);
}

// Views -------------------------------------------------------------------------------------------------------------

function show(view) {
  for (const name of ["ask", "off", "board"]) $(`#${name}`).hidden = name !== view;
  $("#actions").hidden = view !== "board";
}

function signIn(given) {
  stop();
  if (!/^[!-~]+$/.test(given)) return signOut("A token has no spaces and only ASCII characters: copy it once more.");
  token = given;
  sessionStorage.setItem(STORED, token);
  write($("#refused"), "");
  $("#token").value = "";
  show("board");
  writeState();
  load();
}

function signOut(why = "") {
  stop();
  sessionStorage.removeItem(STORED);
  token = null;
  addresses.clear();
  for (const part of document.querySelectorAll("#board tbody, #board .list, #board svg.plot, #board .legend:not(#outcomes *), #lateness-figures")) part.replaceChildren();
  set($("#board"), { "aria-busy": true });
  if ($("#timeline").open) $("#timeline").close();
  document.title = "Prebooking scheduler";
  tick();
  show("ask");
  write($("#refused"), why);
  $("#token").focus();
}

/** Give up the request under way, and forget what was read. */
function stop() {
  clearTimeout(timer);
  asking?.abort();
  [asking, data, trouble] = [null, null, null];
}

/** Take the token from the address's fragment, which no server sees, and remove it there. */
function tokenOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) history.replaceState(null, "", location.pathname);
  return given;
}

function dots() {
  return [...document.querySelectorAll("#lateness .dot[role]")];
}

function nearest(event) {
  const distance = (dot) => {
    const box = dot.getBoundingClientRect();
    return Math.hypot(box.x + box.width / 2 - event.clientX, box.y + box.height / 2 - event.clientY);
  };
  const all = dots().map((dot) => [distance(dot), dot]).sort(([one], [other]) => one - other);
  return all.length && all[0][0] < 24 ? all[0][1] : null;
}

function focusDot(dot) {
  for (const other of document.querySelectorAll('#lateness .dot[tabindex="0"]')) set(other, { tabindex: -1 });
  set(dot, { tabindex: 0 });
  dot.focus({ preventScroll: true });
}

function steer(event) {
  const all = dots();
  const at = all.indexOf(event.target);
  if (at < 0) return;
  const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowUp: at + 1, ArrowDown: at - 1, PageUp: at - 20, PageDown: at + 20, Home: 0, End: all.length - 1 };
  if (event.key in moves) focusDot(all[Math.min(Math.max(moves[event.key], 0), all.length - 1)]);
  else if (event.key === "Enter" || event.key === " ") openTimeline(event.target.dataset.id);
  else return;
  event.preventDefault();
}

function start() {
  $("#ask").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn($("#token").value.trim());
  });
  $("#again").addEventListener("click", load);
  $("#retry").addEventListener("click", load);
  $("#forget").addEventListener("click", () => signOut());
  const plot = $("#lateness > svg");
  plot.addEventListener("keydown", steer);
  plot.addEventListener("focusin", (event) => write($("#readout"), event.target.getAttribute("aria-label")));
  plot.addEventListener("pointermove", (event) => write($("#readout"), nearest(event)?.getAttribute("aria-label") ?? $("#readout").textContent));
  plot.addEventListener("click", (event) => {
    const dot = nearest(event);
    if (!dot) return;
    focusDot(dot);
    openTimeline(dot.dataset.id);
  });
  for (const one of document.querySelectorAll(".panel > details")) one.addEventListener("toggle", draw);
  document.addEventListener("visibilitychange", () => {
    schedule(data ? Math.max(0, new Date(data.now).getTime() - ahead + EVERY - Date.now()) : 0);
  });
  addEventListener("online", load);
  addEventListener("offline", load);
  addEventListener("hashchange", () => {
    const given = tokenOfAddress();
    if (given !== null) signIn(given);
  });
  new ResizeObserver(draw).observe($("#board"));
  setInterval(() => document.hidden || tick(), 1000);
  const given = tokenOfAddress() ?? sessionStorage.getItem(STORED);
  if (given === null) show("ask");
  else signIn(given);
}

start();
