// table
/**
 * The opcode maps of 64-bit mode: which encodings exist, what follows the opcode, and where control
 * goes. After Intel SDM Vol. 2D, appendix A (tables) and the opcode lines of Vol. 2A to
 * 2D; for 3DNow!, SSE4A, XOP, FMA4, SVM after AMD APM Vol. 3 to 6. Text, read once by
 * `opcode-attributes.ts`.
 *
 * A line is `where cell|cell... flags # comment`.
 * where  an opcode or a range of them; `/d`, `/d-e`: only with these digits in ModRM.reg;
 *        `=mm`, `=mm-nn`: only with these ModRM bytes (register forms that extend the opcode)
 * cell   ModRM: `.` none, `M` any, `m` memory only, `s` memory with SIB, `r` register only,
 *        `R` register, mod ignored;
 *        then what follows it: b w d 1, 2, 4 bytes; bb wb 1+1, 2+1 bytes; z 2 or 4 bytes by operand
 *        size (66, no REX.W); v 2, 4 or 8 bytes; o an address; jb, jz a distance of 1 or 4 bytes
 *        then `:mask`: the mandatory prefixes with which it exists, 1 none, 2 66, 4 F3, 8 F2;
 *        without a mask all four
 * flags  jump branch call return ijump icall far trap system (where control goes; i: indirect),
 *        priv (only the kernel may, or I/O), lock (LOCK may stand before its memory form),
 *        L0 L1 W0 W1 (VEX.L, VEX.W must be that), v0 (no VEX.vvvv operand: the field is 1111)
 *
 * Left out on purpose: near branches with a 66 prefix (Intel ignores it, AMD truncates to 16 bits:
 * not even the length is the same on both), undocumented aliases, APX (REX2 and EVEX map 4).
 */

/** One-byte opcodes: table A-2. Prefixes, REX, VEX, EVEX are not opcodes. */
const oneByte = `
00-01 M lock     # add
02-03 M
04 .b
05 .z
08-09 M lock     # or
0A-0B M
0C .b
0D .z
10-11 M lock     # adc
12-13 M
14 .b
15 .z
18-19 M lock     # sbb
1A-1B M
1C .b
1D .z
20-21 M lock     # and
22-23 M
24 .b
25 .z
28-29 M lock     # sub
2A-2B M
2C .b
2D .z
30-31 M lock     # xor
32-33 M
34 .b
35 .z
38-3B M          # cmp
3C .b
3D .z
50-5F .          # push, pop
63 M             # movsxd
68 .z
69 Mz
6A .b
6B Mb
6C-6F . priv     # ins, outs
70-7F .jb branch # jcc
80/0-6 Mb lock   # group 1
80/7 Mb
81/0-6 Mz lock
81/7 Mz
83/0-6 Mb lock
83/7 Mb
84-85 M          # test
86-87 M lock     # xchg
88-8B M          # mov
8C/0-5 M         # mov from segment register
8D m             # lea
8E/0 M           # mov to segment register; not to cs
8E/2-5 M
8F/0 M           # pop; other digits begin XOP
90-99 .          # xchg, nop, cwde, cdq
9B-9F .          # wait, pushf, popf, sahf, lahf
A0-A3 .o         # mov with an absolute address
A4-A7 .          # movs, cmps
A8 .b
A9 .z
AA-AF .          # stos, lods, scas
B0-B7 .b
B8-BF .v         # mov with the only 8-byte immediate
C0 Mb            # group 2; digit 6 is shl again (AMD APM Vol. 3, table A-6)
C1 Mb
C2 .w return
C3 . return
C6/0 Mb          # group 11
C6=F8 rb         # xabort
C7/0 Mz
C7=F8 rjz branch # xbegin
C8 .wb           # enter
C9 .             # leave
CA .w far
CB . far
CC . trap        # int3
CD .b system     # int
CF . far         # iret
D0-D3 M
D7 .             # xlat
D8/0-7 M         # x87: tables A-7 to A-22
D9/0 M
D9/1 r           # fxch
D9/2-7 m
D9=D0 r          # fnop
D9=E0-E1 r
D9=E4-E5 r
D9=E8-EE r
D9=F0-FF r
DA/0-7 m
DA=C0-DF r
DA=E9 r          # fucompp
DB/0-3 m
DB/5 m
DB/7 m
DB=C0-DF r
DB=E2-E3 r       # fnclex, fninit
DB=E8-F7 r
DC/0-7 m
DC=C0-CF r
DC=E0-FF r
DD/0-4 m
DD/6-7 m
DD=C0-C7 r       # ffree
DD=D0-EF r
DE/0-7 m
DE=C0-CF r
DE=D9 r          # fcompp
DE=E0-FF r
DF/0-7 m
DF=C0-C7 r       # ffreep (AMD APM Vol. 5; gcc emits it)
DF=E0 r          # fnstsw ax
DF=E8-F7 r
E0-E3 .jb branch # loopne, loope, loop, jrcxz
E4-E7 .b priv    # in, out
E8 .jz call
E9 .jz jump
EB .jb jump
EC-EF . priv
F1 . trap        # int1
F4 . priv        # hlt
F5 .             # cmc
F6/0-1 Mb        # group 3; digit 1 is test again
F6/2-3 M lock
F6/4-7 M
F7/0-1 Mz
F7/2-3 M lock
F7/4-7 M
F8-F9 .
FA-FB . priv     # cli, sti
FC-FD .
FE/0-1 M lock    # group 4
FF/0-1 M lock    # group 5
FF/2 M icall
FF/3 m icall far
FF/4 M ijump
FF/5 m ijump far
FF/6 M
`;

