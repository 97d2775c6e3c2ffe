// The replay: what time it is, and what hands and keys do to it.

const element = (id) => document.getElementById(id);
const spreads = data.messages.map((message) => new Spread(message));

/** A whole replay at speed 1, in milliseconds. */
const REPLAY_MS = 8000;
const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4];

const ICONS = { play: "M6 3v18l15-9z", pause: "M5 3h5v18H5zM14 3h5v18h-5z" };

const graph = new Graph(element("graph"), showDetails);
const curve = new Curve(element("curve"), (moment) => { pause(); seek(pace.position(moment)); });
const slider = element("seek");

let spread = spreads[0];
let pace = null;
/** Where on the time line we are, in the units of the pace. */
let position = 0;
/** When the last frame was drawn; null while nothing moves. */
let playing = null;

function choose(index) {
  pause();
  spread = spreads[index];
  element("message").selectedIndex = index;
  element("text").textContent = shortened(spread.message.text);
  element("about").textContent = about(spread.message);
  graph.show(spread);
  curve.show(spread);
  showFigures(spread.message.figures);
  showLegend();
  graph.pick(null);
  setPace(spread.straggles() ? "even" : "time", 0);
}

function setPace(kind, moment) {
  pace = new Pace(spread, kind);
  element("pace").value = kind;
  slider.max = pace.length;
  seek(pace.position(moment));
}

/** Goes to a position and shows it. */
function seek(to) {
  position = Math.min(pace.length, Math.max(0, to));
  const time = pace.moment(position);
  const count = spread.count(time);
  const have = spread.have(count);
  graph.at(time, playing !== null);
  curve.at(time);
  const coverage = percent(spread.coverage(count));
  const nodes = spread.message.figures.coverage.nodes;
  element("time").textContent = span(time);
  element("coverage").textContent = coverage;
  element("have").textContent = `${have} of ${nodes}`;
  if (document.activeElement !== slider || playing === null) {
    slider.setAttribute("aria-valuetext", `${span(time)}, ${have} of ${nodes} nodes`);
  }
  slider.value = position;
}

function play() {
  if (position >= pace.length) seek(0);
  playing = performance.now();
  showPlaying();
  requestAnimationFrame(frame);
}

function pause() {
  playing = null;
  showPlaying();
}

function frame(now) {
  if (playing === null) return;
  const speed = SPEEDS[element("speed").selectedIndex];
  const to = position + (Math.max(0, now - playing) / REPLAY_MS) * speed * pace.length;
  playing = now;
  seek(to);
  if (position >= pace.length) pause();
  else requestAnimationFrame(frame);
}

function showPlaying() {
  const button = element("play");
  button.querySelector("path").setAttribute("d", playing === null ? ICONS.play : ICONS.pause);
  button.setAttribute("aria-label", playing === null ? "Play" : "Pause");
}

/** To the next moment at which something arrives, or the one before. */
function step(forward) {
  pause();
  seek(pace.position(spread.neighbour(pace.moment(position), forward)));
}

function shiftSpeed(by) {
  const select = element("speed");
  select.selectedIndex = Math.min(SPEEDS.length - 1, Math.max(0, select.selectedIndex + by));
}

function toggleTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
}

/** What each key does. Those of the drawing come first while a node has the focus. */
const KEYS = {
  " ": () => (playing === null ? play() : pause()),
  ArrowRight: () => step(true),
  ArrowLeft: () => step(false),
  ArrowUp: () => shiftSpeed(1),
  ArrowDown: () => shiftSpeed(-1),
  Home: () => { pause(); seek(0); },
  End: () => { pause(); seek(pace.length); },
  m: () => choose((spreads.indexOf(spread) + 1) % spreads.length),
  t: toggleTheme,
  "+": () => graph.zoom(1.4),
  "-": () => graph.zoom(1 / 1.4),
  f: () => graph.fit(),
};
const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target;
  // Lists and buttons have keys of their own; the time line's are ours.
  if (on.tagName === "SELECT") return;
  if (event.key === " " && (on.tagName === "BUTTON" || on.tagName === "SUMMARY")) return;
  const node = graph.nodes.indexOf(on);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (node >= 0 && DIRECTIONS[key]) graph.walk(node, DIRECTIONS[key]);
  else if (KEYS[key]) KEYS[key]();
  else if (key >= "0" && key <= "9") { pause(); seek((pace.length * Number(key)) / 10); }
  else return;
  event.preventDefault();
});

/** A node's time, hop and path; for none, what there is to look for. */
function showDetails(index) {
  const box = element("details");
  box.replaceChildren();
  const add = (name, text) => {
    const line = document.createElement(name);
    line.textContent = text;
    box.append(line);
  };
  if (index === null) return add("p", "Point at a node to see when it got the message, and over which path.");
  const [title, ...sentences] = describe(spread.message, index);
  add("h2", title);
  sentences.forEach((sentence) => add("p", sentence));
  const path = spread.message.receipts[index]?.path ?? [];
  if (path.length > 1) add("p", path.map((number) => number ?? "…").join(" ➜ "));
}

