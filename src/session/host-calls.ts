/** What a guest can ask of the owner of a process' tracing, and the owner of a guest: as JSON. */
import { hex } from "../base/brand.ts";
import type { DispatchForm } from "../ftrace/dispatch.ts";
import type { Handler } from "../ftrace/ops.ts";
import type { RemoveResult } from "../target/injection.ts";
import type { SiteFilter } from "./catalogue.ts";
import type { Answer } from "./console.ts";
import type {
  AnnouncedFunction,
  CallCount,
  RegisteredOps,
  Rings,
  SeatRequest,
  SeatState,
} from "./seat.ts";
import type { EnabledFunction } from "./tracing.ts";

/** A number of the caller's for each of its seats. */
export type SeatNumber = number;

export type RingsOnWire = Omit<Rings, "table" | "arenaFd" | "execFd"> & {
  readonly table: string;
  /** Where the arena can be opened by whoever may look into the owner: /proc/PID/fd/N. */
  readonly path: string;
};
export type FunctionOnWire = Omit<AnnouncedFunction, "address" | "linkAddress"> & {
  readonly address: string;
  readonly linkAddress: string;
};

/** What the owner serves. */
export type OwnerCalls = {
  /** Comes first; fails where the two speak different versions. */
  hello(version: number, pid: number): { readonly owner: number };
  sit(seat: SeatNumber, request: SeatRequest): Promise<RingsOnWire>;
  register(
    seat: SeatNumber,
    name: string,
    handler: Handler,
    filter: Partial<SiteFilter>,
  ): Promise<RegisteredOps>;
  unregister(seat: SeatNumber, ops: RegisteredOps): Promise<void>;
  setFilter(
    seat: SeatNumber,
    ops: RegisteredOps,
    filter: Partial<SiteFilter>,
  ): Promise<RegisteredOps>;
  setEnabled(seat: SeatNumber, on: boolean): Promise<void>;
  /** `null`: the best. */
  setDispatch(seat: SeatNumber, form: DispatchForm | null): Promise<void>;
  enabledFunctions(): readonly EnabledFunction[];
  counts(seat: SeatNumber): Promise<readonly CallCount[]>;
  state(seat: SeatNumber): Promise<SeatState>;
  leave(seat: SeatNumber, isRunning: boolean): Promise<RemoveResult | null>;
  release(seat: SeatNumber): Promise<void>;
  /** Carries out a command in the owner's own session: `console.ts`. */
  command(words: readonly string[], folder: string): Promise<Answer>;
};

/** What a guest serves. */
export type GuestCalls = {
  announce(seat: SeatNumber, functions: readonly FunctionOnWire[]): Promise<void>;
};

export const toWire = ({ address, linkAddress, ...rest }: AnnouncedFunction): FunctionOnWire => ({
  ...rest,
  address: hex(address),
  linkAddress: hex(linkAddress),
});

export const fromWire = ({ address, linkAddress, ...rest }: FunctionOnWire): AnnouncedFunction => ({
  ...rest,
  address: BigInt(address),
  linkAddress: BigInt(linkAddress),
});
