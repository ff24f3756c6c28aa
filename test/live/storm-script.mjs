/**
 * A tracer for `toggle-storm.test.ts` to kill: toggles functions of a process at random and without
 * end. Arguments: the public API's path, process id, trace directory, vendor's rules, seed, and
 * `prologues` where the program has no sites.
 */
const [api, pid, directory, vendorRules, seed, sites] = process.argv.slice(2);
const { attach } = await import(api);

let state = Number(seed);
const below = (limit) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(((state >>> 8) / 2 ** 24) * limit);
};
const someOf = () => ({
  include: Array.from({ length: 1 + below(40) }, () => `storm_${below(7)}${below(8)}`),
});

const session = await attach(Number(pid));
const recording = await session.record({
  directory,
  filter: { include: ["storm_handler"] },
  flightRecorder: true,
  ringBytes: 64 << 10,
  vendorRules,
  prologues: sites === "prologues",
});
const handlers = [
  { kind: "record", exits: true },
  { kind: "record", exits: false },
  { kind: "count" },
];
let ops = await Promise.all(
  handlers.map((handler) => recording.register("storm", handler, someOf())),
);
console.log("storming");
for (;;) ops = await Promise.all(ops.map((one) => recording.setFilter(one, someOf())));
