/** The pages in docs/protocols: their generated parts are what the data say (update: vitest -u). */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { families } from "../../patch/protocols/families.ts";
import { claims } from "../claims.ts";
import { claimsTable, familyTables } from "./page.ts";

const marks = ["<!-- generated: verdicts -->", "<!-- end of generated -->"] as const;
const pageOf = (id: string): string => `docs/protocols/${id.toLowerCase()}.md`;

/** The page with its generated part made anew. */
function renew(text: string, tables: string): string {
  const [begin, end] = marks.map((mark) => text.indexOf(mark));
  if (begin === undefined || end === undefined || begin < 0 || end < begin) return "no marks";
  return `${text.slice(0, begin)}${marks[0]}\n\n${tables}\n${text.slice(end)}`;
}

/** The engine's page says what it does; its checks are many and alike. */
const described = families.filter(({ id }) => id !== "LIVE");

describe("docs/protocols", () => {
  it.each(described)("has a page of $id that is up to date", async (family) => {
    const page = pageOf(family.id);
    expect(existsSync(page), page).toBe(true);
    const text = readFileSync(page, "utf8");
    await expect(renew(text, familyTables(family))).toMatchFileSnapshot(`../../../${page}`);
  });

  it("has the table of claims, up to date", async () => {
    const page = "docs/protocols/claims.md";
    const text = readFileSync(page, "utf8");
    await expect(renew(text, claimsTable(claims))).toMatchFileSnapshot(`../../../${page}`);
  });
});
