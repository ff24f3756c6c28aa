/** Whose manual the choice of protocols relies on, where nobody says otherwise. */
import { cpuVendor } from "../os/proc.ts";
import type { VendorRules } from "../patch/protocols/x86-64-live.ts";

/** The rules of this machine's vendor; Hygon makes AMD's processors. */
export const machineRules = (): VendorRules =>
  ["AuthenticAMD", "HygonGenuine"].includes(cpuVendor()) ? "amd" : "intel";
