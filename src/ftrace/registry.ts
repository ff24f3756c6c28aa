/**
 * The register of all ops and the records of all sites: who wants what, and which sites have to
 * change when somebody comes, goes or changes his mind. It decides; carrying out is the target's.
 *
 * An update is worked out and its conflicts are found before any record changes, so a refusal
 * leaves everything as it was (kernel/trace/ftrace.c rolls back instead).
 */
import { assert, ensure } from "../base/assert.ts";
import { err, ok, type Result } from "../base/result.ts";
import { needsFilter, type Ops, opsWants, wishOf } from "./ops.ts";
import {
  addWish,
  checkRecord,
  countOf,
  flag,
  has,
  removeWish,
  settleRecord,
  type Wish,
} from "./record.ts";

/** Why ops were refused. */
export type Conflict =
  /** -EBUSY: another ops changes the ip there already; only one may. */
  | { readonly kind: "busy"; readonly site: number; readonly holder: string }
  /** -EINVAL: an ops that redirects has to name its functions. */
  | { readonly kind: "no-filter" }
  /** -EEXIST. */
  | { readonly kind: "registered" };

/**
 * What becomes of a site's text. `modifyOps`: by Linux' rules it can stay, because the list
 * function walks whatever ops there are; a dispatch that is made for one set of ops has to follow.
 */
export const updateAction = { makeCall: 0, modifyCall: 1, makeNop: 2, modifyOps: 3 } as const;

/** Sites to change, ascending; in columns, because there may be a hundred thousand. */
export type Update = {
  readonly sites: Uint32Array;
  /** Of each site, one of `updateAction`. */
  readonly actions: Uint8Array;
  /** Each set of ops that sites serve from now on, in the order of registration; 0 is nobody. */
  readonly sets: readonly (readonly Ops[])[];
  /** Of each site, the number of its set. */
  readonly set: Uint32Array;
};

/** A line of `enabled_functions`. */
export type EnabledSite = {
  readonly site: number;
  readonly count: number;
  /** R I D O M, as Linux prints them. */
  readonly flags: string;
  readonly ops: readonly string[];
};

/** What a registry knows at one moment; nobody changes it. */
export type RegistryState = {
  readonly ops: readonly Ops[];
  readonly records: Int32Array<ArrayBuffer>;
};

export class Registry {
  #records: Int32Array<ArrayBuffer>;
  #ops: readonly Ops[] = [];
  #enabled = true;

  /** @param siteCount sites are numbered from 0. */
  constructor(siteCount: number) {
    this.#records = new Int32Array(siteCount);
  }

  get siteCount(): number {
    return this.#records.length;
  }

  get ops(): readonly Ops[] {
    return this.#ops;
  }

  record(site: number): number {
    return this.#records[site] ?? 0;
  }

  /** Whether the site's text calls something. */
  isEnabled(site: number): boolean {
    return has(this.record(site), flag.enabled);
  }

