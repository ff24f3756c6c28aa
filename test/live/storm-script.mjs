/**
 * A tracer for `toggle-storm.test.ts` to kill: toggles functions of a process at random and without
 * end, few of them or all. Arguments: the public API's path, process id, trace directory, vendor's
 * rules, seed; then a glob for the functions, and `prologues` where the program has no sites.
 */
const [api, pid, directory, vendorRules, seed, glob = "storm_*", sites] = process.argv.slice(2);
const { attach } = await import(api);

let state = Number(seed);
const below = (limit) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(((state >>> 8) / 2 ** 24) * limit);
};
const session = await attach(Number(pid));
console.log("attached");
const prologues = sites === "prologues";
session.useSites({ prologues });
const names = session.select({ include: [glob] }).map(({ name }) => name);
const someOf = () => {
  const length = Math.floor(names.length ** (below(1000) / 999));
  return { include: Array.from({ length }, () => names[below(names.length)]) };
};
const recording = await session.record({
  directory,
  filter: { include: names.slice(0, 1) },
  flightRecorder: true,
  ringBytes: 64 << 10,
  vendorRules,
  prologues,
});
console.log("recording");
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
