/**
 * One thread's part of a trace: its packets' events, in order, turned into calls. The loop in
 * `#readEach` is what reading tens of millions of events a second hangs on: it works on u32 halves
 * and plain numbers, touches no object but the typed arrays and calls nothing but the visitor,
 * unless something out of the ordinary comes. For visitors that only add up, the loop of
 * `trace/call-batch.ts` goes first, and this one takes what that one leaves.
 */
import { fillerSite, timeWrap } from "../ring/event.ts";
import { aloneBit, eventKind, kindBits, timeBits } from "../ring/layout.ts";
import { longBase, longHeaderSlots } from "../ring/long-event.ts";
import type { CallBatch } from "./call-batch.ts";
import { CallStack, type CallVisitor, callEnd, type StackSnapshot } from "./call-stack.ts";
import type { FunctionTable } from "./functions.ts";
import { type Gap, LossLedger, type LossState } from "./losses.ts";
import type { PacketFields } from "./packet.ts";
import { type Damage, PacketReader } from "./packet-reader.ts";
import type { ByteSource, Trace, TraceStream } from "./trace.ts";

/** What was found in a thread's stream so far. */
export type ThreadTotals = {
  packets: number;
  /** Slots of events: the number of events, where none is long. */
  slots: number;
  /** Of these, slots that are no event's first: values of long ones, and fillers. */
  extraSlots: number;
  lost: number;
  lostEntries: number;
  lostExits: number;
  /** Bytes at the end of the file of a packet that is not whole. */
  tornBytes: number;
  /** Events whose time was before that of the event before; they are taken to be simultaneous. */
  backwards: number;
  damages: readonly Damage[];
};

/** Where and how reading can be taken up again later: at the beginning of a packet. */
export type ThreadMark = {
  /** Time of the event before, and of the thread's beginning; ticks since the origin. */
  readonly time: number;
  readonly begin: number;
  /** File offset of the packet. */
  readonly offset: number;
  readonly stack: StackSnapshot;
  readonly losses: LossState;
};

/** From an event on that can't be read in a batch, so many are read one by one. */
const eventsBetween = 16;

/** What the loops need of other modules, as this one's: see CONTRIBUTING.md, "What bites". */
const { entry: entryKind, exit: exitKind } = eventKind;
const { returned } = callEnd;
const stampShift = kindBits;

/** In the low half of a slot, above the kind: the low 30 bits of the time; in the high half: 8. */
const lowTimeUnit = 2 ** (32 - kindBits);
const highTimeMask = 2 ** (timeBits - 32 + kindBits) - 1;
const siteShiftHigh = 8;

/** The 38 bits of a slot's time. */
const stampOf = (low: number, high: number): number =>
  (low >>> stampShift) + (high & highTimeMask) * lowTimeUnit;

/** Processors' clocks may differ by so much, 5 ms at 3 GHz; time going further back is damage. */
const skewTicksMax = 2 ** 24;

export class ThreadReader {
  readonly stream: TraceStream;
  /** As the packets say, from the first one that was read on. */
  pid = 0;
  tid = 0;
  threadName = "";
  /** Ticks since the origin: the first packet's begin and the last one's end so far. */
  begin: number | undefined;
  end = 0;
  readonly totals: ThreadTotals;

  readonly #source: ByteSource;
  readonly #packets: PacketReader;
  readonly #stack: CallStack;
  readonly #visitor: CallVisitor;
  readonly #functions: FunctionTable;
  readonly #entriesOnly: Uint8Array | undefined;
  /** Sites by the numbers that events carry, unless these are the sites. */
  #sites: Int32Array | undefined;
  readonly #origin: bigint;
  /** Takes plain calls; undefined where events stand for something else than they usually do. */
  #batch: CallBatch | undefined;
  /** Ticks since the origin at which the events' 38 bits of time last were 0. */
  #base = 0;
  /** The 38 bits of the event before. */
  #stamp = 0;
  /** Time of the event before. */
  #last = 0;
  /** Time of the next event. */
  #next = 0;
  #losses: LossLedger = new LossLedger();
  #isOpen = true;

  /**
   * Opens the stream; `run` to the end or `close` closes it.
   * @param origin ticks that times are counted from.
   */
  constructor(
    trace: Trace,
    stream: TraceStream,
    visitor: CallVisitor,
    origin: bigint,
    windowBytesMax?: number,
  ) {
    this.stream = stream;
    this.#source = stream.open();
    this.#packets = new PacketReader(this.#source, trace.session.uuid, windowBytesMax);
    this.#visitor = visitor;
    this.#stack = new CallStack(visitor);
    this.#origin = origin;
    this.#functions = trace.functions;
    this.#entriesOnly = trace.functions.entriesOnly;
    this.totals = {
      packets: 0,
      slots: 0,
      extraSlots: 0,
      lost: 0,
      lostEntries: 0,
      lostExits: 0,
      tornBytes: 0,
      backwards: 0,
      damages: this.#packets.damages,
    };
  }

