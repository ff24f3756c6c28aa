/**
 * Dispatch: by what code a site reaches the ops that want it. One rule picks; a form can be forced
 * for all sites, to compare them, and a site that can't have it says why.
 *
 * | form       | the site                           | its ops are found by                       |
 * | ---------- | ---------------------------------- | ------------------------------------------ |
 * | `idle`     | is a no-op                         | nobody: what nobody wants costs nothing    |
 * | `call-ops` | calls the common trampoline        | the literal: one ops, its function         |
 * | `fused`    | calls the common trampoline        | the literal: a function made for them all |
 * | `list`     | calls the common trampoline        | the literal: a walk through all ops        |
 * | `thunk`    | jumps to a thunk of its own        | the thunk: routines made for all of them   |
 */

export const dispatchForms = ["idle", "call-ops", "list", "fused", "thunk"] as const;
export type DispatchForm = (typeof dispatchForms)[number];

/**
 * How the call of a site gets to the common trampoline: straight (Linux' CALL_OPS), or, on RISC-V,
 * by a stub that loads where to go on from memory. One store retargets all sites that share a stub.
 *
 * | design             | the site calls                                          |
 * | ------------------ | ------------------------------------------------------- |
 * | `call-ops`         | the trampoline                                          |
 * | `target-in-memory` | the one stub that there is                              |
 * | `trampoline-table` | one of a table of stubs (after zcmt)                    |
 */
export const siteDesigns = ["call-ops", "target-in-memory", "trampoline-table"] as const;
export type SiteDesign = (typeof siteDesigns)[number];

/** What a site and its ops allow. */
export type DispatchFacts = {
  /** Ops that want the site. */
  readonly count: number;
  /** Why one of them needs a thunk of the site's own; undefined when none does. */
  readonly needsThunk: string | undefined;
  /** Why the site can't call with a literal beside it; undefined when it can. */
  readonly noLiteral: string | undefined;
};

export type Dispatch = {
  readonly form: DispatchForm;
  /** Why it is not the form that was asked for. */
  readonly why?: string;
};

const idle: Dispatch = { form: "idle" };

/** The rule. @param forced what somebody asks for instead of the best. */
export function pickDispatch(facts: DispatchFacts, forced?: DispatchForm): Dispatch {
  const { count, needsThunk, noLiteral } = facts;
  if (count === 0 || forced === "idle") return idle;
  if (forced === "thunk") return { form: "thunk" };
  const why = needsThunk ?? noLiteral;
  // A thunk can walk the list as well; only what needs the thunk itself keeps it from that.
  if (forced === "list" && needsThunk === undefined) return { form: "list" };
  if (why !== undefined) return forced === undefined ? { form: "thunk" } : { form: "thunk", why };
  if (forced === "fused") return { form: "fused" };
  if (count === 1) return { form: "call-ops" };
  return forced === "call-ops"
    ? { form: "list", why: "several ops want it: its literal points at the list" }
    : { form: "fused" };
}
