// table
/**
 * Programs as Debian installs them, each with a short piece of work whose results are the same
 * every time. Among them are the runtimes of many languages: with garbage collectors, coroutines,
 * exceptions, generated code and stacks of their own.
 *
 * In words: `@IN` is a file with the program's `input`, `@DATA` a text of 20,000 lines, `@OUT` the
 * file that is compared beside the standard output, `@FILES` the directory `test/fixtures`.
 */
export type InstalledProgram = {
  readonly name: string;
  /** Package of Debian 12 that brings it. */
  readonly debian: string;
  readonly command: readonly [string, ...string[]];
  /** Content of `@IN`. */
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
};

/** Those of the project's own goals, and one with an interpreter of its own. */
export const commonPrograms: readonly InstalledProgram[] = [
  {
    name: "python3",
    debian: "python3",
    command: ["/usr/bin/python3", "@FILES/programs/python.py", "@DATA"],
  },
  { name: "perl", debian: "perl", command: ["perl", "@FILES/programs/perl.pl"] },
  {
    name: "sqlite3",
    debian: "sqlite3",
    command: ["sqlite3", ":memory:", ".read @FILES/programs/sqlite.sql"],
  },
  { name: "git", debian: "git", command: ["git", "log", "--stat", "-n", "40"] },
  { name: "node", debian: "nodejs", command: [process.execPath, "@FILES/programs/node.mjs"] },
];

const shell = (map: string): string =>
  "f() { if [ $1 -lt 2 ]; then echo $1; else echo $(( $(f $(($1-1))) + $(f $(($1-2))) )); fi; }; " +
  "f 6; " +
  `trap "echo t" USR1; kill -USR1 $$; for i in c b a; do echo $i; done | sort; ${map}`;

const gcc = "/usr/lib/gcc/x86_64-linux-gnu/12";

