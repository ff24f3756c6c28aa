import { defineConfig, type ViteUserConfig } from "vitest/config";

/**
 * Three tiers: `unit` (pure, beside the sources), `oracle` (against disassemblers, binutils and
 * other tools we did not write) and `live` (real processes, against the built `dist/`; serial,
 * because a busy machine must not turn one test's load into another's time-out).
 */
const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "tools/**/*.test.ts"],
          // Milliseconds on a quiet machine, and no test fails because another one is at work.
          testTimeout: 120_000,
        },
      },
      { test: { name: "oracle", include: ["test/oracle/**/*.test.ts"], testTimeout: 120_000 } },
      {
        test: {
          name: "live",
          include: ["test/live/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          pool: "forks",
        },
      },
    ],
  },
});

export default config;
