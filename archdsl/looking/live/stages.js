// What a stage gives, drawn: maps in a grid with their scale, vectors as bars. Colours, places and
// rounding are those of the pictures that `archdsl look` writes.

const CELL = 44;
const GAP = 4;
const LABEL = 13;
// Bars thinner than this are joined.
const THINNEST = 1.4;

// A number in three digits, with a true minus sign.
function short(value) {
  const size = Math.abs(value);
  let text = String(Number(value.toPrecision(3)));
  if (size >= 999.5) text = roundEven(value).toLocaleString("en");
  if (size && size < 1e-4) text = value.toExponential(2).replace(/\.?0+e/, "e").replace(/-(\d)$/, "-0$1");
  return text.replaceAll("-", "−");
}

function percentage(share) {
  if (share >= 0.9995 && share < 1) return "> 99.9 %";
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function largestOf(values) {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  return largest;
}

function smallestOf(values) {
  let smallest = Infinity;
  for (const value of values) if (value < smallest) smallest = value;
  return smallest;
}

// From numbers to colours, by the table that archdsl has.
class Colours {
  constructor(table, steps) {
    this.steps = steps;
    this.words = new Uint32Array(2 * steps + 1);
    const bytes = new Uint8Array(this.words.buffer);
    for (let i = 0; i < this.words.length; i++) bytes.set([table[3 * i], table[3 * i + 1], table[3 * i + 2], 255], 4 * i);
  }

  // Paints a map; the colours of ±largest are the strongest.
  paint(canvas, values, largest) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const words = new Uint32Array(image.data.buffer);
    const { steps } = this;
    const scale = largest ? steps / largest : 0;
    for (let i = 0; i < words.length; i++) {
      const index = Math.round(Math.min(steps, Math.max(-steps, values[i] * scale)));
      words[i] = this.words[index + steps];
    }
    context.putImageData(image, 0, 0);
  }
}

// The scale below maps: its colours, its ends, and a mark at zero.
class Scale {
  constructor(colours) {
    this.colours = colours;
    this.strip = make("canvas", { width: 128, height: 1 });
    this.mark = make("i");
    this.labels = [make("span"), make("span"), make("span")];
    this.element = make("div", { className: "scale" }, this.strip, this.mark, make("div", {}, ...this.labels));
  }

  show(lowest, highest, largest) {
    const [low, high] = [Math.min(lowest, 0), Math.max(highest, 0)];
    const span = high - low;
    const [start, zero, end] = this.labels;
    this.element.classList.toggle("is-flat", !span);
    if (!span) {
      start.textContent = "0 everywhere";
      zero.textContent = end.textContent = "";
      return;
    }
    const values = Float32Array.from({ length: 128 }, (_, i) => low + (span * (i + 0.5)) / 128);
    this.colours.paint(this.strip, values, largest);
    const place = -low / span;
    this.mark.style.left = zero.style.left = `${100 * place}%`;
    start.textContent = short(low);
    end.textContent = short(high);
    // Where there is room for it between the ends.
    zero.textContent = place > 0.35 && place < 0.65 ? "0" : "";
  }
}

class Maps {
  constructor(sizes, channels, across, colours, isWide) {
    [this.rows, this.columns] = [sizes.slice(1, -1).reduce((a, b) => a * b, 1), sizes.at(-1)];
    this.colours = colours;
    this.cells = [];
    this.grid = make("div", { className: isWide ? "maps wide" : "maps" });
    this.grid.style.setProperty("--across", across);
    this.grid.style.setProperty("--shape", `${this.columns} / ${this.rows}`);
    if (this.rows > this.columns) this.grid.style.setProperty("--narrow", this.columns / this.rows);
    for (let i = 0; i < channels; i++) {
      const canvas = make("canvas", { width: this.columns, height: this.rows });
      // Small maps have square pixels, large ones are averaged by the browser.
      if (this.columns > 3 * CELL) canvas.className = "smooth";
      const label = make("span");
      this.cells.push({ canvas, label });
      this.grid.append(make("figure", {}, canvas, label));
    }
    this.scale = new Scale(colours);
    this.element = make("div", {}, this.grid, this.scale.element);
  }

  show(values, picked) {
    const count = this.rows * this.columns;
    const maps = picked.map((channel) => values.subarray(channel * count, (channel + 1) * count));
    const low = Math.min(...maps.map(smallestOf));
    const high = Math.max(...maps.map(largestOf));
    const largest = Math.max(-low, high);
    maps.forEach((map, i) => {
      this.colours.paint(this.cells[i].canvas, map, largest);
      this.cells[i].label.textContent = picked[i];
    });
    this.scale.show(low, high, largest);
  }
}

// The channels with the largest activation anywhere, the largest first.
function strongest(values, channels, count) {
  const size = values.length / channels;
  const peaks = Array.from({ length: channels }, (_, k) => largestOf(values.subarray(k * size, (k + 1) * size)));
  return peaks.map((_, k) => k).sort((a, b) => peaks[b] - peaks[a] || a - b).slice(0, count);
}

class Table {
  constructor([channels, length], colours, width, height) {
    this.colours = colours;
    [this.channels, this.length] = [channels, length];
    this.canvas = make("canvas", { width: channels, height: length, className: "table" });
    Object.assign(this.canvas.style, { width, height });
    this.scale = new Scale(colours);
    this.element = make("div", {}, this.canvas, this.scale.element);
  }