/** All others: of many kinds, and the ones that were hardest. */
export const morePrograms: readonly InstalledProgram[] = [
  {
    name: "vim",
    debian: "vim-tiny",
    command: [
      ...(["vim.tiny", "-Nes", "-u", "NONE", "-i", "NONE", "@DATA"] as const),
      ...["-c", "sort n", "-c", "%s/7/seven/g", "-c", "w! @OUT", "-c", "qa!"],
    ],
  },
  { name: "ruby", debian: "ruby", command: ["ruby", "@FILES/programs/ruby.rb"] },
  {
    name: "tclsh",
    debian: "tcl",
    command: ["tclsh", "@FILES/programs/tcl.tcl"],
  },
  {
    name: "gawk",
    debian: "gawk",
    command: [
      "gawk",
      '{a[$1%97]+=NF; gsub(/line/,"L"); s+=length($0)} ' +
        'END{for(i=0;i<97;i++) print i,a[i] | "sort -n"; print s}',
      "@DATA",
    ],
  },
  {
    name: "mawk",
    debian: "mawk",
    command: [
      "mawk",
      '{a[$1%97]+=NF; s+=length($0)} END{print s, a[5]; system("echo hi")}',
      "@DATA",
    ],
  },
  {
    name: "sed",
    debian: "sed",
    command: ["sed", "-E", "s/([0-9]+) line/\\1/;y/abc/xyz/", "@DATA"],
  },
  {
    name: "grep",
    debian: "grep",
    command: ["grep", "-nE", "(7.*){3}|l(i|o)ne 1[0-9]+ .*e", "@DATA"],
  },
  { name: "grep -P", debian: "grep", command: ["grep", "-cP", "(?<=line )\\d+7(?! x)", "@DATA"] },
  {
    name: "sort",
    debian: "coreutils",
    command: ["sort", "-k1,1n", "-k4r", "--parallel=2", "@DATA"],
  },
  { name: "sha256sum", debian: "coreutils", command: ["sha256sum", "@DATA"] },
  {
    name: "find",
    debian: "findutils",
    command: ["find", "/usr/share/perl5", "-printf", "%p %s\\n"],
  },
  {
    name: "tar",
    debian: "tar",
    command: ["tar", "--sort=name", "--mtime=@0", "-cJf", "@OUT", "-C", "/usr/share", "perl5"],
  },
  { name: "xz", debian: "xz-utils", command: ["xz", "-6", "-T2", "-k", "-c", "@DATA"] },
  { name: "zstd", debian: "zstd", command: ["zstd", "-q", "-15", "-T2", "-c", "@DATA"] },
  { name: "bzip2", debian: "bzip2", command: ["bzip2", "-k", "-c", "@DATA"] },
  { name: "openssl dgst", debian: "openssl", command: ["openssl", "dgst", "-sha3-512", "@DATA"] },
  {
    name: "openssl enc",
    debian: "openssl",
    command: [
      ...(["openssl", "enc", "-aes-256-ctr", "-pbkdf2", "-iter", "20000"] as const),
      ...["-S", "0011223344556677", "-pass", "pass:x", "-in", "@DATA", "-out", "@OUT"],
    ],
  },
  { name: "curl", debian: "curl", command: ["curl", "-s", "file://@DATA"] },
  { name: "gpg", debian: "gpg", command: ["gpg", "--batch", "--print-md", "SHA512", "@DATA"] },
  {
    name: "cc1",
    debian: "cpp-12",
    command: [
      ...([`${gcc}/cc1`, "-O2", "-quiet", "-g", "-dumpbase", "a.c"] as const),
      ...["-imultiarch", "x86_64-linux-gnu", "@FILES/live/count.c", "-o", "@OUT"],
    ],
  },
  {
    name: "cc1plus",
    debian: "g++-12",
    command: [
      ...([`${gcc}/cc1plus`, "-O1", "-quiet", "-D_GNU_SOURCE"] as const),
      ...["-imultiarch", "x86_64-linux-gnu", "@FILES/programs/cxx.cc", "-o", "@OUT"],
    ],
  },
  {
    name: "clang",
    debian: "clang",
    command: ["clang", "-O2", "-S", "-o", "@OUT", "@FILES/live/count.c"],
  },
  {
    name: "as",
    debian: "binutils",
    command: ["as", "-o", "@OUT", "@IN"],
    input: ".rept 500\naddq %rax, %rbx\nvaddps %ymm1, %ymm2, %ymm3\n.endr\n",
  },
  { name: "objdump", debian: "binutils", command: ["objdump", "-d", "/bin/true"] },
  { name: "readelf", debian: "binutils", command: ["readelf", "-aW", "/bin/true"] },
  {
    name: "gdb",
    debian: "gdb",
    command: [
      "gdb",
      "-nx",
      "-batch",
      "-ex",
      "disassemble 0x2000,0x2040",
      "-ex",
      "python print(3)",
      "/bin/true",
    ],
  },
  { name: "lua", debian: "lua5.4", command: ["lua5.4", "@FILES/programs/lua.lua"] },
  { name: "luajit", debian: "luajit", command: ["luajit", "@FILES/programs/lua.lua"] },
  { name: "php", debian: "php-cli", command: ["php", "@FILES/programs/php.php"] },
  {
    name: "guile",
    debian: "guile-3.0",
    command: ["guile", "--no-auto-compile", "@FILES/programs/scheme.scm"],
  },
  {
    name: "csi",
    debian: "chicken-bin",
    command: ["csi", "-q", "-n", "-s", "@FILES/programs/scheme.scm"],
  },
  {
    name: "racket",
    debian: "racket",
    command: ["racket", "-f", "@FILES/programs/scheme.scm"],
  },
  {
    name: "sbcl",
    debian: "sbcl",
    command: [
      ...(["sbcl", "--noinform", "--no-userinit", "--disable-debugger"] as const),
      ...["--load", "@FILES/programs/lisp.lisp", "--eval", "(gc :full t)", "--eval", "(exit)"],
    ],
  },
  { name: "ecl", debian: "ecl", command: ["ecl", "-norc", "--shell", "@FILES/programs/lisp.lisp"] },
  {
    name: "emacs",
    debian: "emacs-nox",
    command: ["emacs", "-Q", "--script", "@FILES/programs/emacs.el"],
  },
  { name: "ocaml", debian: "ocaml-nox", command: ["ocaml", "@FILES/programs/ocaml.ml"] },
  {
    name: "ocamlopt",
    debian: "ocaml-nox",
    command: ["ocamlopt", "-c", "-o", "@OUT", "-impl", "@FILES/programs/ocaml.ml"],
  },
  {
    name: "swipl",
    debian: "swi-prolog-nox",
    command: [
      ...(["swipl", "-q", "-g"] as const),
      "numlist(1,2000,L), foldl([X,A,B]>>(B is (A*31+X) mod 1000003),L,0,S), print(S), " +
        "catch(throw(x),x,writeln(c)), garbage_collect, halt",
    ],
  },
  {
    name: "erlang",
    debian: "erlang-base",
    command: [
      ...(["/usr/lib/erlang/erts-13.1.5/bin/beam.smp", "--", "-root", "/usr/lib/erlang"] as const),
      ...[
        "-bindir",
        "/usr/lib/erlang/erts-13.1.5/bin",
        "-progname",
        "erl",
        "--",
        "-home",
        "/",
        "--",
        "-noshell",
        "-eval",
      ],
      "S=self(), [spawn(fun() -> S ! I*I end) || I <- lists:seq(1,100)], " +
        "R=[receive V -> V end || _ <- lists:seq(1,100)], " +
        "io:format('~p~n',[lists:sum(R)]), catch throw(x), init:stop().",
    ],
    environment: {
      BINDIR: "/usr/lib/erlang/erts-13.1.5/bin",
      ...{ ROOTDIR: "/usr/lib/erlang", EMU: "beam", PROGNAME: "erl" },
    },
  },
  {
    name: "R",
    debian: "r-base-core",
    command: ["/usr/lib/R/bin/exec/R", "--vanilla", "-s", "-f", "@FILES/programs/r.r"],
    environment: { R_HOME: "/usr/lib/R", LD_LIBRARY_PATH: "/usr/lib/R/lib" },
  },
  {
    name: "octave",
    debian: "octave",
    command: ["octave-cli", "--norc", "@FILES/programs/octave.m"],
  },
  {
    name: "pypy3",
    debian: "pypy3",
    command: ["pypy3", "@FILES/programs/pypy.py"],
  },
  { name: "java", debian: "default-jre-headless", command: ["java", "-Xint", "-version"] },
  {
    name: "gforth",
    debian: "gforth",
    command: ["gforth", "-e", ": t 0 1000 0 do i + loop . ; t bye"],
  },
  {
    name: "bc",
    debian: "bc",
    command: ["bc", "-l", "@IN"],
    input: "scale=200\n4*a(1)\ne(1)\n2^2000\nquit\n",
  },
  {
    name: "jq",
    debian: "jq",
    command: [
      "jq",
      "-c",
      "-n",
      '[range(5000)|{k:(.*7919%101)}]|group_by(.k)|map(length), (try error("x") catch .)',
    ],
  },
  {
    name: "make",
    debian: "make",
    command: ["make", "-f", "@IN"],
    input:
      "L := $(foreach i,1 2 3 4,f$(i).c)\nall: a b\n\t@echo $(words $(L)) $(shell echo hi)\n" +
      "a b: ; @echo making $@\n",
  },
  { name: "dash", debian: "dash", command: ["dash", "-c", shell("cat <<X\nhere\nX")] },
  {
    name: "zsh",
    debian: "zsh",
    command: ["zsh", "-f", "-c", shell(`typeset -A m; m[a]=1; echo \${(k)m}`)],
  },
  {
    name: "ksh",
    debian: "ksh",
    command: ["ksh", "-c", shell(`typeset -A m; m[a]=1; echo \${!m[@]}`)],
  },
  {
    name: "fish",
    debian: "fish",
    command: [
      "fish",
      "-N",
      "-c",
      "for i in (seq 100); string match -r 7 $i; end | sort -r | head -3",
    ],
  },
  {
    name: "busybox",
    debian: "busybox",
    command: ["busybox", "sh", "-c", shell("echo abc | sed s/b/x/")],
  },
  {
    name: "m4",
    debian: "m4",
    command: ["m4", "@IN"],
    input:
      "define(`fib',`ifelse(eval($1<2),1,$1,`eval(fib(decr($1))+fib(decr(decr($1))))')')" +
      "fib(14)esyscmd(echo hi)\n",
  },
  {
    name: "troff",
    debian: "groff-base",
    command: ["troff", "-Tutf8", "@IN"],
    input: ".TL\nfoo\n.PP\nbar baz\n".repeat(99),
  },
  {
    name: "bison",
    debian: "bison",
    command: ["bison", "-o", "@OUT", "@IN"],
    input: "%token N\n%left '+'\n%%\ne: e '+' e | N ;\n%%\n",
  },
  {
    name: "dot",
    debian: "graphviz",
    command: ["dot", "-Tsvg", "@IN", "-o", "@OUT"],
    input: `digraph g{${Array.from({ length: 40 }, (_, i) => `n${i}->n${(i * 7) % 40};`).join(
      "\n",
    )}}`,
  },
  {
    name: "gs",
    debian: "ghostscript",
    command: [
      "gs",
      "-q",
      "-dNOPAUSE",
      "-dBATCH",
      "-sDEVICE=ppmraw",
      "-r50",
      "-sOutputFile=@OUT",
      "@IN",
    ],
    input:
      "%!PS\n/Times-Roman findfont 40 scalefont setfont 100 100 moveto (Hello) show showpage\n",
  },
  {
    name: "ffmpeg",
    debian: "ffmpeg",
    command: [
      ...([
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=duration=1:size=160x120:rate=10",
      ] as const),
      ...["-c:v", "mpeg4", "-bitexact", "-f", "avi", "-y", "@OUT"],
    ],
  },
  { name: "git grep", debian: "git", command: ["git", "grep", "-c", "prologue"] },
  { name: "apt-cache", debian: "apt", command: ["apt-cache", "show", "bash"] },
];
