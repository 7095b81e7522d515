// The behaviour of the page. Layout is in stretch.js, which comes before this in the page's script.

// ── One network ──────────────────────────────────────────────────────────────────────────────

class Network {
  constructor(section, card) {
    this.section = section;
    this.card = card;
    this.svg = section.querySelector("svg");
    this.pane = section.querySelector(".picture");
    this.field = section.querySelector(".search");
    const data = JSON.parse(section.querySelector(".data").textContent);
    this.scene = data.scene;
    this.cards = data.cards;
    this.elements = new Map();
    for (const element of this.svg.querySelectorAll("[data-key]")) {
      this.elements.set(Number(element.dataset.key), element);
    }
    this.boxes = new Map();
    this.number(this.scene, null);
    this.rows = [...section.querySelectorAll(".row")].map((element) => (
      { element, nodes: element.dataset.nodes.split(" ").map(Number) }
    ));
    this.selected = null;
    this.zoom = 0;
    this.listen();
  }

  number(scene, parent) {
    for (const box of scene.boxes) {
      box.parent = parent;
      this.boxes.set(box.key, box);
      if (box.scene) this.number(box.scene, box);
    }
  }

  show() {
    this.draw();
    if (this.zoom) return;
    this.fit();
    this.select(null);
  }

  // ── Picture ──

  draw() {
    arrange(this.scene);
    this.place(this.scene);
    const { length, left, right } = this.scene.size;
    this.width = left + right + 24;
    this.height = length + 24;
    this.svg.setAttribute("viewBox", `${-left - 12} -12 ${this.width} ${this.height}`);
    this.resize();
    this.connect();
  }

  place(scene) {
    const move = (key, u, v) => {
      const element = this.elements.get(key);
      element.setAttribute("transform", `translate(${text({ x: scene.x(v), y: scene.y(u) })})`);
      return element;
    };
    for (const box of scene.boxes) {
      const element = move(box.key, box.u, box.v);
      if (box.isHead) this.place(box.scene);
      if (!box.scene || box.isHead) continue;
      element.classList.toggle("is-open", box.isOpen);
      element.setAttribute("aria-expanded", String(box.isOpen));
      element.querySelector(":scope > .face").toggleAttribute("hidden", box.isOpen);
      element.querySelector(":scope > .inside").toggleAttribute("hidden", !box.isOpen);
      // On the right border, clear of the volumes at the wires.
      const { size } = box.scene;
      const at = box.isOpen ? { x: size.right, y: 1 } : { x: box.right + 1, y: box.along / 2 };
      element.querySelector(":scope > .badge").setAttribute("transform", `translate(${text(at)})`);
      if (box.isOpen) this.place(box.scene);
    }
    for (const label of scene.labels) move(label.key, label.u, label.v);
    for (const frame of scene.frames) this.placeFrame(scene, frame);
    for (const wire of scene.wires) this.placeWire(scene, wire);
  }

  placeFrame(scene, frame) {
    const [top, bottom] = frame.u.map(scene.y);
    const [left, right] = frame.v.map(scene.x);
    const [...parts] = this.elements.get(frame.key).children;
    const title = parts.pop();
    title.setAttribute("transform", `translate(${text({ x: scene.x(frame.title[1]), y: scene.y(frame.title[0]) })})`);
    parts.forEach((card, index) => {
      const shift = frame.cards[index];
      const box = { x: left + shift, y: top - shift, width: right - left, height: bottom - top };
      for (const [name, value] of Object.entries(box)) card.setAttribute(name, value.toFixed(2));
    });
  }

  placeWire(scene, wire) {
    const points = pointsOf(scene, wire, this.boxes);
    const [line, head] = this.elements.get(wire.key).children;
    const tip = points[points.length - 1];
    const goal = this.boxes.get(wire.head);
    // The wire continues inside an open block.
    const isAtTop = goal && wire.points[wire.points.length - 1][0] <= goal.u + NEAR;
    const goesOn = goal && goal.isOpen && (goal.scene.isFed || !isAtTop);
    const hasArrow = wire.hasArrow && !goesOn && points.length > 1;
    head.setAttribute("d", hasArrow ? arrowhead(points[points.length - 2], tip) : "");
    if (hasArrow) points[points.length - 1] = toward(tip, points[points.length - 2], ARROW - 1);
    line.setAttribute("d", points.length > 1 ? lineThrough(points) : "");
  }