  show(values) {
    // Positions from top to bottom, channels from left to right.
    const turned = new Float32Array(values.length);
    for (let k = 0; k < this.channels; k++) for (let i = 0; i < this.length; i++) {
      turned[i * this.channels + k] = values[k * this.length + i];
    }
    const [low, high] = [smallestOf(values), largestOf(values)];
    const largest = Math.max(-low, high);
    this.colours.paint(this.canvas, turned, largest);
    this.scale.show(low, high, largest);
  }
}

class Bars {
  constructor(count, width, height, labels) {
    this.each = Math.ceil(count / Math.floor(height / THINNEST));
    this.bars = Math.ceil(count / this.each);
    this.pitch = Math.min(height / this.bars, 16);
    [this.width, this.height] = [width, this.pitch * this.bars];
    // A quarter of the width is for the names.
    this.left = labels ? Math.min(0.4 * width, 6 + 6 * Math.max(...labels.map((label) => label.length))) : 0;
    this.svg = draw("svg", { viewBox: `0 0 ${width} ${this.height}`, width, height: this.height, class: "bars" });
    this.below = draw("path", { class: "below" });
    this.above = draw("path", { class: "above" });
    this.line = draw("path", { class: "zero" });
    this.svg.append(this.below, this.above, this.line);
    (labels ?? []).forEach((label, i) => {
      const text = draw("text", { x: 0, y: (i + 0.5) * this.pitch + 3.5 });
      text.textContent = label.length * 6 > this.left ? `${label.slice(0, Math.floor(this.left / 6) - 1)}…` : label;
      this.svg.append(text);
    });
    this.labels = [make("span"), make("span")];
    this.axis = make("div", { className: "axis" }, ...this.labels);
    this.axis.style.marginLeft = `${this.left}px`;
    this.element = make("div", {}, this.svg, this.axis);
  }

  show(values) {
    const numbers = [];
    for (let i = 0; i < values.length; i += this.each) {
      const part = values.subarray(i, i + this.each);
      numbers.push(part.reduce((found, value) => (Math.abs(value) > Math.abs(found) ? value : found)));
    }
    const [low, high] = [Math.min(0, smallestOf(numbers)), Math.max(0, largestOf(numbers))];
    const unit = high > low ? (this.width - this.left) / (high - low) : 0;
    const zero = this.left - low * unit;
    const thick = this.pitch * (this.pitch > 3 ? 0.7 : 0.85);
    const paths = { below: "", above: "" };
    numbers.forEach((value, i) => {
      if (!value) return;
      const y = i * this.pitch + (this.pitch - thick) / 2;
      paths[value < 0 ? "below" : "above"] += `M${zero.toFixed(2)} ${y.toFixed(2)}h${(value * unit).toFixed(2)}v${thick.toFixed(2)}H${zero.toFixed(2)}z`;
    });
    for (const [name, path] of Object.entries(paths)) this[name].setAttribute("d", path);
    this.line.setAttribute("d", `M${zero.toFixed(2)} 0v${this.height.toFixed(2)}`);
    this.labels[0].textContent = short(low);
    this.labels[1].textContent = short(high);
  }
}

// A stage with its heading, what the spec says there, its volume and its result.
class Stage {
  constructor(facts, page) {
    Object.assign(this, facts);
    this.page = page;
    this.channels = this.sizes[0];
    const { frame, isWhole } = page;
    const limit = isWhole ? this.channels : page.channels;
    this.limit = Math.min(limit, this.channels);
    this.picked = null;
    this.heading = make(isWhole ? "p" : "button", { className: "name", textContent: this.name });
    this.heading.style.background = `var(--${this.look})`;
    this.heading.style.borderColor = `var(--${this.look}-border)`;
    this.heading.style.color = `var(--${this.look}-label)`;
    this.heading.title = `${this.name}: ${this.statement} ${this.volume}`;
    if (!isWhole) {
      this.heading.type = "button";
      this.heading.setAttribute("aria-expanded", "false");
      this.heading.addEventListener("click", () => page.openWhole(this));
    }
    this.view = this.viewOf(this.limit, isWhole ? wideFrame(innerWidth - 40) : frame, isWhole);
    const notes = [this.statement, this.reads, this.volume, this.note].filter(Boolean);
    const lines = notes.map((text) => make("p", { textContent: text, title: text }));
    this.element = make("section", { className: this.follows ? "stage follows" : "stage", ariaLabel: this.name },
      this.heading, make("div", { className: "notes" }, ...lines), make("div", { className: "result" }, this.view.element));
    if (isWhole) this.element.classList.add("is-whole");
  }

  viewOf(count, frame, isWide) {
    const { colours, classes } = this.page;
    this.note = "";
    if (this.kind === "bars") {
      const units = this.sizes.reduce((a, b) => a * b, 1);
      const labels = this.isAnswer && units * 13 <= frame.height ? classes : null;
      const bars = new Bars(units, frame.width, frame.height, labels);
      if (bars.each > 1) this.note = `a bar: largest of ${bars.each}`;
      return bars;
    }
    if (this.kind === "table") {
      this.note = "a row: a position";
      return new Table(this.sizes, colours, `${frame.width}px`, `${frame.height}px`);
    }
    if (count < this.channels) this.note = `${count} of ${this.channels} maps`;
    return new Maps(this.sizes, count, frame.across, colours, isWide);
  }

  // Which maps are shown: those of the stage before it, where it works on each channel by itself.
  pick(values, stages) {
    const before = this.like === null ? null : stages[this.like];
    this.picked = before?.picked ?? strongest(values, this.channels, this.limit);
  }

  show(values) {
    if (this.kind === "maps") this.view.show(values, this.picked);
    else this.view.show(values);
  }
}