  /** Adds sites behind those that are there (a library was loaded); who wants them gets them. */
  addSites(count: number): Update {
    const first = this.siteCount;
    const larger = new Int32Array(first + count);
    larger.set(this.#records);
    this.#records = larger;
    for (let site = first; site < larger.length; site++) {
      for (const ops of this.#ops) {
        if (opsWants(ops, site)) larger[site] = addWish(this.record(site), wishOf(ops));
      }
    }
    return this.#update(new Uint8Array(this.siteCount));
  }

  /** Sites that were disabled and whose code is there again; who wants them gets them. */
  enableSites(sites: Iterable<number>): Update {
    for (const site of sites) this.#records[site] = this.record(site) & ~flag.disabled;
    return this.#update(new Uint8Array(this.siteCount));
  }

  /** Sites whose code is gone or must not be touched: nothing is done to them any more. */
  disableSites(sites: Iterable<number>): void {
    for (const site of sites) {
      this.#records[site] = (this.record(site) | flag.disabled) & ~flag.enabled;
    }
  }

  /** What it knows now; `restore` goes back to it. */
  save(): RegistryState {
    return { ops: this.#ops, records: this.#records.slice() };
  }

  restore({ ops, records }: RegistryState): void {
    this.#ops = ops;
    this.#records = records;
  }

  /** Registers `ops`: the sites that have to change, or why it can't be. */
  register(ops: Ops): Result<Update, Conflict> {
    return this.exchange([], [ops]);
  }

  /** Takes `ops` away: the sites that have to change. */
  unregister(ops: Ops): Update {
    const result = this.exchange([ops], []);
    assert(result.ok, "nothing keeps an ops from going");
    return result.value;
  }

  /** Puts `next` in the place of `ops`: other hashes, or another handler with the same ones. */
  modify(ops: Ops, next: Ops): Result<Update, Conflict> {
    const place = this.#ops.indexOf(ops);
    assert(place >= 0, `${ops.name} is registered`);
    const conflict = this.#conflict(next, [ops]);
    if (conflict !== undefined) return err(conflict);
    this.#ops = this.#ops.with(place, next);
    const changed = new Uint8Array(this.siteCount);
    this.#removeWishes(ops, changed);
    this.#addWishes(next, changed);
    if (ops.handler === next.handler) {
      for (let site = 0; site < this.siteCount; site++) {
        if (opsWants(ops, site) && opsWants(next, site)) changed[site] = 0;
      }
    }
    return ok(this.#update(changed));
  }

  /** Takes `gone` away and brings `come`, in one update. */
  exchange(gone: readonly Ops[], come: readonly Ops[]): Result<Update, Conflict> {
    for (const ops of come) {
      if (this.#ops.includes(ops)) return err({ kind: "registered" });
      const conflict = this.#conflict(ops, gone);
      if (conflict !== undefined) return err(conflict);
    }
    for (const ops of gone) assert(this.#ops.includes(ops), `${ops.name} is registered`);
    this.#ops = [...this.#ops.filter((one) => !gone.includes(one)), ...come];
    const changed = new Uint8Array(this.siteCount);
    for (const ops of gone) this.#removeWishes(ops, changed);
    for (const ops of come) this.#addWishes(ops, changed);
    return ok(this.#update(changed));
  }

  /** Everything on or off at once, without changing who wants what. */
  setEnabled(enabled: boolean): Update {
    this.#enabled = enabled;
    return this.#update(new Uint8Array(this.siteCount));
  }

  opsAt(site: number): readonly Ops[] {
    return this.#ops.filter((ops) => opsWants(ops, site));
  }

  /** An update of all sites whose text calls something, to serve the ops that they serve now. */
  refresh(): Update {
    const update = new UpdateColumns(this.#ops, this.siteCount);
    for (let site = 0; site < this.siteCount; site++) {
      if (this.isEnabled(site)) update.add(site, "modifyOps");
    }
    return update.finish();
  }

  /** The sites whose text calls something, as `enabled_functions` lists them. */
  *enabledSites(): Generator<EnabledSite> {
    for (let site = 0; site < this.siteCount; site++) {
      if (!this.isEnabled(site)) continue;
      const record = this.record(site);
      const letter = (name: string, bit: number): string => (has(record, bit) ? name : " ");
      yield {
        site,
        count: countOf(record),
        flags: [
          letter("R", flag.regs),
          letter("I", flag.ipModify),
          letter("D", flag.direct),
          letter("O", flag.callOps),
          letter("M", flag.modified),
        ].join(" "),
        ops: this.opsAt(site).map((ops) => ops.name),
      };
    }
  }

  /** How many sites are enabled that one of `ops` wants. */
  countEnabled(ops: readonly Ops[]): number {
    let count = 0;
    for (let site = 0; site < this.siteCount; site++) {
      if (!this.isEnabled(site)) continue;
      if (ops.some((one) => opsWants(one, site))) count++;
    }
    return count;
  }

  /** Takes `ops` out of the records of the sites that it wants, and marks them in `changed`. */
  #removeWishes(ops: Ops, changed: Uint8Array): void {
    const wish = wishOf(ops);
    const others = this.#ops.filter((one) => one !== ops).map((one) => [one, wishOf(one)] as const);
    for (let site = 0; site < this.siteCount; site++) {
      if (!opsWants(ops, site)) continue;
      let [count, regs] = [0, false];
      let sole: Wish | undefined;
      for (const [other, its] of others) {
        if (!opsWants(other, site)) continue;
        sole = count++ === 0 ? its : undefined;
        regs ||= its.regs;
      }
      this.#records[site] = removeWish(this.record(site), wish, { regs, sole });
      changed[site] = 1;
    }
  }

  /** Adds `ops` to the records of the sites that it wants, and marks them in `changed`. */
  #addWishes(ops: Ops, changed: Uint8Array): void {
    const wish = wishOf(ops);
    for (let site = 0; site < this.siteCount; site++) {
      if (!opsWants(ops, site)) continue;
      this.#records[site] = addWish(this.record(site), wish);
      changed[site] = 1;
    }
  }

  /** The first thing that keeps `ops` from being registered in the place of `instead`. */
  #conflict(ops: Ops, instead: readonly Ops[]): Conflict | undefined {
    if (!needsFilter(ops)) return undefined;
    if (ops.filter.terms.length === 0) return { kind: "no-filter" };
    for (const site of ops.filter.sites) {
      if (!opsWants(ops, site)) continue;
      const holder = this.opsAt(site).find((one) => !instead.includes(one) && redirects(one));
      if (holder !== undefined) return { kind: "busy", site, holder: holder.name };
    }
    return undefined;
  }

  /**
   * Settles every record and says what that means for its text.
   * @param changed 1 at sites that other ops want than before.
   */
  #update(changed: Uint8Array): Update {
    const update = new UpdateColumns(this.#ops, this.siteCount);
    for (let site = 0; site < this.siteCount; site++) {
      const record = this.record(site);
      const needed = checkRecord(record, this.#enabled);
      if (needed === "ignore" && !(changed[site] === 1 && has(record, flag.enabled))) continue;
      this.#records[site] = settleRecord(record, needed);
      update.add(site, needed === "ignore" ? "modifyOps" : needed);
    }
    return update.finish();
  }
}

/** An update while sites are added to it, ascending. */
class UpdateColumns {
  readonly #ops: readonly Ops[];
  readonly #sites: Uint32Array;
  readonly #actions: Uint8Array;
  readonly #set: Uint32Array;
  readonly #sets: (readonly Ops[])[] = [[]];
  /** By set and place of an ops: the set with that one, too; 0 where it is not known yet. */
  readonly #larger: Uint32Array[];
  #count = 0;

  constructor(ops: readonly Ops[], siteCount: number) {
    this.#ops = ops;
    this.#sites = new Uint32Array(siteCount);
    this.#actions = new Uint8Array(siteCount);
    this.#set = new Uint32Array(siteCount);
    this.#larger = [new Uint32Array(ops.length)];
  }

  add(site: number, action: keyof typeof updateAction): void {
    this.#sites[this.#count] = site;
    this.#actions[this.#count] = updateAction[action];
    this.#set[this.#count++] = action === "makeNop" ? 0 : this.#setAt(site);
  }

  finish(): Update {
    return {
      sites: this.#sites.slice(0, this.#count),
      actions: this.#actions.slice(0, this.#count),
      sets: this.#sets,
      set: this.#set.slice(0, this.#count),
    };
  }

  #setAt(site: number): number {
    let set = 0;
    for (let place = 0; place < this.#ops.length; place++) {
      if (opsWants(ensure(this.#ops[place], "an ops"), site)) set = this.#with(set, place);
    }
    return set;
  }

  #with(set: number, place: number): number {
    const larger = ensure(this.#larger[set], "a set");
    const known = larger[place] ?? 0;
    if (known > 0) return known;
    const ops = ensure(this.#ops[place], "an ops");
    const next = this.#sets.push([...ensure(this.#sets[set], "a set"), ops]) - 1;
    this.#larger.push(new Uint32Array(this.#ops.length));
    larger[place] = next;
    return next;
  }
}

const redirects = (ops: Ops): boolean => {
  const { direct, ipModify } = wishOf(ops);
  return direct || ipModify;
};

/** A conflict in words. */
export function describeConflict(conflict: Conflict, nameOf: (site: number) => string): string {
  switch (conflict.kind) {
    case "busy":
      return `${nameOf(conflict.site)} is redirected by ${conflict.holder} already`;
    case "no-filter":
      return "ops that redirect calls have to name their functions";
    case "registered":
      return "these ops are registered already";
    default:
      return conflict satisfies never;
  }
}
