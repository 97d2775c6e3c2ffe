// The network as a drawing, and what of it changes from moment to moment.

/** Makes an SVG element. */
function make(name, attributes = {}, parent = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

class Graph {
  /** `onPick` is told which node is looked at, or null. */
  constructor(svg, onPick) {
    this.svg = svg;
    this.onPick = onPick;
    this.picked = null;
    this.margins();
    this.links = make("g", {}, svg);
    this.trees = make("g", {}, svg);
    this.path = make("polyline", { class: "path", points: "" }, svg);
    this.copies = make("g", {}, svg);
    const nodes = make("g", {}, svg);
    this.nodes = data.nodes.map((node, index) => this.makeNode(node, index, nodes));
    this.nodes[0]?.setAttribute("tabindex", "0");
    this.listen();
    this.fit();
    new ResizeObserver(() => this.legible()).observe(svg);
  }

  /** The part of the plane that holds all nodes. */
  margins() {
    const reach = (at) => data.nodes.flatMap((node) => [node[at] - node.d, node[at] + node.d]);
    const [x, y] = [reach("x"), reach("y")];
    const [left, top] = [Math.min(...x), Math.min(...y)];
    this.whole = { x: left, y: top, w: Math.max(...x) - left, h: Math.max(...y) - top };
  }

  makeNode(node, index, parent) {
    const group = make("g", {
      class: "node", role: "button", tabindex: "-1", "data-node": node.n,
      transform: `translate(${node.x} ${node.y})`,
    }, parent);
    make("circle", { class: "rim", r: node.d / 2 + 0.12 }, group);
    make("circle", { class: "disc", r: node.d / 2 }, group);
    const number = make("text", {}, group);
    number.textContent = node.n;
    if (node.d > 1) number.style.fontSize = `${0.42 * node.d}px`;
    group.addEventListener("pointerenter", () => this.pick(index));
    group.addEventListener("pointerleave", () => this.pick(null));
    group.addEventListener("click", () => group.focus());
    group.addEventListener("focus", () => this.reach(index));
    group.addEventListener("blur", () => this.pick(null));
    return group;
  }

  /** Shows another message: its shades, its tree, who lacks it. */
  show(spread) {
    this.spread = spread;
    this.shown = 0;
    this.links.replaceChildren();
    for (const [a, b, state] of spread.message.links) {
      const kind = state === "lost" ? " out" : state === "cut" ? " cut" : "";
      this.line(a, b, `link${kind}`, this.links);
    }
    this.nodes.forEach((group, index) => this.dress(group, index));
    this.trees.replaceChildren();
    this.copies.replaceChildren();
    this.flights = spread.flights.map((flight) => ({
      ...flight,
      line: this.line(flight.from, flight.node, "tree", this.trees),
      head: this.arrow(flight.from, flight.node),
      dot: make("circle", { class: "copy", r: 0.22 }, this.copies),
      state: "",
    }));
  }

  /** How a node looks apart from time. */
  dress(group, index) {
    const { receipts, lacks, off, origin } = this.spread.message;
    const receipt = receipts[index];
    const classes = ["node"];
    if (index === origin) classes.push("origin");
    if (off[index]) classes.push("off");
    else if (lacks[index]) classes.push("lacks");
    group.setAttribute("class", classes.join(" "));
    const [fill, text] = data.shades[receipt ? shadeOf(receipt.hops, this.spread.hops) : 0];
    group.style.setProperty("--shade", fill);
    group.style.setProperty("--on-shade", text);
    group.setAttribute("aria-label", describe(this.spread.message, index).join(". "));
  }

  line(a, b, kind, parent) {
    const [from, to] = [data.nodes[a], data.nodes[b]];
    return make("line", { class: kind, x1: from.x, y1: from.y, x2: to.x, y2: to.y }, parent);
  }

  /** The head of an arrow that touches the receiver. */
  arrow(a, b) {
    const [from, to] = [data.nodes[a], data.nodes[b]];
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const [x, y] = [(to.x - from.x) / length, (to.y - from.y) / length];
    const [tipX, tipY] = [to.x - x * (to.d / 2 + 0.02), to.y - y * (to.d / 2 + 0.02)];
    const corner = (side) =>
      `${tipX - 0.42 * x - side * 0.2 * y},${tipY - 0.42 * y + side * 0.2 * x}`;
    const points = `${tipX},${tipY} ${corner(1)} ${corner(-1)}`;
    return make("polygon", { class: "head", points }, this.trees);
  }

  /** Shows a moment. `playing` lets what arrives catch the eye. */
  at(time, playing) {
    const count = this.spread.count(time);
    const { deliveries } = this.spread;
    for (let index = this.shown; index < count; index++) {
      const group = this.nodes[deliveries[index].node];
      group.classList.add("has");
      group.classList.toggle("fresh", playing);
    }
    for (let index = count; index < this.shown; index++) {
      this.nodes[deliveries[index].node].classList.remove("has", "fresh");
    }
    this.shown = count;
    for (const flight of this.flights) this.fly(flight, time);
  }

  /** A copy of the tree: not yet, under way, or arrived. */
  fly(flight, time) {
    const state = time >= flight.t ? "on" : time > flight.start && !still.matches ? "flying" : "";
    if (state === flight.state && state !== "flying") return;
    const [from, to] = [data.nodes[flight.from], data.nodes[flight.node]];
    const share = state === "flying" ? (time - flight.start) / (flight.t - flight.start) : 1;
    const [x, y] = [from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)];
    if (state !== flight.state) {
      flight.line.classList.toggle("on", state !== "");
      flight.head.classList.toggle("on", state === "on");
      flight.dot.classList.toggle("on", state === "flying");
      flight.state = state;
    }
    flight.line.setAttribute("x2", x);
    flight.line.setAttribute("y2", y);
    flight.dot.setAttribute("cx", x);
    flight.dot.setAttribute("cy", y);
  }

  /** A node is looked at: its path stands out. Without one, the focused node is. */
  pick(index) {
    const focused = this.nodes.indexOf(document.activeElement);
    const picked = index ?? (focused < 0 ? null : focused);
    if (this.picked !== null) this.nodes[this.picked].classList.remove("picked");
    this.picked = picked;
    this.drawPath();
    if (picked !== null) this.nodes[picked].classList.add("picked");
    this.onPick(picked);
  }

  drawPath() {
    const receipt = this.picked === null ? null : this.spread.message.receipts[this.picked];
    const path = (receipt?.path ?? []).map((number) => data.nodes[indexOf.get(number)]);
    // Where the middle of a long path is not known, there is a gap that no line can show.
    const whole = path.every(Boolean);
    this.path.setAttribute("points", whole ? path.map(({ x, y }) => `${x},${y}`).join(" ") : "");
  }

  /** One node at a time can be reached with Tab, the last one looked at. */
  reach(index) {
    for (const group of this.nodes) {
      if (group.getAttribute("tabindex") === "0") group.setAttribute("tabindex", "-1");
    }
    this.nodes[index].setAttribute("tabindex", "0");
    this.pick(index);
  }

  /** Goes from a node to the nearest one in a direction. */
  walk(from, [dx, dy]) {
    const here = data.nodes[from];
    let best = null;
    let least = Infinity;
    data.nodes.forEach((node, index) => {
      const [x, y] = [node.x - here.x, node.y - here.y];
      const along = x * dx + y * dy;
      const across = Math.abs(x * dy - y * dx);
      // Within a right angle around the direction, and rather ahead than beside.
      if (along > 1e-6 && across <= along && along + 2 * across < least) {
        least = along + 2 * across;
        best = index;
      }
    });
    if (best !== null) this.nodes[best].focus();
  }

  listen() {
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.point(event));
    }, { passive: false });
    let last = null;
    this.svg.addEventListener("pointerdown", (event) => { last = this.point(event); });
    this.svg.addEventListener("pointermove", (event) => {
      if (!last || !(event.buttons & 1) || !this.svg.classList.contains("zoomed")) return;
      const now = this.point(event);
      this.view = { ...this.view, x: this.view.x + last.x - now.x, y: this.view.y + last.y - now.y };
      this.look();
    });
    addEventListener("pointerup", () => { last = null; });
  }

  /** Where in the plane an event happened. */
  point(event) {
    return new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(this.svg.getScreenCTM().inverse());
  }

  fit() {
    this.view = { ...this.whole };
    this.look();
  }

  zoom(factor, around = null) {
    const { x, y, w, h } = this.view;
    const centre = around ?? { x: x + w / 2, y: y + h / 2 };
    const width = Math.max(4, w / factor);
    if (width >= this.whole.w) return this.fit();
    const share = width / w;
    this.view = {
      x: centre.x - (centre.x - x) * share, y: centre.y - (centre.y - y) * share,
      w: width, h: h * share,
    };
    this.look();
  }

  look() {
    const { x, y, w, h } = this.view;
    this.svg.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
    this.svg.classList.toggle("zoomed", w < this.whole.w - 1e-9);
    this.legible();
  }

  /** Numbers too small to read only blur the picture. */
  legible() {
    const pixels = this.svg.getScreenCTM()?.a ?? 0;
    this.svg.classList.toggle("few", pixels < 12);
  }
}

/** The node of a number. */
const indexOf = new Map(data.nodes.map((node, index) => [node.n, index]));

/** Which of the shades stands for so many hops. */
function shadeOf(hops, most) {
  return Math.round((hops / Math.max(1, most)) * (data.shades.length - 1));
}

/** What is known of a message at a node, in sentences. */
function describe(message, index) {
  const node = data.nodes[index].n;
  const receipt = message.receipts[index];
  if (!receipt) return [`Node ${node}`, message.lacks[index] ?? "nothing is known"];
  const hops = receipt.hops === 1 ? "1 hop" : `${receipt.hops} hops`;
  if (receipt.hops === 0) return [`Node ${node}`, "The message started here"];
  const from = receipt.from === null ? "" : ` from node ${data.nodes[receipt.from].n}`;
  const repaired = receipt.repaired ? ", by repair" : "";
  return [`Node ${node}`, `${span(receipt.t)} after sending, ${hops}${from}${repaired}`];
}