/** Opcodes after 0F: table A-3. */
const twoByte = `
00/0-1 M         # sldt, str
00/2-3 M priv    # lldt, ltr
00/4-5 M         # verr, verw
01/0-1 m         # sgdt, sidt
01/2-3 m priv    # lgdt, lidt
01/4 M           # smsw
01/5 m:4         # rstorssp
01/6 M priv      # lmsw
01/7 m priv      # invlpg
01=C0-C6 r:1 priv # VMX, pconfig, wrmsrns
01=C8-C9 r:1 priv # monitor, mwait
01=CA-CB r:1 priv # clac, stac
01=CF r:1 priv   # encls
01=D0 r:1        # xgetbv
01=D1 r:1 priv   # xsetbv
01=D4 r:1        # vmfunc
01=D5-D7 r:1     # xend, xtest, enclu
01=D8-DF r:1 priv # SVM
01=E8 r:d        # serialize, setssbsy, xsusldtrk
01=E9 r:8        # xresldtrk
01=EA r:4        # saveprevssp
01=EC r:4 far    # uiret
01=ED r:4        # testui
01=EE r:5        # rdpkru, clui
01=EF r:5        # wrpkru, stui
01=F8 r priv     # swapgs
01=F9 r          # rdtscp
01=FA r:5        # monitorx, mcommit
01=FB r:1        # mwaitx
01=FC r:1        # clzero
01=FD r:1        # rdpru
01=FE-FF r:d priv # invlpgb, tlbsync and the SEV-SNP ones
02-03 M          # lar, lsl
05 . system      # syscall
06 . priv        # clts
07 . far priv    # sysret
08 .:1 priv      # invd
09 .:5 priv      # wbinvd, wbnoinvd
0B . trap        # ud2
0D m             # prefetchw
0E .:1           # femms
10-12 M:f
13 m:3
14-15 M:3
16 M:7
17 m:3
18-1F M          # prefetches, nop, endbr64, cldemote
20-23 R priv     # mov to and from cr, dr
28-29 M:3
2A M:f
2B m:f           # movntps, movntss
2C-2D M:f
2E-2F M:3
30 . priv        # wrmsr
31 .             # rdtsc
32 . priv
33 .             # rdpmc
34 . system      # sysenter
35 . far priv    # sysexit
37 .:1           # getsec
40-4F M          # cmovcc
50 r:3
51 M:f
52-53 M:5
54-57 M:3
58-5A M:f
5B M:7
5C-5F M:f
60-6B M:3
6C-6D M:2
6E M:3
6F M:7
70 Mb:f
71/2 rb:3        # groups 12 to 14: shifts of vectors
71/4 rb:3
71/6 rb:3
72/2 rb:3
72/4 rb:3
72/6 rb:3
73/2 rb:3
73/3 rb:2
73/6 rb:3
73/7 rb:2
74-76 M:3
77 .:1           # emms
78 M:1 priv      # vmread
78/0 rbb:2       # extrq
78/0-7 rbb:8     # insertq
79 M:1|r:a       # vmwrite, extrq, insertq
7C-7D M:a
7E-7F M:7
80-8F .jz branch # jcc
90-9F M          # setcc
A0-A1 .
A2 .             # cpuid
A3 M
A4 Mb
A5 M
A8-A9 .
AA . far priv    # rsm
AB M lock        # bts
AC Mb
AD M
AE/0-3 m:1|r:4   # group 15: fxsave ... ; rdfsbase ...
AE/4 m:1|M:4     # xsave; ptwrite
AE/5 M:1|r:4     # xrstor, lfence; incssp
AE/6 M:1|M:4|r:a|m:2 # xsaveopt, mfence; clrssbsy, umonitor; tpause, umwait; clwb
AE/7 M:1|m:2     # clflush, sfence; clflushopt
AF M             # imul
B0-B1 M lock     # cmpxchg
B2 m
B3 M lock        # btr
B4-B5 m
B6-B7 M          # movzx
B8 M:4           # popcnt
B9 M trap        # ud1
BA/4 Mb          # group 8
BA/5-7 Mb lock
BB M lock        # btc
BC-BD M:7        # bsf, tzcnt, bsr, lzcnt
BE-BF M          # movsx
C0-C1 M lock     # xadd
C2 Mb:f
C3 m:1           # movnti
C4 Mb:3
C5 rb:3
C6 Mb:3
C7/1 m lock      # group 9: cmpxchg8b, cmpxchg16b
C7/3 m:1 priv    # xrstors
C7/4 m:1         # xsavec
C7/5 m:1 priv    # xsaves
C7/6 m:7 priv    # vmptrld, vmclear, vmxon
C7/6 r:7         # rdrand, senduipi
C7/7 m:1 priv    # vmptrst
C7/7 r:7         # rdseed, rdpid
C8-CF .          # bswap
D0 M:a
D1-D5 M:3
D6 M:2|r:c       # movq, movq2dq, movdq2q
D7 r:3
D8-E5 M:3
E6 M:e
E7 m:3
E8-EF M:3
F0 m:8           # lddqu
F1-F6 M:3
F7 r:3
F8-FE M:3
FF M trap        # ud0
`;

