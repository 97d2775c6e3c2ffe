// What the page knows: the network, and how each message spread through it. No drawing here.
"use strict";

/** Everything this page shows. `nodes` and `links` are those of the network, by index. */
const data = JSON.parse(document.getElementById("data").textContent);

/** How one message spread, ready to be asked for any moment. */
class Spread {
  constructor(message) {
    this.message = message;
    /** Deliveries in the order in which they happened; the origin's is the first. */
    this.deliveries = [];
    message.receipts.forEach((receipt, node) => {
      if (receipt) this.deliveries.push({ node, ...receipt });
    });
    this.deliveries.sort((a, b) => a.t - b.t || a.hops - b.hops || a.node - b.node);
    this.times = this.deliveries.map((delivery) => delivery.t);
    /** The last delivery; never 0, so that there is a way to go. */
    this.end = Math.max(1, this.times.at(-1) ?? 1);
    this.hops = Math.max(0, ...this.deliveries.map((delivery) => delivery.hops));
    this.flights = this.deliveries.filter((delivery) => delivery.from !== null).map((delivery) => {
      const sender = message.receipts[delivery.from];
      // A sender that does not tell, or tells of a later copy, is no measure.
      const known = sender && sender.t <= delivery.t;
      return { ...delivery, start: known ? sender.t : delivery.t };
    });
  }

  /** How many nodes have it at this time. */
  count(time) {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The same with the origin, which had it though it may not tell (any more). */
  have(count) {
    return count + this.message.figures.coverage.have - this.deliveries.length;
  }

  coverage(count) {
    return this.have(count) / Math.max(1, this.message.figures.coverage.nodes);
  }

  /** The time of the next delivery, or of the one before. */
  neighbour(time, forward) {
    if (forward) return this.times.find((other) => other > time) ?? this.end;
    return this.times.findLast((other) => other < time) ?? 0;
  }

  /** Whether a few stragglers would squeeze all others into a corner of the time line. */
  straggles() {
    const middle = this.times[this.times.length >> 1] ?? 0;
    return this.end > 12 * Math.max(middle, 1);
  }
}

/**
 * The way from a position on the time line to a moment and back. "time": positions are
 * microseconds. "even": every delivery takes as long as any other.
 */
class Pace {
  constructor(spread, kind) {
    this.kind = kind;
    this.spread = spread;
    this.steps = [...new Set([0, ...spread.times, spread.end])];
    this.length = kind === "time" ? spread.end : this.steps.length - 1;
  }

  moment(position) {
    if (this.kind === "time") return position;
    const at = Math.min(Math.floor(position), this.steps.length - 2);
    return this.steps[at] + (position - at) * (this.steps[at + 1] - this.steps[at]);
  }

  position(moment) {
    if (this.kind === "time") return moment;
    const next = this.steps.findIndex((step) => step > moment);
    if (next < 0) return this.length;
    const before = this.steps[next - 1];
    return next - 1 + (moment - before) / (this.steps[next] - before);
  }
}

/** 850 µs, 1.25 ms, 12.5 s: three digits that count. */
function span(microseconds) {
  const [unit, size] = microseconds < 1000 ? ["µs", 1] : microseconds < 1e6 ? ["ms", 1e3] : ["s", 1e6];
  const value = microseconds / size;
  return `${value.toFixed(value >= 100 || size === 1 ? 0 : value >= 10 ? 1 : 2)} ${unit}`;
}

/** 1,234 or 2.31: whole numbers whole. */
function plain(value) {
  return value.toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : 2 });
}

/** 99.6 %, and 100 % only for all. */
function percent(share) {
  if (share >= 1) return "100 %";
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}