const NAMES = [
  ["Time to 50\u00a0%", (figures) => figures.time_to_us.p50, span],
  ["Time to 90\u00a0%", (figures) => figures.time_to_us.p90, span],
  ["Time to 99\u00a0%", (figures) => figures.time_to_us.p99, span],
  ["Time to all", (figures) => figures.time_to_us.p100, span],
  ["Hop latency", (figures) => figures.hop_latency_us, span],
  ["Last delivery hop", (figures) => figures.last_delivery_hop, plain],
  ["Copies", (figures) => figures.copies, plain],
  ["Redundancy", (figures) => figures.relative_message_redundancy, plain],
  ["Bytes", (figures) => figures.bytes, plain],
];

function showFigures(figures) {
  const rows = NAMES.flatMap(([name, of, write]) => {
    const figure = of(figures);
    if (!figure) return [];
    const row = document.createElement("tr");
    const cell = (kind, text) => {
      const made = document.createElement(kind);
      made.textContent = text;
      row.append(made);
    };
    cell("th", name);
    row.firstChild.scope = "row";
    for (const value of [figure.value, figure.floor, figure.theory]) {
      cell("td", value === null || value === undefined ? "" : write(value));
    }
    return [row];
  });
  element("figures").tBodies[0].replaceChildren(...rows);
}

/** What the looks mean, as far as they occur. */
function showLegend() {
  const { message, hops } = spread;
  const box = element("legend");
  box.replaceChildren();
  const shades = document.createElement("span");
  shades.className = "shades";
  shades.append("Hops");
  const count = hops > 9 ? 6 : hops;
  for (let at = 0; at <= count; at++) {
    const hop = Math.round((at * hops) / Math.max(1, count));
    const patch = document.createElement("b");
    const [fill, text] = data.shades[shadeOf(hop, hops)];
    patch.textContent = hop;
    patch.style.background = fill;
    patch.style.color = text;
    shades.append(patch);
  }
  box.append(shades);
  const entry = (classes, words) => {
    const span = document.createElement("span");
    const svg = make("svg", { viewBox: "-0.7 -0.7 1.4 1.4", "aria-hidden": "true" });
    const group = make("g", { class: classes }, svg);
    if (classes.startsWith("node")) {
      make("circle", { class: "rim", r: 0.62 }, group);
      make("circle", { class: "disc", r: 0.5 }, group);
    } else {
      make("line", { class: classes, x1: -0.7, x2: 0.7, y1: 0, y2: 0 }, group);
    }
    span.append(svg, words);
    box.append(span);
  };
  entry("node origin", "origin");
  entry("tree on", "first copy");
  entry("link", "link");
  const some = (list, state) => list.some((one) => one === state);
  if (message.lacks.some((lacks, index) => lacks && !message.off[index])) entry("node lacks", "without it");
  if (some(message.off, true)) entry("node off", "gone");
  if (message.links.some(([, , state]) => state === "lost")) entry("link out", "out of use");
  if (message.links.some(([, , state]) => state === "cut")) entry("link cut", "cut");
  const theory = document.createElement("span");
  theory.textContent = curve.theory.length ? "Coverage over time; dotted: every hop as long as the median hop" : "Coverage over time";
  element("curve-caption").replaceChildren(theory);
}

/** Nobody reads 60 KB on a slide. */
function shortened(text) {
  const letters = Array.from(text.slice(0, 2000));
  return letters.length > 500 ? `${letters.slice(0, 500).join("")}… (${plain(text.length)} characters)` : text;
}

function about(message) {
  const when = new Date(message.sent_at_ms).toLocaleString("sv");
  return `${data.network} · ${data.topology} · ${data.nodes.length} nodes · ${when}`;
}

function begin() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", follow);
  follow();
  for (const { id, text } of data.messages) {
    element("message").append(new Option(`${id}  ${Array.from(text.slice(0, 80)).slice(0, 24).join("")}`));
  }
  for (const speed of SPEEDS) element("speed").append(new Option(`${speed} ×`));
  element("speed").selectedIndex = SPEEDS.indexOf(1);
  element("message").addEventListener("change", (event) => choose(event.target.selectedIndex));
  element("pace").addEventListener("change", (event) => setPace(event.target.value, pace.moment(position)));
  element("play").addEventListener("click", KEYS[" "]);
  element("previous").addEventListener("click", () => step(false));
  element("next").addEventListener("click", () => step(true));
  element("theme").addEventListener("click", toggleTheme);
  element("zoom-in").addEventListener("click", KEYS["+"]);
  element("zoom-out").addEventListener("click", KEYS["-"]);
  element("zoom-fit").addEventListener("click", KEYS.f);
  slider.addEventListener("input", () => { pause(); seek(Number(slider.value)); });
  choose(0);
  // `spread.html#60` opens at 60 % of the way.
  const share = Number(location.hash.slice(1));
  if (share > 0) seek((pace.length * share) / 100);
}

begin();