  /** Time of the next event, after moving to a block that has one; Infinity at the end. */
  next(): number {
    return this.#nextAfter(this.#packets.from);
  }

  /**
   * Reads events up to and including those at `until`, but no further than to the end of a block
   * of the file. Gives the time of the next event, Infinity at the end, when calls that are still
   * open have been told too.
   */
  run(until: number): number {
    this.#tell(this.#losses.take(), this.#next);
    const { from, to } = this.#packets;
    const batch = until === Infinity ? this.#batch : undefined;
    const at = batch ? this.#readBatches(from, to, batch) : this.#readEach(from, to, until);
    this.totals.slots += (at - from) / 2;
    return this.#nextAfter(at);
  }

  /** Reads events many at a time, and where that can't be done, some of them one by one. */
  #readBatches(from: number, to: number, batch: CallBatch): number {
    const { words } = this.#packets;
    for (let at = from; at < to; ) {
      const begin = at;
      at = batch.take(words, begin, to, this.#stamp, this.#base, this.#stack);
      if (at > begin) {
        this.#stamp = stampOf(words[at - 2] ?? 0, words[at - 1] ?? 0);
        this.#last = this.#base + this.#stamp;
      } else {
        const end = Math.min(to, begin + 2 * eventsBetween);
        at = this.#readEach(begin, end, Infinity);
        // The rest of a long event is not there yet.
        if (at < end) return at;
      }
    }
    return to;
  }