/** Opcodes after 0F 38: table A-4. */
const threeByte38 = `
00-0B M:3
10 M:2
14-15 M:2
17 M:2
1C-1E M:3
20-25 M:2
28-29 M:2
2A m:2
2B M:2
30-35 M:2
37-41 M:2
80-82 m:2 priv   # invept, invvpid, invpcid
C8-CD M:1        # SHA
CF M:2
D8/0-3 m:4       # key locker
DB M:2
DC M:2|M:4
DD-DF M:2|m:4
F0-F1 m:3|M:8    # movbe, crc32
F5 m:2 priv      # wruss
F6 m:1|M:6       # wrss, adcx, adox
F8 m:e           # movdir64b, enqcmds, enqcmd
F9 m:1           # movdiri
FA-FB r:4        # encodekey
FC m:f           # aadd, aand, axor, aor
`;

/** Opcodes after 0F 3A: table A-5. */
const threeByte3a = `
08-0E Mb:2
0F Mb:3
14-17 Mb:2
20-22 Mb:2
40-42 Mb:2
44 Mb:2
60-63 Mb:2
CC Mb:1          # sha1rnds4
CE-CF Mb:2
DF Mb:2
F0=C0 rb:4 priv  # hreset
`;

/** VEX, map 1 (0F). */
const vex1 = `
10-11/0-7 m:3 v0 # vmovups, vmovupd
10-11/0-7 r:3 v0
10-11/0-7 m:c v0 # vmovss, vmovsd: two operands with memory,
10-11/0-7 r:c    # three with registers
12/0-7 m:3 L0    # vmovlps, vmovlpd
12/0-7 r:1 L0    # vmovhlps
12 M:c v0
13 m:3 L0 v0
14-15 M:3
16/0-7 m:3 L0
16/0-7 r:1 L0
16 M:4 v0
17 m:3 L0 v0
28-29 M:3 v0
2A M:c
2B m:3 v0
2C-2D M:c v0
2E-2F M:3 v0
41-42 r:3 L1     # mask registers: kand, kandn
44 r:3 L0 v0     # knot
45-47 r:3 L1
4A r:3 L1
4B r:3 L1
50 r:3 v0
51 M:3 v0
51 M:c
52-53 M:1 v0
52-53 M:4
54-57 M:3
58-59 M:f
5A M:3 v0
5A M:c
5B M:7 v0
5C-5F M:f
60-6D M:2
6E M:2 L0 v0
6F M:6 v0
70 Mb:e v0
71/2 rb:2
71/4 rb:2
71/6 rb:2
72/2 rb:2
72/4 rb:2
72/6 rb:2
73/2-3 rb:2
73/6-7 rb:2
74-76 M:2
77 .:1 v0        # vzeroupper, vzeroall
7C-7D M:a
7E M:6 L0 v0
7F M:6 v0
90 M:3 L0 v0     # kmov
91 m:3 L0 v0
92-93 r:b L0 v0
98-99 r:3 L0 v0
AE/2-3 m:1 L0 v0 # vldmxcsr, vstmxcsr
C2 Mb:f
C4 Mb:2 L0
C5 rb:2 L0 v0
C6 Mb:3
D0 M:a
D1-D5 M:2
D6 M:2 L0 v0
D7 r:2 v0
D8-E5 M:2
E6 M:e v0
E7 m:2 v0
E8-EF M:2
F0 m:8 v0
F1-F6 M:2
F7 r:2 L0 v0
F8-FE M:2
`;

