import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeEvent, eventTime, fullTime } from "./event.ts";
import { eventBytes, eventKind, ringHeader, ringHeaderBytes } from "./layout.ts";
import { encodeLongEvent, longBase, longForm } from "./long-event.ts";
import { RingConsumer, ringLoss, type TakenEvents } from "./ring-consumer.ts";

/** A producer as generated code is one, for a ring in this test's memory. */
class Producer {
  readonly bytes: Uint8Array;
  readonly #words: BigUint64Array;
  readonly #slots: number;

  constructor(slots: number, limit = slots) {
    this.bytes = new Uint8Array(ringHeaderBytes + slots * eventBytes);
    this.#words = new BigUint64Array(this.bytes.buffer);
    this.#slots = slots;
    this.#words[ringHeader.limit / 8] = BigInt(limit);
  }

  add(...slots: readonly bigint[]): boolean {
    const head = this.#words[0] ?? 0n;
    if (head + BigInt(slots.length) > (this.#words[ringHeader.limit / 8] ?? 0n)) {
      const lost = ringHeader.lostEntries / 8;
      this.#words[lost] = (this.#words[lost] ?? 0n) + 1n;
      return false;
    }
    slots.forEach((slot, i) => {
      const at = (Number(head) + i) % this.#slots;
      this.#words[ringHeaderBytes / 8 + at] = slot;
    });
    this.#words[0] = head + BigInt(slots.length);
    return true;
  }
}

const entry = (time: bigint, site = 1): bigint => encodeEvent(eventKind.entry, time, site);
const slotsOf = (taken: TakenEvents | undefined): bigint[] =>
  (taken?.chunks ?? []).flatMap((chunk) => [...new BigUint64Array(chunk.slice().buffer)]);
const timesOf = (taken: TakenEvents | undefined): number[] =>
  slotsOf(taken).map((slot) => Number(eventTime(slot)));

describe("fullTime", () => {
  it("is the latest moment before now with those low bits", () => {
    const moment = fc.bigInt({ min: 2n ** 38n, max: 2n ** 63n });
    fc.assert(
      fc.property(moment, fc.bigInt({ min: 0n, max: 2n ** 38n - 1n }), (now, age) => {
        const slot = encodeEvent(eventKind.exit, now - age, 7);
        expect(fullTime(eventTime(slot), now)).toBe(now - age);
      }),
    );
  });
});

describe("a ring that drops", () => {
  it("gives everything in order and counts what found no room", () => {
    const moves = fc.array(fc.nat({ max: 20 }), { maxLength: 30, size: "max" });
    fc.assert(
      fc.property(moves, (bursts) => {
        const producer = new Producer(16);
        const ring = new RingConsumer(producer.bytes, { hasLong: false, overwrites: false });
        const kept: number[] = [];
        const taken: number[] = [];
        let time = 0;
        let lost = 0;
        for (const burst of bursts) {
          for (let i = 0; i < burst; i++) {
            if (producer.add(entry(BigInt(++time)))) kept.push(time);
            else lost++;
          }
          const events = ring.take(() => BigInt(time));
          expect(events === undefined).toBe(burst === 0);
          if (events === undefined) continue;
          taken.push(...timesOf(events));
          expect(events.lost).toBe(lost);
          expect(Number(events.begin)).toBe(timesOf(events)[0]);
          expect(Number(events.end)).toBe(timesOf(events).at(-1));
          ring.release();
        }
        expect(taken).toEqual(kept);
      }),
    );
  });

  it("says on which side of a packet the losses lie", () => {
    const producer = new Producer(4);
    const ring = new RingConsumer(producer.bytes, { hasLong: false, overwrites: false });
    const burst = (count: number): TakenEvents | undefined => {
      for (let i = 0; i < count; i++) producer.add(entry(1n));
      const taken = ring.take(() => 1n);
      ring.release();
      return taken;
    };
    expect(burst(4)?.lossPlace).toBe(ringLoss.none);
    expect(burst(3)?.lossPlace).toBe(ringLoss.none);
    expect(burst(6)?.lossPlace).toBe(ringLoss.after);
    // Counted after the look before, by a thread that had seen the ring full.
    new BigUint64Array(producer.bytes.buffer)[ringHeader.lostExits / 8] = 1n;
    expect(burst(2)).toMatchObject({ lossPlace: ringLoss.before, lostExits: 1, lostEntries: 2 });
    expect(burst(5)?.lossPlace).toBe(ringLoss.after);
    expect(burst(5)?.lossPlace).toBe(ringLoss.either);
  });

  it("tells whole calls that were lost from such that had one end lost", () => {
    const producer = new Producer(8);
    const ring = new RingConsumer(producer.bytes, { hasLong: false, overwrites: false });
    const counters = new BigUint64Array(producer.bytes.buffer);
    counters[ringHeader.lostCalls / 8] = 3n;
    const lost = { lost: 6, lostEntries: 3, lostExits: 3 };
    expect(ring.take(() => 1n)).toMatchObject({ ...lost, lossPlace: ringLoss.whole });
    expect(ring.take(() => 1n)).toBe(undefined);
    counters[ringHeader.lostCalls / 8] = 4n;
    counters[ringHeader.lostEntries / 8] = 1n;
    const more = { lost: 9, lostEntries: 5, lostExits: 4 };
    expect(ring.take(() => 1n)).toMatchObject({ ...more, lossPlace: ringLoss.either });
  });

  it("finds the time of the last event behind the values of a long one", () => {
    const producer = new Producer(16);
    const ring = new RingConsumer(producer.bytes, { hasLong: true, overwrites: false });
    const values = [entry(77n), entry(78n)];
    const long = encodeLongEvent({
      base: longBase.entry,
      form: longForm.values,
      time: 5n,
      site: 3,
      types: 0x44,
      words: values,
    });
    producer.add(entry(4n));
    producer.add(...long);
    expect(ring.take(() => 9n)).toMatchObject({ begin: 4n, end: 5n });
  });
});

describe("a ring that overwrites", () => {
  it("gives the newest events and counts the others as lost", () => {
    const producer = new Producer(8, Number.MAX_SAFE_INTEGER);
    const ring = new RingConsumer(producer.bytes, { hasLong: false, overwrites: true });
    for (let time = 1; time <= 30; time++) producer.add(entry(BigInt(time)));
    const taken = ring.take(() => 30n);
    // One slot fewer than there are: a producer may be in the middle of writing it.
    expect(timesOf(taken)).toEqual([24, 25, 26, 27, 28, 29, 30]);
    expect(taken).toMatchObject({ lost: 23, lostEntries: 0, lossPlace: ringLoss.before });
    ring.release();
    expect(ring.take(() => 31n)).toBeUndefined();
  });

  it("is read from a copy while its producer goes on", () => {
    const producer = new Producer(8, Number.MAX_SAFE_INTEGER);
    const ring = new RingConsumer(producer.bytes, { hasLong: false, overwrites: true });
    const add = (from: number, to: number): void => {
      for (let time = from; time <= to; time++) producer.add(entry(BigInt(time)));
    };
    add(1, 10);
    ring.freeze(() => 10n);
    add(11, 16);
    const taken = ring.take(() => 99n);
    expect(timesOf(taken)).toEqual([4, 5, 6, 7, 8, 9, 10]);
    expect(taken).toMatchObject({ lost: 3, lossPlace: ringLoss.before, begin: 4n, end: 10n });
    ring.release();
    expect(ring.take(() => 99n)).toBeUndefined();
    ring.thaw();
    add(17, 18);
    expect(timesOf(ring.take(() => 20n))).toEqual([12, 13, 14, 15, 16, 17, 18]);
    ring.release();
    ring.freeze(() => 20n);
    expect(ring.take(() => 20n)).toBeUndefined();
  });

  it("knows by its marks the times of events that are far apart", () => {
    const producer = new Producer(8, Number.MAX_SAFE_INTEGER);
    const ring = new RingConsumer(producer.bytes, { hasLong: false, overwrites: true });
    const times = [5n, 2n ** 37n, 2n ** 38n + 1n, 2n ** 39n, 2n ** 40n + 3n];
    for (const time of times) {
      producer.add(entry(time));
      ring.mark(() => time + 1n);
    }
    const found: bigint[] = [];
    for (;;) {
      const taken = ring.take(() => 2n ** 50n);
      if (taken === undefined) break;
      found.push(taken.begin);
      ring.release();
    }
    expect(found).toEqual(times);
  });

  it("begins at a block, so that it never begins inside of a long event", () => {
    const producer = new Producer(2048, Number.MAX_SAFE_INTEGER);
    const ring = new RingConsumer(producer.bytes, { hasLong: true, overwrites: true });
    for (let time = 0; time < 3000; time++) producer.add(entry(BigInt(time)));
    expect(timesOf(ring.take(() => 3000n))[0]).toBe(1024);
  });
});