  /** Reads events one by one up to the word `to`, or to one that is later than `until`. */
  #readEach(from: number, to: number, until: number): number {
    const visitor = this.#visitor;
    const stack = this.#stack;
    const end = this.end;
    const entriesOnly = this.#entriesOnly;
    const siteOf = this.#sites;
    const { words } = this.#packets;
    let { sites, starts, inner, depth } = stack;
    let at = from;
    let last = this.#last;
    let before = this.#stamp;
    let base = this.#base;
    while (at < to) {
      const low = words[at] ?? 0;
      const high = words[at + 1] ?? 0;
      let stamp = stampOf(low, high);
      if (stamp < before) {
        // The clock's low bits started over; or, where that would be after the packet's end, the
        // clock stepped back: processors whose counters differ.
        if (base + timeWrap + stamp <= end) base += timeWrap;
        else {
          stamp = before;
          this.totals.backwards++;
        }
      }
      const time = base + stamp;
      before = stamp;
      if (time > until) break;
      let site = high >>> siteShiftHigh;
      if (siteOf !== undefined) site = this.#joined(site);
      const kind = low & 3;
      if (kind === entryKind && entriesOnly?.[site] !== 1) {
        if (depth === sites.length) {
          stack.grow();
          ({ sites, starts, inner } = stack);
        }
        sites[depth] = site;
        starts[depth] = time;
        visitor.enter(site, time, depth++);
        inner[depth] = 0;
      } else if (kind === exitKind && depth > 0 && sites[depth - 1] === site) {
        const start = starts[depth - 1] ?? 0;
        const total = time - start;
        const self = total - (inner[depth] ?? 0);
        depth--;
        inner[depth] = (inner[depth] ?? 0) + total;
        visitor.leave(site, start, time, self, depth, returned);
      } else {
        stack.depth = depth;
        const slots = this.#rare(kind, site, time, last, at);
        if (slots === 0) break;
        at += (slots - 1) * 2;
        ({ sites, starts, inner, depth } = stack);
      }
      last = time;
      at += 2;
    }
    stack.depth = depth;
    this.#last = last;
    this.#stamp = before;
    this.#base = base;
    return at;
  }

  /** Where the reader is, if it is at a packet's beginning and the next event was asked for. */
  mark(): ThreadMark | undefined {
    const offset = this.#isOpen ? this.#packets.freshPacket : undefined;
    if (offset === undefined) return undefined;
    return {
      time: this.#last,
      begin: this.begin ?? 0,
      offset,
      stack: this.#stack.snapshot(),
      losses: this.#losses.state,
    };
  }

  /**
   * Instead of `next` at first: goes to where a reader of the same stream and origin made `mark`.
   * The visitor is told of the calls that are open there as if they were entered.
   */
  resume(mark: ThreadMark): number {
    this.#packets.seek(mark.offset);
    this.begin = mark.begin;
    this.#last = mark.time;
    this.#stack.restore(mark.stack);
    const next = this.#nextAfter(this.#packets.from);
    this.#losses = new LossLedger(mark.losses);
    return next;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#packets.release();
    this.#source.close();
  }

  /** All but plain entries and fitting exits. Gives the slots it used, 0 to wait for more. */
  #rare(kind: number, site: number, time: number, last: number, at: number): number {
    switch (kind) {
      case eventKind.entry:
        this.#enter(site, time, this.#entriesOnly?.[site] === 1);
        return 1;
      case eventKind.exit:
        this.#stack.exit(site, time, last, callEnd.returned);
        return 1;
      case eventKind.unwound:
        if (site === fillerSite) this.totals.extraSlots++;
        else if (site < aloneBit) this.#stack.exit(site, time, last, callEnd.unwound);
        else this.#enter(site - aloneBit, time, true);
        return 1;
      default:
        return this.#long(site, time, last, at);
    }
  }

  #enter(site: number, time: number, isAlone: boolean): void {
    if (isAlone) {
      this.#visitor.point(site, time, this.#stack.depth);
    } else {
      this.#stack.push(site, time);
      this.#visitor.enter(site, time, this.#stack.depth - 1);
    }
  }

  #long(site: number, time: number, last: number, at: number): number {
    const { words, to } = this.#packets;
    const header = at + 2;
    if (header >= to) return 0;
    const head = words[header] ?? 0;
    const slots = longHeaderSlots + (head >>> 16);
    if (at + slots * 2 > to) return 0;
    this.#visitor.values?.({
      form: (head >>> 8) & 0xff,
      types: words[header + 1] ?? 0,
      words,
      from: header + 2,
      to: at + slots * 2,
    });
    this.totals.extraSlots += slots - 1;
    const base = head & 0xff;
    if (base === longBase.entry) this.#enter(site, time, this.#entriesOnly?.[site] === 1);
    else if (base === longBase.alone) this.#enter(site, time, true);
    else if (base === longBase.exit) this.#stack.exit(site, time, last, callEnd.returned);
    else if (base === longBase.unwound) this.#stack.exit(site, time, last, callEnd.unwound);
    return slots;
  }

  /** The site of the function that an event of this image names, what it says besides kept. */
  #joined(number: number): number {
    if (number === fillerSite) return number;
    const flag = number & aloneBit;
    return flag + (this.#sites?.[number - flag] ?? number - flag);
  }

  /** Moves on from word `at` to where the next event is, and gives its time. */
  #nextAfter(at: number): number {
    if (!this.#isOpen) return Infinity;
    const packets = this.#packets;
    packets.from = at;
    for (;;) {
      // A long event that the block cuts off is asked for once more, together with its rest.
      if (packets.hasWholeEvent) return this.#peek();
      if (!packets.nextBlock(packets.from)) return this.#finish();
      if (packets.startsPacket && packets.packet !== undefined) this.#openPacket(packets.packet);
    }
  }

  #peek(): number {
    const { words, from } = this.#packets;
    const low = words[from] ?? 0;
    const high = words[from + 1] ?? 0;
    const stamp = stampOf(low, high);
    if (stamp >= this.#stamp) this.#stamp = stamp;
    else if (this.#base + timeWrap + stamp <= this.end) {
      this.#base += timeWrap;
      this.#stamp = stamp;
    }
    this.#next = this.#base + this.#stamp;
    return this.#next;
  }

  #openPacket(packet: PacketFields): void {
    this.#sites = this.#functions.sitesOf(packet.image);
    const isUsual = this.#sites === undefined && this.#entriesOnly === undefined;
    this.#batch = isUsual ? this.#visitor.batch : undefined;
    this.pid = packet.pid;
    this.tid = packet.tid;
    this.threadName = packet.threadName;
    const begin = Number(packet.begin - this.#origin);
    this.end = Number(packet.end - this.#origin);
    if (this.begin === undefined) {
      this.begin = begin;
      this.#last = begin;
    }
    const stamp = Number(BigInt.asUintN(timeBits, packet.begin));
    this.#base = begin - stamp;
    if (this.#last - begin > skewTicksMax) {
      this.#tell({ lost: Infinity, losses: undefined }, this.#last);
      this.#last = begin;
    }
    // A little too early: its first events are taken to be simultaneous with the last one.
    this.#stamp = Math.max(stamp, this.#last - this.#base);
    this.#losses.open(packet, this.#packets.afterDamage);
    this.totals.packets++;
    this.totals.lost = packet.lost;
    this.totals.lostEntries = packet.lostEntries;
    this.totals.lostExits = packet.lostExits;
  }

  #tell(gap: Gap | undefined, time: number): void {
    if (gap === undefined) return;
    if (gap.losses === undefined) this.#stack.loseAll(this.#last);
    else this.#stack.lose(gap.losses, this.#last, time);
    this.#visitor.gap(gap.lost, this.#last, time);
  }

  #finish(): number {
    this.totals.tornBytes = this.#packets.tornBytes;
    // Damaged events can be later than their packet says.
    this.end = Math.max(this.end, this.#last);
    this.#tell(this.#losses.takeLast(), this.end);
    this.#stack.finish(this.end);
    this.close();
    return Infinity;
  }
}
