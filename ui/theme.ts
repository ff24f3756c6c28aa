/** Light and dark: the system's choice unless the user made one. */
import { type Signal, signal } from "@preact/signals";

export type Theme = "light" | "dark";

const system = matchMedia("(prefers-color-scheme: dark)");
const key = "patchbay-theme";

const stored = (): Theme | undefined => {
  const value = localStorage.getItem(key);
  return value === "light" || value === "dark" ? value : undefined;
};

export const theme: Signal<Theme> = signal(stored() ?? (system.matches ? "dark" : "light"));

const apply = (): void => {
  document.documentElement.dataset["theme"] = theme.value;
};
apply();

system.addEventListener("change", () => {
  if (stored() !== undefined) return;
  theme.value = system.matches ? "dark" : "light";
  apply();
});

export function switchTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(key, theme.value);
  apply();
}

/** Colours that are drawn on canvases. */
export type Colours = {
  readonly background: string;
  readonly raised: string;
  readonly line: string;
  readonly text: string;
  readonly dim: string;
  readonly accent: string;
  readonly selection: string;
  readonly warning: string;
  readonly isDark: boolean;
};

const light: Colours = {
  background: "#ffffff",
  raised: "#f5f6f8",
  line: "#e2e5ea",
  text: "#1d2129",
  dim: "#68707d",
  accent: "#1f5fbf",
  selection: "rgba(31, 95, 191, 0.13)",
  warning: "#b3261e",
  isDark: false,
};

const dark: Colours = {
  background: "#15181d",
  raised: "#1c2027",
  line: "#2c323c",
  text: "#e4e7ec",
  dim: "#98a1ae",
  accent: "#7fb4ff",
  selection: "rgba(127, 180, 255, 0.16)",
  warning: "#ff8a80",
  isDark: true,
};

export const colours = (): Colours => (theme.value === "dark" ? dark : light);
