"use strict";

// Lengths are those of the layout: u along the flow (down), v across it. A scene is laid out with
// its blocks collapsed; an open block stretches the scene around it.

const NEAR = 0.05;
const ROUND = 5; // the radius of a wire's corners
const ARROW = 5.5; // the length of a wire's arrowhead
const byEnd = (a, b) => a.end - b.end;
const byStart = (a, b) => b.start - a.start;

// How far a place moves, so that each room, from start to end, becomes longer by what it grows. No
// place moves further than necessary. Right of zero, the places from a room's end on move to the
// right; left of zero, the places up to a room's start move to the left.
function stretch(rooms) {
  const ahead = [];
  const forward = (x) => {
    let moved = 0;
    for (const step of ahead) if (step.end <= x + NEAR) moved = step.moved;
    return moved;
  };
  for (const room of [...rooms].sort(byEnd)) {
    const before = ahead.length ? ahead[ahead.length - 1].moved : 0;
    ahead.push({ end: room.end, moved: Math.max(before, forward(room.start) + room.grows) });
  }
  const back = [];
  const backward = (x) => {
    let moved = forward(0);
    for (const step of back) if (step.start >= x - NEAR) moved = step.moved;
    return moved;
  };
  const at = (x) => (x < -NEAR ? backward(x) : forward(x));
  for (const room of rooms.filter((room) => room.start < -NEAR).sort(byStart)) {
    const before = back.length ? back[back.length - 1].moved : forward(0);
    back.push({ start: room.start, moved: Math.min(before, at(room.end) - room.grows) });
  }
  return at;
}

// Sets the size of a scene, and scene.x and scene.y, which give the new places of the old ones.
// The innermost blocks come first.
function arrange(scene) {
  const open = scene.boxes.filter((box) => box.isOpen);
  for (const box of open) arrange(box.scene);
  const grown = (size, room) => Math.max(0, size - room);
  const down = stretch(open.map((box) => (
    { start: box.u, end: box.u + box.along, grows: grown(box.scene.size.length, box.along) }
  )));
  const across = stretch(open.flatMap(({ v, left, right, scene: { size } }) => [
    { start: v - left, end: v, grows: grown(size.left, left) },
    { start: v, end: v + right, grows: grown(size.right, right) },
  ]));
  const axis = across(0);
  scene.y = (u) => u + down(u);
  scene.x = (v) => v + across(v) - axis;
  scene.size = {
    length: scene.y(scene.length),
    left: -scene.x(-scene.left),
    right: scene.x(scene.right),
  };
}

// The end of a wire: it stays on the border of its box, which may have become an open block.
function endOf(scene, [u, v], box) {
  if (!box) return { x: scene.x(v), y: scene.y(u) };
  const x = scene.x(box.v) + v - box.v;
  const y = scene.y(box.u) + u - box.u;
  if (!box.isOpen) return { x, y };
  const { length, left, right } = box.scene.size;
  if (u <= box.u + NEAR) return { x, y };
  if (u >= box.u + box.along - NEAR) return { x, y: scene.y(box.u) + length };
  return { x: scene.x(box.v) + (v > box.v ? right : -left), y };
}

function pointsOf(scene, wire, boxes) {
  const points = wire.points.map(([u, v]) => ({ x: scene.x(v), y: scene.y(u) }));
  const settle = (index, next, key) => {
    points[index] = endOf(scene, wire.points[index], boxes.get(key));
    if (wire.points.length < 3) return;
    const isAcross = Math.abs(wire.points[index][0] - wire.points[next][0]) < NEAR;
    points[next][isAcross ? "y" : "x"] = points[index][isAcross ? "y" : "x"];
  };
  const last = points.length - 1;
  settle(0, 1, wire.tail);
  settle(last, last - 1, wire.head);
  return points.filter((point, index) => (
    !index || Math.hypot(point.x - points[index - 1].x, point.y - points[index - 1].y) > NEAR
  ));
}

const distance = (a, b) => Math.hypot(b.x - a.x, b.y - a.y);
const text = ({ x, y }) => `${x.toFixed(2)},${y.toFixed(2)}`;

function toward(start, goal, length) {
  const share = Math.min(1, length / Math.max(distance(start, goal), 1e-6));
  return { x: start.x + (goal.x - start.x) * share, y: start.y + (goal.y - start.y) * share };
}

// A line through points, with rounded corners.
function lineThrough(points) {
  let path = `M${text(points[0])}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const [before, corner, after] = points.slice(i - 1, i + 2);
    const radius = Math.min(ROUND, distance(before, corner) / 2, distance(corner, after) / 2);
    const near = (goal, share) => text(toward(corner, goal, radius * share));
    path += `L${near(before, 1)}C${near(before, 0.45)} ${near(after, 0.45)} ${near(after, 1)}`;
  }
  return `${path}L${text(points[points.length - 1])}`;
}

function arrowhead(before, tip) {
  const base = toward(tip, before, ARROW);
  const across = { x: ((tip.y - base.y) / ARROW) * 2.3, y: (-(tip.x - base.x) / ARROW) * 2.3 };
  const wing = (side) => text({ x: base.x + side * across.x, y: base.y + side * across.y });
  return `M${text(tip)}L${wing(1)}L${wing(-1)}Z`;
}
