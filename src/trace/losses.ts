/**
 * Where in a thread's events others are missing, worked out from what its packets count: how many
 * entries and exits, at the least and at the most, were lost before the next event.
 */
import { lossPlace, type PacketFields } from "./packet.ts";

/** How many entries and exits were lost at one place, at the least and at the most. */
export type Losses = {
  readonly entriesMin: number;
  readonly entriesMax: number;
  readonly exitsMin: number;
  readonly exitsMax: number;
};

/** Something is missing: so much of it, or nobody knows how much. */
export type Gap = { readonly lost: number; readonly losses: Losses | undefined };

/** What a ledger knows. */
export type LossState = {
  /** Lost so far: all events, entries, exits. */
  readonly counters: readonly [number, number, number];
  readonly before: Gap;
  readonly after: Gap;
};

const none: Gap = {
  lost: 0,
  losses: { entriesMin: 0, entriesMax: 0, exitsMin: 0, exitsMax: 0 },
};
const unknown: Gap = { lost: Infinity, losses: undefined };

export class LossLedger {
  /** The counters of the packet before; a stream's first packet counts from 0. */
  #lost = 0;
  #entries = 0;
  #exits = 0;
  /** Between the last event that was read and the next one. */
  #before: Gap = none;
  /** Behind the present packet's events. */
  #after: Gap = none;

  /** Begins at a stream's beginning, or where another ledger was. */
  constructor(from?: LossState) {
    if (from === undefined) return;
    [this.#lost, this.#entries, this.#exits] = from.counters;
    this.#before = from.before;
    this.#after = from.after;
  }

  /** What it knows, as a plain value. */
  get state(): LossState {
    return {
      counters: [this.#lost, this.#entries, this.#exits],
      before: this.#before,
      after: this.#after,
    };
  }

  /**
   * A packet begins.
   * @param afterDamage what came before it is missing, nobody knows how much of it.
   */
  open(packet: PacketFields, afterDamage: boolean): void {
    const now = gapOf(
      packet.lost - this.#lost,
      packet.lostEntries - this.#entries,
      packet.lostExits - this.#exits,
    );
    this.#lost = packet.lost;
    this.#entries = packet.lostEntries;
    this.#exits = packet.lostExits;
    const isEmpty = packet.payloadBytes === 0;
    const isWhole = packet.lossPlace === lossPlace.whole;
    const place = isEmpty || isWhole ? lossPlace.before : packet.lossPlace;
    const here = isWhole ? wholeCalls(now) : place === lossPlace.either ? atMost(now) : now;
    this.#before = sum(this.#before, this.#after);
    if (place !== lossPlace.after) this.#before = sum(this.#before, here);
    if (afterDamage) this.#before = unknown;
    this.#after = place === lossPlace.after || place === lossPlace.either ? here : none;
  }

  /** What was lost before the next event; undefined where nothing was. It is told once. */
  take(): Gap | undefined {
    const gap = this.#before;
    this.#before = none;
    return gap.lost > 0 ? gap : undefined;
  }

  /** The same at the stream's end. */
  takeLast(): Gap | undefined {
    this.#before = sum(this.#before, this.#after);
    this.#after = none;
    return this.take();
  }
}

/** So many events in all, of which so many are known to be entries and exits. */
function gapOf(lost: number, entries: number, exits: number): Gap {
  if (lost < 0 || entries < 0 || exits < 0) return unknown;
  const others = Math.max(0, lost - entries - exits);
  return {
    lost: Math.max(lost, entries + exits),
    losses: {
      entriesMin: entries,
      entriesMax: entries + others,
      exitsMin: exits,
      exitsMax: exits + others,
    },
  };
}

/** The part of a gap that lies at one of two places. */
const atMost = (gap: Gap): Gap => ({
  lost: gap.lost,
  losses: gap.losses && { ...gap.losses, entriesMin: 0, exitsMin: 0 },
});

/** A gap of calls that were begun and ended within it, which changes nothing for those around. */
const wholeCalls = ({ lost, losses }: Gap): Gap => ({ lost, losses: losses && none.losses });

function sum(a: Gap, b: Gap): Gap {
  if (a.losses === undefined || b.losses === undefined) return unknown;
  return {
    lost: a.lost + b.lost,
    losses: {
      entriesMin: a.losses.entriesMin + b.losses.entriesMin,
      entriesMax: a.losses.entriesMax + b.losses.entriesMax,
      exitsMin: a.losses.exitsMin + b.losses.exitsMin,
      exitsMax: a.losses.exitsMax + b.losses.exitsMax,
    },
  };
}
