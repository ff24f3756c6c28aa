/**
 * The register of all ops and the records of all sites: who wants what, and which sites have to
 * change when somebody comes, goes or changes his mind. It decides; carrying out is the target's.
 *
 * An update is worked out and its conflicts are found before any record changes, so a refusal
 * leaves everything as it was (kernel/trace/ftrace.c rolls back instead).
 */
import { assert } from "../base/assert.ts";
import { err, ok, type Result } from "../base/result.ts";
import { needsFilter, type Ops, opsWants, wishOf } from "./ops.ts";
import {
  type Action,
  addWish,
  checkRecord,
  countOf,
  flag,
  has,
  removeWish,
  settleRecord,
} from "./record.ts";

/** Why ops were refused. */
export type Conflict =
  /** -EBUSY: another ops changes the ip there already; only one may. */
  | { readonly kind: "busy"; readonly site: number; readonly holder: string }
  /** -EINVAL: an ops that redirects has to name its functions. */
  | { readonly kind: "no-filter" }
  /** -EEXIST. */
  | { readonly kind: "registered" };

/** One site's part of an update. */
export type SiteUpdate = {
  readonly site: number;
  /**
   * `modifyOps`: by Linux' rules the text can stay, because the list function walks whatever ops
   * there are; a dispatch that is made for one set of ops has to follow.
   */
  readonly action: Exclude<Action, "ignore"> | "modifyOps";
  /** The ops that the site serves from now on, in the order in which they were registered. */
  readonly ops: readonly Ops[];
};

/** Sites to change, ascending. */
export type Update = readonly SiteUpdate[];

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
    return this.#update(new Set());
  }

  /** Sites that were disabled and whose code is there again; who wants them gets them. */
  enableSites(sites: Iterable<number>): Update {
    for (const site of sites) this.#records[site] = this.record(site) & ~flag.disabled;
    return this.#update(new Set());
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
    const before = this.#wantedBy(ops);
    const after = this.#wantedBy(next);
    for (const site of before) this.#remove(site, ops);
    for (const site of after) this.#records[site] = addWish(this.record(site), wishOf(next));
    const sameHandler = ops.handler === next.handler;
    const stays = (site: number): boolean => sameHandler && before.has(site) && after.has(site);
    return ok(this.#update(new Set([...before, ...after].filter((site) => !stays(site)))));
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
    const changed = new Set<number>();
    for (const ops of gone) {
      for (const site of this.#wantedBy(ops)) {
        this.#remove(site, ops);
        changed.add(site);
      }
    }
    for (const ops of come) {
      for (const site of this.#wantedBy(ops)) {
        this.#records[site] = addWish(this.record(site), wishOf(ops));
        changed.add(site);
      }
    }
    return ok(this.#update(changed));
  }

  /** Everything on or off at once, without changing who wants what. */
  setEnabled(enabled: boolean): Update {
    this.#enabled = enabled;
    return this.#update(new Set());
  }

  opsAt(site: number): readonly Ops[] {
    return this.#ops.filter((ops) => opsWants(ops, site));
  }

  /** The sites whose text calls something, as `enabled_functions` lists them. */
  *enabledSites(): Generator<EnabledSite> {
    for (let site = 0; site < this.siteCount; site++) {
      const record = this.record(site);
      if (!has(record, flag.enabled)) continue;
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
      if (!has(this.record(site), flag.enabled)) continue;
      if (ops.some((one) => opsWants(one, site))) count++;
    }
    return count;
  }

  #wantedBy(ops: Ops): ReadonlySet<number> {
    const sites = new Set<number>();
    for (let site = 0; site < this.siteCount; site++) if (opsWants(ops, site)) sites.add(site);
    return sites;
  }

  #remove(site: number, ops: Ops): void {
    const left = this.opsAt(site).filter((one) => one !== ops);
    const [first, second] = left;
    this.#records[site] = removeWish(this.record(site), wishOf(ops), {
      regs: left.some((one) => wishOf(one).regs),
      sole: first !== undefined && second === undefined ? wishOf(first) : undefined,
    });
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
   * @param changed sites that other ops want than before.
   */
  #update(changed: ReadonlySet<number>): Update {
    const update: SiteUpdate[] = [];
    for (let site = 0; site < this.siteCount; site++) {
      const record = this.record(site);
      const needed = checkRecord(record, this.#enabled);
      const stays = needed === "ignore" && !(changed.has(site) && has(record, flag.enabled));
      if (stays) continue;
      this.#records[site] = settleRecord(record, needed);
      const action = needed === "ignore" ? "modifyOps" : needed;
      update.push({ site, action, ops: action === "makeNop" ? [] : this.opsAt(site) });
    }
    return update;
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
