/** The film: its grey levels, and the window that they are shown through. */

/** A window over grey levels 0 .. 255: `level` is its middle, `width` its extent. */
export const WHOLE = Object.freeze({ level: 127.5, width: 255 });

const NARROWEST = 4;

/** Keep a window within what can be told apart on a screen. */
export function within({ level, width }) {
  return {
    level: Math.min(Math.max(level, 0), 255),
    width: Math.min(Math.max(width, NARROWEST), 510),
  };
}

/** Opaque grey of each level 0 .. 255, packed as a canvas stores it. */
function lookup({ level, width }) {
  return Uint32Array.from({ length: 256 }, (_, grey) => {
    const shown = ((grey - level) / width + 0.5) * 255;
    const value = Math.min(Math.max(Math.round(shown), 0), 255);
    return 0xff000000 | (value << 16) | (value << 8) | value;
  });
}

/** One decoded film on its own canvas, at its own resolution. */
export class Film {
  /** @param {HTMLCanvasElement} canvas @param {ImageBitmap} bitmap */
  constructor(canvas, bitmap) {
    this.rows = bitmap.height;
    this.columns = bitmap.width;
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.context.drawImage(bitmap, 0, 0);
    this.image = this.context.getImageData(0, 0, bitmap.width, bitmap.height);
    this.packed = new Uint32Array(this.image.data.buffer);
    this.grey = new Uint8Array(this.packed.length);
    for (let i = 0; i < this.grey.length; i += 1) this.grey[i] = this.packed[i] & 0xff;
  }

  /** Show the film through a window. */
  show(window) {
    if (window.level === this.shown?.level && window.width === this.shown.width) return;
    this.shown = window;
    const table = lookup(window);
    for (let i = 0; i < this.grey.length; i += 1) this.packed[i] = table[this.grey[i]];
    this.context.putImageData(this.image, 0, 0);
  }
}
