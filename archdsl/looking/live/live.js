// The page: from the drawing to the network, and from its results to the stages.

const element = (id) => document.getElementById(id);

// A run that takes longer waits until the pen rests, so that the stroke does not falter.
const SLOW = 60;
const REST = 120;

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const signs = atob(text);
  const bytes = new Uint8Array(signs.length);
  for (let i = 0; i < signs.length; i++) bytes[i] = signs.charCodeAt(i);
  return bytes;
}

// A part of the page, unpacked.
async function unpack(name) {
  const packed = new Blob([bytesOf(element(name).textContent)]);
  const unpacked = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

// The room of a stage that is alone on a line.
function wideFrame(width) {
  return { across: 1, width: Math.min(width, 620), height: 420 };
}

class Live {
  constructor() {
    this.facts = JSON.parse(element("facts").textContent);
    const { stages, channels, across, colours, steps, classes, input, data } = this.facts;
    this.classes = classes;
    this.channels = channels;
    this.isWhole = channels === null;
    this.colours = new Colours(bytesOf(colours), steps);
    this.frame = this.frameOf(channels ?? 8, across);
    this.stages = stages.map((facts) => new Stage(facts, this));
    this.sheet = new Sheet(element("sheet"), input, data, (what) => this.change(what));
    this.makeInput();
    element("stages").append(this.inputView, ...this.stages.map((stage) => stage.element));
    if (!this.stages.some(({ kind, limit, channels: all }) => kind === "maps" && limit < all)) {
      document.querySelector('[data-do="pickNow"]').hidden = true;
    }
    this.makeSamples();
    this.makeAnswer();
    this.listen();
    this.results = null;
    this.isRunning = false;
    this.wanted = null;
    // Milliseconds of the last run, and of the network in it.
    this.took = 0;
    this.ran = 0;
  }

  // The room of a stage: so many maps, beside and below each other.
  frameOf(channels, across) {
    const down = Math.max(Math.ceil(channels / across), 3);
    const width = Math.max(across, 2) * (CELL + GAP) - GAP;
    document.documentElement.style.setProperty("--stage", `${width}px`);
    return { across, width, height: down * (CELL + LABEL) - LABEL };
  }

  // ── The network ──

  async load() {
    const [interfaceFile, binary, network] = await Promise.all(["interface", "binary", "network"].map(unpack));
    const place = URL.createObjectURL(new Blob([interfaceFile], { type: "text/javascript" }));
    const ort = await import(place);
    URL.revokeObjectURL(place);
    // One thread, and nothing that would have to be fetched.
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = binary;
    this.Tensor = ort.Tensor;
    this.session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
    for (const name of ["interface", "binary", "network"]) element(name).remove();
    const { samples, starts } = this.facts;
    // Somebody may have begun to draw by now.
    if (starts && this.sheet.isEmpty) {
      this.sheet.lay(bytesOf(samples[0].pixels));
      this.sheet.past = [];
    }
    await this.run("picture");
    const { dataset } = document.body;
    if (dataset.state === "loading") dataset.state = "ready";
  }

  // Something changed on the sheet: a stroke goes on ("stroke") or ends ("lift"), or a whole picture.
  change(what) {
    if (!this.session) return;
    const ranks = [null, "stroke", "lift", "picture"];
    if (ranks.indexOf(what) > ranks.indexOf(this.wanted)) this.wanted = what;
    clearTimeout(this.rest);
    if (this.isRunning) return;
    if (this.wanted === "stroke" && this.took > SLOW) this.rest = setTimeout(() => this.run(), REST);
    else if (!this.frameAsked) {
      this.frameAsked = true;
      requestAnimationFrame(() => { this.frameAsked = false; this.run(); });
    }
  }

  // Runs the network on the sheet as it is, and draws what came of it.
  async run(what = this.wanted) {
    if (this.isRunning) return;
    this.isRunning = true;
    this.wanted = null;
    try {
      const started = performance.now();
      const { input, names } = this.facts;
      const pixels = this.sheet.pixels();
      const numbers = normalize(pixels, input);
      const image = new this.Tensor("float32", numbers, [1, input.channels, ...input.size]);
      const ready = performance.now();
      const found = await this.session.run({ [names.input]: image });
      this.ran = performance.now() - ready;
      this.results = Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]));
      this.pixels = pixels;
      this.numbers = numbers;
      this.show(what);
      this.took = performance.now() - started;
      element("time").textContent = `Network and maps took ${this.took.toFixed(1)} ms.`;
      for (const tensor of Object.values(found)) tensor.dispose();
    } catch (error) {
      this.fail(error);
    } finally {
      this.isRunning = false;
    }
    if (this.wanted) this.change(this.wanted);
  }

  fail(error) {
    document.body.dataset.state = "failed";
    const why = String(error.message ?? error).split("\n")[0];
    element("said").textContent = `the network does not run in this browser: ${why}`;
  }

  // ── What is shown ──

  show(what) {
    const isSettled = what !== "stroke";
    // Maps stay where they are while something is drawn; another picture may have other strong ones.
    if (what === "picture" || !this.isPicked) this.pick(isSettled);
    this.showInput();
    for (const stage of this.stages) stage.show(this.results[stage.output]);
    this.whole?.show(this.results[this.whole.stage.output]);
    this.showAnswer(isSettled);
    if (isSettled) this.showRemark();
  }

  pick(isSettled) {
    for (const stage of this.stages) {
      if (stage.kind === "maps") stage.pick(this.results[stage.output], this.stages);
    }
    this.isPicked = isSettled && !this.sheet.isEmpty;
  }

  makeInput() {
    const { input } = this.facts;
    const [rows, columns] = input.size;
    this.seen = make("canvas", { width: columns, height: rows, className: columns > 3 * CELL ? "seen smooth" : "seen" });
    Object.assign(this.seen.style, { width: `${this.frame.width * Math.min(1, columns / rows)}px`, aspectRatio: `${columns} / ${rows}` });
    const names = input.channels === 3 ? ["red", "green", "blue"] : ["normalized"];
    this.normalized = new Maps([input.channels, rows, columns], names.length, names.length, this.colours, false);
    this.normalized.element.classList.add("normalized");
    this.normalized.names = names;
    const heading = make("p", { className: "name", textContent: "input" });
    const notes = ["as the network sees it", input.volume].map((text) => make("p", { textContent: text }));
    this.inputView = make("section", { className: "stage", ariaLabel: "input" }, heading,
      make("div", { className: "notes" }, ...notes),
      make("div", { className: "result" }, this.seen, this.normalized.element));
  }

  showInput() {
    paintPixels(this.seen.getContext("2d"), this.pixels);
    this.normalized.show(this.numbers, this.normalized.names.map((_, k) => k));
    this.normalized.cells.forEach(({ label }, k) => { label.textContent = this.normalized.names[k]; });
  }

  makeAnswer() {
    this.rows = Array.from({ length: Math.min(this.facts.top, this.classes.length) }, () => {
      const row = { name: make("span"), share: make("span"), bar: make("i") };
      element("answer").append(make("li", {}, row.name, row.share, make("b", {}, row.bar)));
      return row;
    });
  }

  showAnswer(isSettled) {
    const shares = this.results[this.facts.names.probabilities];
    const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a] || a - b);
    this.rows.forEach((row, i) => {
      row.name.textContent = this.classes[order[i]];
      row.share.textContent = percentage(shares[order[i]]);
      row.bar.style.width = `${100 * shares[order[i]]}%`;
    });
    // A voice reads this, so it has to stand still.
    if (!isSettled) return;
    element("said").textContent = this.sheet.isEmpty
      ? "sees an empty sheet"
      : `sees ${this.classes[order[0]]} (${percentage(shares[order[0]])})`;
  }

  showRemark() {
    const { text, canInvert } = this.sheet.isEmpty
      ? { text: "", canInvert: false }
      : remarkOf(this.pixels, this.facts.input.channels, this.facts.data);
    element("remark").textContent = text;
    document.querySelector('[data-do="invert"]').classList.toggle("advised", canInvert);
  }

  // A stage with all its maps, above the others: it changes with the drawing, too.
  openWhole(stage) {
    if (this.whole?.stage === stage) { this.closeWhole(); return; }
    this.closeWhole();
    const panel = element("whole");
    panel.hidden = false;
    const view = stage.viewOf(stage.channels, wideFrame(panel.clientWidth - 34), true);
    const all = [...Array(stage.channels).keys()];
    this.whole = { stage, show: (values) => view.show(values, all) };
    element("whole-name").textContent = `${stage.name}: ${stage.statement}`;
    panel.querySelector(".facts").textContent = stage.kind === "maps" ? `${stage.volume}, all maps by their number` : stage.volume;
    panel.querySelector(".body").replaceChildren(view.element);
    stage.heading.setAttribute("aria-expanded", "true");
    if (this.results) this.whole.show(this.results[stage.output]);
    panel.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
  }

  closeWhole() {
    if (!this.whole) return;
    const { heading } = this.whole.stage;
    this.whole = null;
    element("whole").hidden = true;
    heading.setAttribute("aria-expanded", "false");
    heading.focus({ preventScroll: true });
  }

  // ── Controls ──

  makeSamples() {
    const { samples, input } = this.facts;
    element("samples").hidden = !samples.length;
    for (const { name, pixels } of samples) {
      const bytes = bytesOf(pixels);
      const canvas = make("canvas", { width: input.size[1], height: input.size[0] });
      paintPixels(canvas.getContext("2d"), bytes);
      const button = make("button", { type: "button", title: name, ariaLabel: `picture: ${name}` }, canvas);
      button.addEventListener("click", () => this.sheet.lay(bytes));
      element("samples").append(button);
    }
  }

  listen() {
    for (const button of document.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this[button.dataset.do]());
    }
    const width = element("width");
    const { sheet } = this;
    Object.assign(width, { min: 0.5, max: Math.max(2, Math.round(Math.min(...this.facts.input.size) / 5)), step: 0.5, value: sheet.width });
    width.addEventListener("input", () => { sheet.width = Number(width.value); });
    const colour = element("colour");
    const { r, g, b: blue } = sheet.rgb(sheet.ink);
    if (colour) colour.value = `#${[r, g, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
    colour?.addEventListener("input", () => {
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.value.slice(at, at + 2), 16));
      sheet.colour = `rgb(${r} ${g} ${b})`;
      this.draw();
    });
    const file = element("file");
    file.addEventListener("change", () => { this.take(file.files[0]); file.value = ""; });
    addEventListener("paste", (event) => this.take(event.clipboardData.files[0]));
    addEventListener("dragover", (event) => { event.preventDefault(); element("sheet").classList.add("waits"); });
    addEventListener("dragleave", () => element("sheet").classList.remove("waits"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      element("sheet").classList.remove("waits");
      this.take(event.dataTransfer.files[0]);
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.closeWhole();
      if (event.key === "z" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.undo(); }
    });
  }

  async take(file) {
    if (!file) return;
    try {
      await this.sheet.open(file);
    } catch {
      element("remark").textContent = `${file.name} cannot be read as a picture.`;
    }
  }

  hold(erases) {
    this.sheet.erases = erases;
    for (const name of ["draw", "erase"]) {
      document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String((name === "erase") === erases));
    }
  }

  draw() { this.hold(false); }

  erase() { this.hold(true); }

  clear() { this.sheet.clear(); }

  undo() { this.sheet.undo(); }

  invert() { this.sheet.invert(); }

  open() { element("file").click(); }

  async save() {
    const place = URL.createObjectURL(await this.sheet.save());
    make("a", { href: place, download: `${this.facts.network}-input.png` }).click();
    setTimeout(() => URL.revokeObjectURL(place), 10_000);
  }

  // Another choice of maps, for the picture as it is.
  pickNow() {
    if (!this.results) return;
    this.show("picture");
  }

  turnTheme() { turnTheme(); }

  async showNotices() {
    const third = element("third");
    third.textContent = new TextDecoder().decode(await unpack("notices"));
    third.hidden = false;
  }
}

const live = new Live();
live.load().catch((error) => live.fail(error));
