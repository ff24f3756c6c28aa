/**
 * A tracer for `emulated-dispatch.test.ts` to kill: starts a program under qemu and lets it have
 * other ops, in other forms, without end. Arguments: the public API's path, a trace directory, a
 * seed, and the program with its arguments. It writes where this does.
 */
const [api, directory, seed, ...program] = process.argv.slice(2);
const { launch } = await import(api);

let state = Number(seed);
const below = (limit) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor(((state >>> 8) / 2 ** 24) * limit);
};
const names = ["leaf", "recurse", "last"];
const someOf = () => ({
  include: Array.from({ length: 1 + below(3) }, () => `traced_${names[below(3)]}`),
});
const forms = ["call-ops", "fused", "list", "thunk", "idle", undefined];

const session = await launch(program, { emulated: {} });
const recording = await session.record({
  directory,
  filter: { include: ["traced_handled"] },
  exits: false,
  flightRecorder: true,
  ringBytes: 64 << 10,
});
console.log(`storming ${session.pid}`);
const handlers = [{ kind: "record", exits: false }, { kind: "count" }];
let ops = await Promise.all(
  handlers.map((handler) => recording.register("storm", handler, someOf())),
);
for (;;) {
  ops = await Promise.all(ops.map((one) => recording.setFilter(one, someOf())));
  await recording.setDispatch(forms[below(forms.length)]);
}
