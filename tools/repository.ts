/** The repository's files as the checks see them, and the problems they find in them. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The repository's top folder. */
export const root: string = fileURLToPath(new URL("..", import.meta.url));

/** Texts by path from the top folder, with `/` between the parts. */
export type FileMap = ReadonlyMap<string, string>;

export type Problem = {
  readonly file: string;
  /** From 1; 0 where the problem is the file's as a whole. */
  readonly line: number;
  readonly message: string;
};

export const formatProblem = ({ file, line, message }: Problem): string =>
  line === 0 ? `${file}: ${message}` : `${file}:${line}: ${message}`;

/** Sorted paths of what git tracks or would track and what is there, optionally under a folder. */
export function listedFiles(under = "."): readonly string[] {
  // safe.directory: in a container the checkout often belongs to somebody else.
  const git = ["-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard", "--"];
  const output = execFileSync("git", [...git, under], { cwd: root, encoding: "utf8" });
  const paths = new Set(output.split("\0").filter((path) => path !== ""));
  return [...paths].filter((path) => existsSync(join(root, path))).sort();
}

/** What stands in a folder on disk and below it, git or not: sorted paths from the top folder. */
export function walkFolder(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      return entry.isDirectory() ? walkFolder(path) : [path];
    })
    .sort();
}

/** The texts of `paths`; files with a zero byte are no text and left out. */
export function readTexts(paths: readonly string[]): FileMap {
  const texts = paths.map((path) => [path, readFileSync(join(root, path), "utf8")] as const);
  return new Map(texts.filter(([, text]) => !text.includes("\0")));
}

/** Was this module started from the command line? Takes its `import.meta.url`. */
export const isMain = (url: string): boolean => url === pathToFileURL(process.argv[1] ?? "").href;
