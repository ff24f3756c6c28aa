/** A colour for each function: by its name, so that it is the same in every trace and view. */
import type { Functions } from "./functions.ts";

/** Hues that can be told apart and stay calm side by side. */
const hues = [210, 28, 150, 265, 45, 185, 330, 95, 240, 12, 165, 300];

type Rgb = readonly [number, number, number];

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x0100_0193);
  }
  return (value ^ (value >>> 15)) >>> 0;
}

function hslToRgb(hue: number, saturation: number, lightness: number): Rgb {
  const amplitude = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): number => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

export class Palette {
  readonly #functions: Functions;
  readonly #isDark: boolean;
  readonly #colours = new Map<number, Rgb>();
  readonly #texts = new Map<number, string>();
  /** Functions to stand out; all others are grey then. */
  readonly #lit: ReadonlySet<number> | undefined;

  constructor(functions: Functions, isDark: boolean, lit: ReadonlySet<number> | undefined) {
    this.#functions = functions;
    this.#isDark = isDark;
    this.#lit = lit;
  }

  /** Red, green and blue of a function's bar. */
  rgb(site: number): Rgb {
    const known = this.#colours.get(site);
    if (known !== undefined) return known;
    const made = this.#make(site);
    this.#colours.set(site, made);
    return made;
  }

  /** The same for a canvas. */
  css(site: number): string {
    const known = this.#texts.get(site);
    if (known !== undefined) return known;
    const text = `rgb(${this.rgb(site).join(" ")})`;
    this.#texts.set(site, text);
    return text;
  }

  /** The colour of what is written on a bar. */
  ink(site: number): string {
    if (this.#lit !== undefined && !this.#lit.has(site))
      return this.#isDark ? "#808894" : "#7a828e";
    return this.#isDark ? "#f2f4f8" : "#161a20";
  }

  #make(site: number): Rgb {
    if (this.#lit !== undefined && !this.#lit.has(site)) {
      return this.#isDark ? [43, 48, 57] : [231, 234, 239];
    }
    const value = hash(this.#functions.name(site));
    const hue = (hues[value % hues.length] ?? 0) + ((value >>> 8) % 16) - 8;
    const shade = ((value >>> 12) % 8) / 100;
    return this.#isDark ? hslToRgb(hue, 0.36, 0.34 + shade) : hslToRgb(hue, 0.55, 0.72 + shade);
  }
}