  resize() {
    this.svg.style.width = `${this.width * this.zoom}px`;
    this.svg.style.height = `${this.height * this.zoom}px`;
  }

  fit() {
    const room = this.pane.clientWidth - 24;
    this.zoom = Math.min(1.5, Math.max(0.5, room / this.width));
    this.resize();
    this.pane.scrollLeft = (this.pane.scrollWidth - this.pane.clientWidth) / 2;
  }

  // Zooms about a place of the window, by default the middle of the pane.
  zoomBy(factor, x, y) {
    const pane = this.pane.getBoundingClientRect();
    const at = [x ?? pane.left + pane.width / 2, y ?? pane.top + pane.height / 2];
    const before = this.svg.getBoundingClientRect();
    const old = this.zoom;
    this.zoom = Math.min(6, Math.max(0.1, this.zoom * factor));
    this.resize();
    const after = this.svg.getBoundingClientRect();
    const grown = this.zoom / old;
    this.scrollBy(after.left + (at[0] - before.left) * grown - at[0], after.top + (at[1] - before.top) * grown - at[1]);
  }

  scrollBy(left, top) {
    this.pane.scrollBy(left, top);
  }

  zoomIn() { this.zoomBy(1.25); }

  zoomOut() { this.zoomBy(0.8); }

  // ── Blocks ──

  toggle(key) {
    const box = this.boxes.get(key);
    if (!box.scene) return;
    this.setOpen([box], !box.isOpen);
    this.select(key, this.nodesOf(key));
  }

  // Opens or collapses blocks, and keeps the first of them roughly where it is on the screen.
  setOpen(boxes, isOpen) {
    const corner = () => {
      const matrix = this.elements.get(boxes[0].key).getScreenCTM();
      return matrix ? [matrix.e, matrix.f] : [0, 0];
    };
    if (!boxes.length) return;
    const before = corner();
    for (const box of boxes) box.isOpen = isOpen;
    this.draw();
    const after = corner();
    this.scrollBy(after[0] - before[0], after[1] - before[1]);
    if (isOpen) this.elements.get(boxes[0].key).scrollIntoView({ block: "nearest", inline: "nearest" });
    if (this.selected !== null && !this.isShown(this.selected)) this.select(boxes[0].key);
    this.search();
  }

  blocks() { return [...this.boxes.values()].filter((box) => box.scene && !box.isHead); }

  openAll() {
    this.setOpen(this.blocks(), true);
    this.fit();
  }

  collapseAll() {
    this.setOpen(this.blocks(), false);
    this.fit();
  }

  isShown(key) {
    for (let box = this.boxes.get(key).parent; box; box = box.parent) if (!box.isOpen) return false;
    return true;
  }

  // The innermost box on the screen that stands for a node.
  boxOf(node) {
    let found = null;
    for (const box of this.boxes.values()) {
      if (box.nodes.includes(node) && this.isShown(box.key)) found = box.key;
    }
    return found;
  }

  reveal(node) {
    const around = this.blocks().filter((box) => box.nodes.includes(node) && !box.isOpen);
    this.setOpen(around, true);
    this.select(this.boxOf(node), [node]);
  }

  // The edges between the boxes on the screen, for the arrow keys.
  connect() {
    this.after = new Map();
    this.before = new Map();
    const entries = (key) => {
      const box = this.boxes.get(key);
      if (!box.isOpen) return [key];
      const fed = new Set(box.scene.edges.map(([, head]) => head));
      return box.scene.boxes.filter((inner) => !fed.has(inner.key)).flatMap((inner) => entries(inner.key));
    };
    const exit = (key) => {
      const box = this.boxes.get(key);
      return box.isOpen ? exit(box.scene.exit) : key;
    };
    const link = (map, from, to) => map.set(from, [...(map.get(from) ?? []), to]);
    const walk = (scene) => {
      for (const [tail, head] of scene.edges) {
        for (const entry of entries(head)) {
          link(this.after, exit(tail), entry);
          link(this.before, entry, exit(tail));
        }
      }
      for (const box of scene.boxes) if (box.isOpen) walk(box.scene);
    };
    walk(this.scene);
  }

  // ── Selection ──

  nodesOf(key) { return this.boxes.get(key).nodes; }

