// Coverage over time: what was, how far it has come, and what the theory of the flood says.

class Curve {
  /** `onSeek` is told the moment that was pointed at. */
  constructor(svg, onSeek) {
    this.svg = svg;
    const seek = (event) => {
      if (event.buttons & 1) onSeek(this.moment(event.clientX - svg.getBoundingClientRect().left));
    };
    svg.addEventListener("pointerdown", seek);
    svg.addEventListener("pointermove", seek);
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  show(spread) {
    this.spread = spread;
    const { distances, figures } = spread.message;
    const hop = figures.hop_latency_us?.value ?? 0;
    const reached = distances.filter((distance) => distance !== null).sort((a, b) => a - b);
    /** When so many nodes would have it if each hop took as long as the median one. */
    this.theory = hop > 0 ? reached.map((distance) => distance * hop) : [];
    this.end = Math.max(spread.end, this.theory.at(-1) ?? 0);
    // Stragglers would leave no room for the others on an even scale.
    this.log = spread.straggles();
    this.first = Math.max(1, spread.times.find((time) => time > 0) ?? 1);
    this.draw();
  }

  x(time) {
    const share = this.log
      ? Math.log1p(time / this.first) / Math.log1p(this.end / this.first)
      : time / this.end;
    return this.left + share * (this.right - this.left);
  }

  y(coverage) {
    return this.bottom - coverage * (this.bottom - this.top);
  }

  /** The time at a place, which may lie outside. */
  moment(x) {
    const share = Math.min(1, Math.max(0, (x - this.left) / (this.right - this.left)));
    const time = this.log
      ? this.first * Math.expm1(share * Math.log1p(this.end / this.first))
      : share * this.end;
    return Math.min(time, this.spread.end);
  }

  /** Steps up: at each of these times one node more, up to `until`. */
  steps(times, until) {
    const parts = [`M${this.x(0)} ${this.y(0)}`];
    let count = 0;
    for (const time of times) {
      if (time > until) break;
      parts.push(`H${this.x(time)}`);
      count += 1;
      parts.push(`V${this.y(this.spread.coverage(count))}`);
    }
    parts.push(`H${this.x(Math.min(until, this.end))}`);
    return parts.join("");
  }

  /** Draws all that stays while time passes. */
  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!this.spread || width === 0) return;
    const em = parseFloat(getComputedStyle(this.svg).fontSize);
    [this.left, this.right] = [3.1 * em, width - 0.6 * em];
    [this.top, this.bottom] = [0.7 * em, height - 1.3 * em];
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    for (const coverage of [0, 0.5, 1]) this.level(coverage, em);
    for (const time of this.ticks()) {
      const anchor = time === 0 ? "start" : this.x(time) > this.right - 2 * em ? "end" : "middle";
      const at = { x: this.x(time), y: height - 0.1 * em, "text-anchor": anchor };
      make("text", at, this.svg).textContent = span(time);
    }
    make("path", { class: "curve-all", d: this.steps(this.spread.times, this.end) }, this.svg);
    if (this.theory.length) {
      make("path", { class: "curve-theory", d: this.steps(this.theory, this.end) }, this.svg);
    }
    this.line = make("path", { class: "curve-now" }, this.svg);
    this.cursor = make("line", { class: "cursor", y1: this.top, y2: this.bottom }, this.svg);
    this.mark = make("circle", { class: "mark", r: 0.35 * em }, this.svg);
    this.at(this.time ?? 0);
  }

  level(coverage, em) {
    const y = this.y(coverage);
    make("line", { class: "axis", x1: this.left, x2: this.right, y1: y, y2: y }, this.svg);
    const place = { x: this.left - 0.4 * em, y: y + 0.28 * em, "text-anchor": "end" };
    make("text", place, this.svg).textContent = `${coverage * 100} %`;
  }

  /** Round times, not too many. */
  ticks() {
    if (this.log) {
      const powers = [];
      for (let power = 10 ** Math.ceil(Math.log10(this.first)); power < this.end; power *= 10) powers.push(power);
      const few = Math.ceil(powers.length / 4);
      return [0, ...powers.filter((_, at) => at % few === few - 1)];
    }
    const rough = this.end / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const times = [];
    for (let time = 0; time <= this.end; time += step) times.push(time);
    return times;
  }

  /** Shows a moment. */
  at(time) {
    this.time = time;
    if (!this.line) return;
    const x = this.x(time);
    this.line.setAttribute("d", this.steps(this.spread.times, time));
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.mark.setAttribute("cx", x);
    this.mark.setAttribute("cy", this.y(this.spread.coverage(this.spread.count(time))));
  }
}