/** VEX, map 2 (0F 38). */
const vex2 = `
00-0B M:2
0C-0D M:2 W0
0E-0F M:2 W0 v0
13 M:2 W0 v0
16 M:2 W0 L1
17 M:2 v0
18 M:2 W0 v0
19 M:2 W0 L1 v0
1A m:2 W0 L1 v0
1C-1E M:2 v0
20-25 M:2 v0
28-29 M:2
2A m:2 v0
2B M:2
2C-2F m:2 W0
30-35 M:2 v0
36 M:2 W0 L1
37-40 M:2
41 M:2 L0 v0
45 M:2
46 M:2 W0
47 M:2
49/0 m:3 L0 W0 v0 # ldtilecfg, sttilecfg
49=C0 r:1 L0 W0 v0 # tilerelease
49/0-7 r:8 L0 W0 v0 # tilezero; rm is not checked
4B s:e L0 W0 v0  # tileload, tilestore
50-51 M:f W0
52-53 M:2 W0
58-59 M:2 W0 v0
5A m:2 W0 L1 v0
5C r:c L0 W0
5E r:f L0 W0
72 M:4 W0 v0
78-79 M:2 W0 v0
8C m:2
8E m:2
90-93 s:2
96-9F M:2
A6-AF M:2
B0 m:f W0 v0
B1 m:6 W0 v0
B4-B5 M:2 W1
B6-BF M:2
CB-CC r:8 L1 W0
CD r:8 L1 W0 v0
CF M:2 W0
D2-D3 M:7 W0
DA M:d W0
DB M:2 L0 v0
DC-DF M:2
E0-EF m:2 L0     # cmpccxadd
F2 M:1 L0        # andn
F3/1-3 M:1 L0    # blsr, blsmsk, blsi
F5 M:d L0
F6 M:8 L0
F7 M:f L0
`;

/** VEX, map 3 (0F 3A). */
const vex3 = `
00-01 Mb:2 W1 L1 v0
02 Mb:2 W0
04-05 Mb:2 W0 v0
06 Mb:2 W0 L1
08-09 Mb:2 v0
0A-0F Mb:2
14-17 Mb:2 L0 v0
18 Mb:2 W0 L1
19 Mb:2 W0 L1 v0
1D Mb:2 W0 v0
20-22 Mb:2 L0
30-33 rb:2 L0 v0 # kshift
38 Mb:2 W0 L1
39 Mb:2 W0 L1 v0
40 Mb:2
41 Mb:2 L0
42 Mb:2
44 Mb:2
46 Mb:2 W0 L1
48-49 Mb:2       # vpermil2 (XOP)
4A-4C Mb:2 W0
5C-5F Mb:2       # FMA4
60-63 Mb:2 L0 v0
68-6F Mb:2
78-7F Mb:2
CE-CF Mb:2 W1
DE Mb:2 W0 L0
DF Mb:2 L0 v0
F0 Mb:8 L0 v0    # rorx
`;

/** EVEX, map 1 (0F). */
const evex1 = `
10-12 M:f
13 m:3
14-15 M:3
16 M:7
17 m:3
28-29 M:3
2A M:c
2B m:3
2C-2D M:c
2E-2F M:3
51 M:f
54-57 M:3
58-5A M:f
5B M:7
5C-5F M:f
60-6D M:2
6E M:2
6F M:e
70 Mb:e
71/2 Mb:2
71/4 Mb:2
71/6 Mb:2
72/0-2 Mb:2
72/4 Mb:2
72/6 Mb:2
73/2-3 Mb:2
73/6-7 Mb:2
74-76 M:2
78-79 M:f
7A M:e
7B M:e
7E M:6
7F M:e
C2 Mb:f
C4 Mb:2
C5 rb:2
C6 Mb:3
D1-D6 M:2
D8-E5 M:2
E6 M:e
E7 m:2
E8-EF M:2
F1-F6 M:2
F8-FE M:2
`;

