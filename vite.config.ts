/** Builds the page that `patchbay ui` serves: `ui/` to `dist/ui/`. */
import { defineConfig, type UserConfig } from "vite";

const config: UserConfig = defineConfig({
  root: "ui",
  publicDir: false,
  build: {
    outDir: "../dist/ui",
    emptyOutDir: true,
    target: "es2023",
    // The page's policy allows files of the server, and no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});

export default config;
