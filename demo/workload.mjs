/**
 * The demo's program where there is no C compiler: JavaScript that keeps Node.js at work, its
 * garbage collector above all. Speaks the same lines as workload.c:
 *
 *     pid N              once
 *     at NS ROUNDS       now and then, NS being the monotonic clock's nanoseconds
 *     rounds N           in the end, when its standard input ends or after as many rounds as its
 *     checksum HEX       argument says; the checksum depends on the number of rounds alone
 */
import { createHash } from "node:crypto";

const wanted = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);
const sayEveryNs = 50_000_000n;
/** Trees that live for some rounds, so that there is something to be promoted. */
const alive = Array.from({ length: 64 }, () => undefined);
const hash = createHash("sha256");
let rounds = 0;
let saidNs = 0n;
let isOver = false;

/** A binary tree of 2^depth - 1 objects. */
const plant = (depth, seed) =>
  depth === 0
    ? undefined
    : { seed, left: plant(depth - 1, seed * 2), right: plant(depth - 1, seed * 2 + 1) };

const sumOf = (tree) =>
  tree === undefined ? 0 : (tree.seed + sumOf(tree.left) + sumOf(tree.right)) % 1_000_003;

function round() {
  const tree = plant(12, rounds % 1000);
  alive[rounds % alive.length] = tree;
  const text = JSON.stringify(tree.left.left.left);
  hash.update(`${sumOf(tree)} ${JSON.parse(text).seed} ${text.length}\n`);
  rounds++;
}

function say() {
  saidNs = process.hrtime.bigint();
  console.log(`at ${saidNs} ${rounds}`);
}

function turn() {
  for (let i = 0; i < 8 && rounds < wanted; i++) round();
  if (process.hrtime.bigint() - saidNs > sayEveryNs) say();
  if (!isOver && rounds < wanted) {
    setImmediate(turn);
    return;
  }
  console.log(`rounds ${rounds}`);
  console.log(`checksum ${hash.digest("hex").slice(0, 16)}`);
}

console.log(`pid ${process.pid}`);
if (wanted === Number.POSITIVE_INFINITY) {
  process.stdin.on("end", () => {
    isOver = true;
  });
  process.stdin.resume();
}
turn();