/** EVEX, map 2 (0F 38). */
const evex2 = `
00 M:2
04 M:2
0B-0D M:2
10-15 M:6
16 M:2
18-19 M:2
1A-1B m:2
1C-1F M:2
20-25 M:6
26-27 M:6
28-29 M:2|r:4
2A m:2|r:4
2B-2D M:2
30-35 M:6
36-37 M:2
38-39 M:2|r:4
3A M:2|r:4
3B-40 M:2
42-47 M:2
4C-51 M:2
52 M:6|m:8
53 M:2|m:8
54-55 M:2
58-59 M:2
5A-5B m:2
62-66 M:2
68 M:8
70-71 M:2
72 M:e
73 M:2
75-79 M:2
7A-7C r:2
7D-7F M:2
83 M:2
88-8B M:2
8D M:2
8F M:2
90-93 s:2
96-99 M:2
9A-9B M:2|m:8
9C-9F M:2
A0-A3 s:2
A6-A9 M:2
AA-AB M:2|m:8
AC-AF M:2
B4-BF M:2
C4 M:2
C6-C7/1-2 s:2
C6-C7/5-6 s:2
C8 M:2
CA-CD M:2
CF M:2
DC-DF M:2
`;

/** EVEX, map 3 (0F 3A). */
const evex3 = `
00-01 Mb:2
03-05 Mb:2
08 Mb:3
09 Mb:2
0A Mb:3
0B Mb:2
0F Mb:2
14-1B Mb:2
1D-23 Mb:2
25 Mb:2
26-27 Mb:3
38-3B Mb:2
3E-3F Mb:2
42-44 Mb:2
50-51 Mb:2
54-55 Mb:2
56-57 Mb:3
66-67 Mb:3
70-73 Mb:2
C2 Mb:5
CE-CF Mb:2
`;

/** EVEX, maps 5 and 6: half precision (SDM Vol. 2C, AVX512-FP16). */
const evex5 = `
10-11 M:4
1D M:3
2A M:4
2C-2D M:4
2E-2F M:1
51 M:5
58-59 M:5
5A M:f
5B M:7
5C-5F M:5
6E M:2
78-79 M:7
7A M:a
7B M:6
7C M:3
7D M:f
7E M:2
`;
const evex6 = `
13 M:3
2C-2D M:2
42-43 M:2
4C-4F M:2
56-57 M:c
96-9F M:2
A6-AF M:2
B6-BF M:2
D6-D7 M:c
`;

/** XOP, maps 8, 9 and 10: AMD APM Vol. 6. */
const xop8 = `
85-87 Mb:1
8E-8F Mb:1
95-97 Mb:1
9E-9F Mb:1
A2-A3 Mb:1
A6 Mb:1
B6 Mb:1
C0-C3 Mb:1
CC-CF Mb:1
EC-EF Mb:1
`;
const xop9 = `
01/1-7 M:1
02/1 M:1
02/6 M:1
12/0-1 r:1
80-83 M:1
90-9B M:1
C1-C3 M:1
C6-C7 M:1
CB M:1
D1-D3 M:1
D6-D7 M:1
DB M:1
E1-E3 M:1
`;
const xop10 = `
10 Md:1
12/0-1 Md:1
`;

export type MapName =
  | "oneByte"
  | "twoByte"
  | "threeByte38"
  | "threeByte3a"
  | `vex${1 | 2 | 3}`
  | `evex${1 | 2 | 3 | 5 | 6}`
  | `xop${8 | 9 | 10}`;

/** Each map with its text; the place in this list is the map's number. */
export const opcodeMaps: readonly (readonly [name: MapName, text: string])[] = [
  ["oneByte", oneByte],
  ["twoByte", twoByte],
  ["threeByte38", threeByte38],
  ["threeByte3a", threeByte3a],
  ["vex1", vex1],
  ["vex2", vex2],
  ["vex3", vex3],
  ["evex1", evex1],
  ["evex2", evex2],
  ["evex3", evex3],
  ["evex5", evex5],
  ["evex6", evex6],
  ["xop8", xop8],
  ["xop9", xop9],
  ["xop10", xop10],
];

/** Suffix bytes after `0F 0F ModRM` that are 3DNow! instructions: AMD APM Vol. 5, table A-9. */
export const threeDNowSuffixes: readonly number[] = [
  0x0c, 0x0d, 0x1c, 0x1d, 0x8a, 0x8e, 0x90, 0x94, 0x96, 0x97, 0x9a, 0x9e, 0xa0, 0xa4, 0xa6, 0xa7,
  0xaa, 0xae, 0xb0, 0xb4, 0xb6, 0xb7, 0xbb, 0xbf,
];
