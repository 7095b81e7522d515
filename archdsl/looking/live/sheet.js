// The drawing: a canvas with a square of points for each pixel of the network. A pixel is the mean
// of its points, rounded; so a picture that was opened keeps its pixels until it is drawn on.

// About as many points along the longer side.
const POINTS = 320;
const MOST_UNDO = 20;

// Pixels of 1 or 3 channels on a canvas of their size.
function paintPixels(context, pixels) {
  const { width, height } = context.canvas;
  const count = width * height;
  const image = context.createImageData(width, height);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = pixels[pixels.length > count ? k * count + i : i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

class Sheet {
  constructor(root, input, data, changed) {
    this.root = root;
    this.input = input;
    this.data = data;
    this.changed = changed;
    [this.rows, this.columns] = input.size;
    this.unit = Math.min(40, Math.max(1, Math.ceil(POINTS / Math.max(this.rows, this.columns))));
    this.canvas = root.querySelector("canvas");
    this.canvas.width = this.columns * this.unit;
    this.canvas.height = this.rows * this.unit;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    root.style.setProperty("--shape", `${this.columns} / ${this.rows}`);
    root.style.setProperty("--ratio", this.columns / this.rows);
    // For a picture of the network's size, and for points that are brought there.
    this.small = new OffscreenCanvas(this.columns, this.rows).getContext("2d");
    const { appearance } = data;
    this.background = appearance ? appearance.background : Array(input.channels).fill(0);
    this.width = Math.max(1, Math.round(0.15 * Math.min(this.rows, this.columns)) / 2);
    this.erases = false;
    this.colour = null;
    this.past = [];
    this.at = [this.columns / 2, this.rows / 2];
    // The places of the stroke that is being drawn, by the pointer or by keys.
    this.stroke = null;
    this.hasKeys = false;
    this.blank();
    this.frameArea();
    this.listen();
  }

  // ── What is on it ──

  // Where the pen is on the paper, dark on bright or bright on dark.
  get ink() {
    if (this.erases) return this.paper;
    if (this.colour) return this.colour;
    const { r, g, b } = this.rgb(this.paper);
    return 0.299 * r + 0.587 * g + 0.114 * b < 128 ? "rgb(255 255 255)" : "rgb(0 0 0)";
  }

  rgb(colour) {
    const [r, g, b] = colour.match(/\d+/g).map(Number);
    return { r, g, b };
  }

  blank() {
    const [r, g, b] = [0, 1, 2].map((k) => this.background[k % this.background.length]);
    this.paper = `rgb(${r} ${g} ${b})`;
    this.context.fillStyle = this.paper;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.source = null;
    this.isEmpty = true;
  }

  // The pixels of the network: the mean of each square of points.
  pixels() {
    const { unit, rows, columns } = this;
    const { channels } = this.input;
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const found = new Uint8Array(channels * rows * columns);
    for (let k = 0; k < channels; k++) for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let v = 0; v < unit; v++) {
        let place = 4 * ((y * unit + v) * columns * unit + x * unit) + k;
        for (let u = 0; u < unit; u++, place += 4) sum += data[place];
      }
      found[(k * rows + y) * columns + x] = Math.round(sum / unit ** 2);
    }
    return found;
  }

  // Shows pixels of the network's size, each as a square.
  show(pixels) {
    paintPixels(this.small, pixels);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(this.small.canvas, 0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = false;
  }

  // A picture of a file, as RGBA: prepared as `archdsl predict` does it.
  place(decoded, isInverted = false) {
    this.remember();
    const { channels } = this.input;
    const image = channelsOf(decoded, channels, this.background, isInverted);
    this.show(prepare(image, this.input).pixels);
    this.source = { decoded, isInverted };
    this.changed("picture");
  }

  // A picture that is prepared already.
  lay(pixels) {
    this.remember();
    this.show(pixels);
    this.source = null;
    this.changed("picture");
  }

  async open(file) {
    // A picture as it is stored, upright as it says.
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
    canvas.drawImage(bitmap, 0, 0);
    this.place(canvas.getImageData(0, 0, bitmap.width, bitmap.height));
  }

  clear() {
    this.remember();
    this.blank();
    this.changed("picture");
  }

  // Dark and bright exchanged: of a picture as it was opened, and else of the drawing.
  invert() {
    if (this.source) return this.place(this.source.decoded, !this.source.isInverted);
    this.remember();
    const { context, canvas } = this;
    const image = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < image.data.length; i++) if (i % 4 < 3) image.data[i] = 255 - image.data[i];
    context.putImageData(image, 0, 0);
    const { r, g, b } = this.rgb(this.paper);
    this.paper = `rgb(${255 - r} ${255 - g} ${255 - b})`;
    return this.changed("picture");
  }

  // What else changes the sheet ends the stroke that is being drawn.
  remember() {
    if (this.stroke) this.end();
    const { canvas, context, paper, source, isEmpty } = this;
    this.past.push({ image: context.getImageData(0, 0, canvas.width, canvas.height), paper, source, isEmpty });
    if (this.past.length > MOST_UNDO) this.past.shift();
  }

  undo() {
    if (this.stroke) this.end();
    const before = this.past.pop();
    if (!before) return;
    this.context.putImageData(before.image, 0, 0);
    const { paper, source, isEmpty } = before;
    Object.assign(this, { paper, source, isEmpty });
    this.changed("picture");
  }

  // ── The pen ──

  // A stroke begins at a place, in pixels of the network.
  begin(at) {
    this.remember();
    this.stroke = [at];
    this.source = null;
    this.isEmpty = false;
    this.drawStroke();
  }

  // It goes on through these places.
  follow(places) {
    this.stroke.push(...places);
    this.drawStroke();
  }

  end() {
    this.at = this.stroke.at(-1);
    this.stroke = null;
    this.hasKeys = false;
    this.changed("lift");
  }

  // The whole stroke, on what was there before it: pieces of it would add up along the edge.
  drawStroke() {
    const { context, unit } = this;
    context.putImageData(this.past.at(-1).image, 0, 0);
    context.strokeStyle = context.fillStyle = this.ink;
    context.lineWidth = this.width * unit;
    context.lineCap = context.lineJoin = "round";
    const places = this.stroke.map(([x, y]) => [x * unit, y * unit]);
    context.beginPath();
    // A line without length is not drawn: each stroke begins with a dot.
    context.arc(...places[0], context.lineWidth / 2, 0, 2 * Math.PI);
    context.fill();
    context.beginPath();
    // Through the middle of each step, so that a quick hand leaves no corners.
    places.forEach(([x, y], i) => {
      const [u, v] = places[i + 1] ?? [x, y];
      if (i === 0) context.moveTo(x, y);
      else context.quadraticCurveTo(x, y, (x + u) / 2, (y + v) / 2);
    });
    context.stroke();
    this.changed("stroke");
  }

  placeOf(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [((event.clientX - left) / width) * this.columns, ((event.clientY - top) / height) * this.rows];
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button || !event.isPrimary || this.stroke) return;
      canvas.setPointerCapture(event.pointerId);
      this.begin(this.placeOf(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.stroke || !event.isPrimary || this.hasKeys) return;
      const events = event.getCoalescedEvents?.() ?? [];
      this.follow((events.length ? events : [event]).map((each) => this.placeOf(each)));
    });
    const lift = () => { if (this.stroke && !this.hasKeys) this.end(); };
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, lift);
    canvas.addEventListener("keydown", (event) => this.press(event));
    const release = () => { if (this.stroke && this.hasKeys) this.end(); };
    canvas.addEventListener("keyup", (event) => { if (event.key === "Shift") release(); });
    canvas.addEventListener("blur", release);
    canvas.addEventListener("focus", () => this.showPen());
    canvas.addEventListener("blur", () => this.showPen());
    canvas.addEventListener("pointerdown", () => this.showPen());
  }

  press(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const limits = [this.columns, this.rows];
    const next = this.at.map((value, axis) => Math.min(limits[axis], Math.max(0, value + step[axis])));
    if (event.shiftKey) {
      if (!this.stroke) this.begin(this.at);
      this.hasKeys = true;
      this.follow([next]);
    }
    this.at = next;
    this.showPen();
  }

  // Where the pen is, for those who move it by keys.
  showPen() {
    const pen = this.root.querySelector(".pen");
    pen.hidden = !this.canvas.matches(":focus-visible");
    pen.style.left = `${(100 * this.at[0]) / this.columns}%`;
    pen.style.top = `${(100 * this.at[1]) / this.rows}%`;
  }

  // The dashed frame: where something is on the pictures of the training.
  frameArea() {
    if (!this.data.area) return;
    const [top, left, bottom, right] = this.data.area;
    const area = this.root.querySelector(".area");
    area.hidden = false;
    area.title = "where the pictures of the training have something";
    const share = (value, whole) => `${(100 * value) / whole}%`;
    Object.assign(area.style, {
      top: share(top, this.rows),
      left: share(left, this.columns),
      height: share(bottom - top, this.rows),
      width: share(right - left, this.columns),
    });
  }

  // The picture as the network sees it, as a file.
  async save() {
    paintPixels(this.small, this.pixels());
    return this.small.canvas.convertToBlob({ type: "image/png" });
  }
}
