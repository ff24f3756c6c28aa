/** The functions of a trace, by site. */

import type { FunctionColumns } from "../../src/server/api.ts";
import { compileGlobs } from "../../src/symbols/glob.ts";

export type FunctionInfo = {
  readonly site: number;
  readonly name: string;
  readonly module: string;
  readonly file: string | undefined;
  readonly line: number;
  readonly calls: number;
};

export class Functions {
  readonly all: readonly FunctionInfo[];
  readonly #bySite: ReadonlyMap<number, FunctionInfo>;

  constructor(columns: FunctionColumns) {
    this.all = columns.sites.map((site, at) => ({
      site,
      name: columns.names[at] ?? `site ${site}`,
      module: columns.modules[columns.module[at] ?? 0] ?? "",
      file: columns.files[columns.file[at] ?? -1],
      line: columns.lines[at] ?? 0,
      calls: columns.calls[at] ?? 0,
    }));
    this.#bySite = new Map(this.all.map((one) => [one.site, one]));
  }

  find(site: number): FunctionInfo | undefined {
    return this.#bySite.get(site);
  }

  name(site: number): string {
    if (site < 0) return "[lost]";
    return this.#bySite.get(site)?.name ?? `site ${site}`;
  }

  /** Functions whose names hold `text`, or match it where it is a glob; most called first. */
  search(text: string): readonly FunctionInfo[] {
    if (text === "") return [];
    const low = text.toLowerCase();
    const isGlob = /[*?[]/.test(text);
    const test = isGlob
      ? compileGlobs([text])
      : (name: string): boolean => name.toLowerCase().includes(low);
    return this.all
      .filter(({ name }) => test(name))
      .sort((a, b) => b.calls - a.calls || a.name.localeCompare(b.name));
  }
}
