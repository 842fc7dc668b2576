"use strict";
// Pictures, fetched and decoded before they are shown: what stands in the page is an element that is ready.

import {blob} from "./api.js";

const KEPT = 24;

export class Pictures {
  constructor() {
    this.found = new Map();
  }

  // A promise of an <img> that can be painted at once; it fails with a sentence.
  picture(key) {
    const known = this.found.get(key);
    if (known) {
      this.found.delete(key);
      this.found.set(key, known);
      return known;
    }
    const made = this.load(key);
    this.found.set(key, made);
    made.catch(() => this.found.delete(key));
    for (const [old, image] of this.found) {
      if (this.found.size <= KEPT) break;
      this.found.delete(old);
      image.then(element => { if (!element.isConnected) URL.revokeObjectURL(element.src); }, () => {});
    }
    return made;
  }

  async load(key) {
    const image = new Image();
    image.src = URL.createObjectURL(await blob("api/pictures/" + key));
    image.draggable = false;
    await image.decode().catch(() => { throw new Error("The picture cannot be shown."); });
    image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) <= 128);
    return image;
  }
}