  // Selects a box, and the rows of the table and lines of the spec that belong to these nodes.
  select(key, nodes = key === null ? [] : this.nodesOf(key), source = null) {
    this.selected = key;
    for (const [other, box] of this.boxes) {
      const element = this.elements.get(other);
      element.classList.toggle("selected", box.key === key);
      element.setAttribute("tabindex", box.key === key || (key === null && other === this.scene.boxes[0].key) ? "0" : "-1");
    }
    this.mark("selected", nodes);
    if (key === null) return;
    if (source !== "picture") this.elements.get(key).scrollIntoView({ block: "nearest", inline: "nearest" });
    for (const region of ["table", "li"]) {
      const row = this.rows.find(({ element }) => element.matches(".selected") && element.closest(`.${region}, ${region}`));
      if (row && row.element !== source) row.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  mark(name, nodes) {
    const marked = new Set(nodes);
    for (const row of this.rows) {
      row.element.classList.toggle(name, row.nodes.some((node) => marked.has(node)));
    }
  }

  near(key, nodes) {
    if (key === this.nearest && !nodes) return;
    this.nearest = key;
    for (const other of this.boxes.keys()) this.elements.get(other).classList.toggle("near", other === key);
    this.mark("near", nodes ?? (key === null ? [] : this.nodesOf(key)));
  }

  step(name) {
    const first = this.scene.boxes[0].key;
    let goal = first;
    if (this.selected !== null) {
      const box = this.boxes.get(this.selected);
      const before = this.before.get(this.selected) ?? [];
      const siblings = [...new Set(before.flatMap((key) => this.after.get(key)))];
      const index = siblings.indexOf(this.selected);
      if (name === "ArrowDown") goal = box.isOpen ? box.scene.boxes[0].key : (this.after.get(this.selected) ?? [])[0];
      if (name === "ArrowUp") goal = before[0] ?? box.parent?.key;
      if (name === "ArrowRight") goal = siblings[index + 1];
      if (name === "ArrowLeft") goal = siblings[index - 1];
    }
    if (goal === undefined) return;
    this.select(goal);
    this.elements.get(goal).focus({ preventScroll: true });
    this.showCardBeside(goal);
  }

  // ── Search ──

  search() {
    const query = this.field.value.trim().toLowerCase();
    const found = new Set();
    for (const { element, nodes } of this.rows) {
      if (element.localName !== "tr") continue;
      const isFound = element.textContent.toLowerCase().replace(/\s+/g, " ").includes(query);
      element.toggleAttribute("hidden", !isFound);
      if (isFound) found.add(nodes[0]);
    }
    this.section.classList.toggle("searches", query !== "");
    for (const [key, box] of this.boxes) {
      const misses = query !== "" && !box.nodes.some((node) => found.has(node));
      this.elements.get(key).classList.toggle("misses", misses);
    }
    this.matches = query ? [...found] : [];
    this.section.querySelector(".found").textContent = query ? `${found.size} found` : "";
  }

  nextMatch() {
    if (!this.matches.length) return;
    this.match = (this.matches.indexOf(this.match) + 1) % this.matches.length;
    this.match = this.matches[this.match];
    this.reveal(this.match);
  }

  clear() {
    this.field.value = "";
    this.search();
    this.select(null);
    this.card.hidden = true;
  }

  sort(button) {
    const column = Number(button.dataset.column);
    this.sorted = this.sorted === column + 1 ? -column - 1 : column + 1;
    const cell = (row) => row.cells[column].textContent;
    const number = (row) => Number.parseFloat(cell(row).replace(/[,<·]/g, "") || "0");
    const isNumber = button.closest("th").matches(".number");
    const order = (a, b) => (isNumber ? number(b) - number(a) : cell(a).localeCompare(cell(b)));
    for (const body of this.section.querySelectorAll("tbody")) {
      const rows = [...body.querySelectorAll(".row")].sort(order);
      if (this.sorted < 0) rows.reverse();
      body.querySelector(".total").before(...rows);
    }
  }

  // ── Card ──

  showCard(key, x, y) {
    const { title, name, facts, lines } = this.cards[key];
    const make = (tag, content) => Object.assign(document.createElement(tag), { textContent: content });
    const list = document.createElement("dl");
    for (const [term, fact] of facts) list.append(make("dt", term), make("dd", fact));
    const parts = [make("h3", title)];
    if (name && name !== title) parts.push(make("p", name));
    parts.push(list);
    const shown = lines.slice(0, 3).map((line) => {
      const code = this.section.querySelector(`li[data-line="${line}"] code`);
      return `${line} │ ${code.textContent.trim()}`;
    });
    if (lines.length > 3) shown.push("…");
    if (shown.length) parts.push(make("pre", shown.join("\n")));
    this.card.replaceChildren(...parts);
    this.card.hidden = false;
    const { width, height } = this.card.getBoundingClientRect();
    const left = x + 16 + width > innerWidth ? Math.max(4, x - 16 - width) : x + 16;
    this.card.style.left = `${left}px`;
    this.card.style.top = `${Math.max(4, Math.min(y + 12, innerHeight - height - 4))}px`;
  }

  showCardBeside(key) {
    const box = this.elements.get(key).getBoundingClientRect();
    this.showCard(key, box.right, box.top - 12);
  }

  // ── Events ──

  listen() {
    const keyAt = (event) => {
      const node = event.target.closest(".node");
      return node ? Number(node.dataset.key) : null;
    };
    let drag = null;
    this.pane.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && event.pointerType === "mouse") drag = { x: event.clientX, y: event.clientY, moved: 0 };
    });
    addEventListener("pointermove", (event) => {
      if (!drag) return;
      this.scrollBy(drag.x - event.clientX, drag.y - event.clientY);
      const moved = drag.moved + Math.abs(drag.x - event.clientX) + Math.abs(drag.y - event.clientY);
      drag = { x: event.clientX, y: event.clientY, moved };
      this.pane.classList.toggle("drags", moved > 4);
    });
    addEventListener("pointerup", () => { drag = null; });
    this.svg.addEventListener("pointermove", (event) => {
      const key = keyAt(event);
      this.near(key);
      if (key === null || this.pane.matches(".drags")) this.card.hidden = true;
      else if (this.boxes.get(key).isOpen) this.showCard(key, event.clientX, event.clientY);
      else this.showCardBeside(key);
    });
    this.svg.addEventListener("focusin", (event) => {
      const key = keyAt(event);
      if (key !== this.selected && event.target.matches(":focus-visible")) this.select(key);
    });
    this.svg.addEventListener("pointerleave", () => { this.near(null); this.card.hidden = true; });
    this.pane.addEventListener("click", (event) => {
      if (this.pane.matches(".drags")) {
        this.pane.classList.remove("drags");
        return;
      }
      const key = keyAt(event);
      const box = this.boxes.get(key);
      const isHandle = event.target.closest(".badge, .face, .frame > g") !== null;
      if (box?.scene && isHandle) this.toggle(key);
      else this.select(key, undefined, "picture");
    });
    this.pane.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
    }, { passive: false });
    for (const { element, nodes } of this.rows) {
      element.addEventListener("pointerenter", () => this.near(this.boxOf(nodes[0]), nodes));
      element.addEventListener("pointerleave", () => this.near(null));
      element.addEventListener("click", () => this.select(this.boxOf(nodes[0]), nodes, element));
      element.addEventListener("dblclick", () => this.reveal(nodes[0]));
    }
    this.field.addEventListener("input", () => this.search());
    this.section.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) this[button.dataset.do](button);
    });
  }

  turnTheme() { turnTheme(); }

  press(event) {
    const isWriting = event.target === this.field;
    if (event.key === "Escape") this.clear();
    else if (isWriting && event.key === "Enter") this.nextMatch();
    else if (isWriting || event.target.closest("button, select, summary")) return;
    else if (event.key === "/") this.field.focus();
    else if (event.key.startsWith("Arrow")) this.step(event.key);
    else if (event.key === "Enter" && this.selected !== null) this.toggle(this.selected);
    else if (event.key === "Backspace" && this.selected !== null) {
      let around = this.boxes.get(this.selected).parent;
      while (around?.isHead) around = around.parent;
      if (around) this.toggle(around.key);
    } else if (event.key === "+" || event.key === "=") this.zoomIn();
    else if (event.key === "-") this.zoomOut();
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }
}

// ── The page ─────────────────────────────────────────────────────────────────────────────────

const sections = [...document.querySelectorAll(".network")];
const networks = sections.map((section) => new Network(section, document.querySelector(".card")));
let current = networks[0];

function choose(index) {
  current = networks[index];
  sections.forEach((section, number) => { section.hidden = number !== index; });
  for (const choice of document.querySelectorAll(".choice")) choice.value = String(index);
  current.show();
}

for (const choice of document.querySelectorAll(".choice")) {
  choice.addEventListener("change", () => choose(Number(choice.value)));
}
addEventListener("keydown", (event) => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) current.press(event);
});
choose(0);
