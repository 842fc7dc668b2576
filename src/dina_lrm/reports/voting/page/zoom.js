"use strict";
// Both pictures are enlarged about the same place, so that one detail of both can be looked at.

const LEVELS = [1, 2, 4];
const STEP = 12;

export class Zoom {
  constructor(sides, button) {
    this.sides = sides;
    this.button = button;
    this.level = 0;
    this.place = [50, 50];
    this.down = null;
    this.dragged = false;
    sides.addEventListener("pointermove", event => this.point(event));
    sides.addEventListener("pointerdown", event => { this.down = [event.clientX, event.clientY]; this.dragged = false; });
    button.addEventListener("click", () => this.next());
  }

  next() {
    this.set((this.level + 1) % LEVELS.length);
  }

  reset() {
    this.place = [50, 50];
    this.set(0);
  }

  set(level) {
    this.level = level;
    this.button.setAttribute("aria-pressed", String(level > 0));
    this.sides.classList.toggle("zoomed", level > 0);
    this.sides.style.setProperty("--zoom", LEVELS[level]);
    this.move(0, 0);
  }

  move(x, y) {
    this.place = [this.place[0] + x * STEP, this.place[1] + y * STEP].map(each => Math.max(0, Math.min(100, each)));
    this.sides.style.setProperty("--x", this.place[0] + "%");
    this.sides.style.setProperty("--y", this.place[1] + "%");
  }

  // Whether the click that ends here was a look around, and no answer.
  moved() {
    const dragged = this.dragged;
    this.dragged = false;
    return dragged && this.level > 0;
  }

  point(event) {
    if (this.down && event.buttons) this.dragged ||= Math.hypot(event.clientX - this.down[0], event.clientY - this.down[1]) > 8;
    const frame = event.target.closest?.(".frame");
    if (!frame || !this.level) return;
    const box = frame.getBoundingClientRect();
    this.place = [(100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height];
    this.move(0, 0);
  }
}
