#!/usr/bin/env python3
"""Writes ridgeline/text/jinja/case_table.cpp: what Python's str knows of characters.

Run with Python 3.11, whose tables are those of Unicode 14:

    tools/make_case_table.py > ridgeline/text/jinja/case_table.cpp
"""
import sys
import unicodedata

ALL = [c for c in range(0x80, 0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(code_points):
    """(first, last, step) that cover an ascending list, steps of 1 and 2 only."""
    out, i = [], 0
    while i < len(code_points):
        best = (code_points[i], code_points[i], 1)
        for step in (1, 2):
            j = i
            while j + 1 < len(code_points) and code_points[j + 1] - code_points[j] == step:
                j += 1
            if code_points[j] > best[1] and (step == 1 or j > i + 1):
                best = (code_points[i], code_points[j], step)
        out.append(best)
        i += (best[1] - best[0]) // best[2] + 1
    return out


def mapped(method, base=str):
    """(first, last, step, delta) of single results, and the longer ones."""
    single, longer = {}, {}
    for c in ALL:
        to = method(chr(c))
        if to == base(chr(c)):
            continue
        if len(to) == 1:
            single.setdefault(ord(to) - c, []).append(c)
        else:
            longer[c] = to
    rows = [(*r, delta) for delta, cs in single.items() for r in ranges(cs)]
    return sorted(rows), longer


def write_ranges(name, rows, kind="CodePointRange"):
    print(f"constexpr {kind} {name}Table[] = {{")
    cells = ["{" + ", ".join(f"0x{v:X}" if i < 2 else str(v) for i, v in enumerate(r)) + "}" for r in rows]
    for i in range(0, len(cells), 5):
        print("    " + ", ".join(cells[i:i + 5]) + ",")
    print("};")


def write_sequences(name, longer):
    print(f"constexpr CaseSequence {name}Table[] = {{")
    cells = []
    for c, to in sorted(longer.items()):
        padded = [ord(x) for x in to] + [0] * (3 - len(to))
        cells.append(f"{{0x{c:X}, {{" + ", ".join(f"0x{v:X}" for v in padded) + "}}")
    for i in range(0, len(cells), 3):
        print("    " + ", ".join(cells[i:i + 3]) + ",")
    print("};")


def main():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"expected Unicode 14.0.0, this Python has {unicodedata.unidata_version}")
    print("// Written by tools/make_case_table.py; do not edit.\n// clang-format off\n")
    print('#include "ridgeline/text/jinja/case_table.h"\n')
    print("namespace ridgeline::jinja {\nnamespace {\n")
    for name, test in (("kAlphaRanges", str.isalpha), ("kDecimalRanges", str.isdecimal),
                       ("kDigitRanges", lambda c: c.isdigit() and not c.isdecimal()),
                       ("kNumericRanges", lambda c: c.isnumeric() and not c.isdigit() and not c.isalpha()),
                       ("kUnprintableRanges", lambda c: not c.isprintable()),
                       ("kLowerRanges", str.islower), ("kUpperRanges", str.isupper)):
        write_ranges(name, ranges([c for c in ALL if test(chr(c))]))
    lower, longer_lower = mapped(str.lower)
    assert longer_lower == {0x130: "i\u0307"}, longer_lower  # unicode.cpp knows it
    upper, longer_upper = mapped(str.upper)
    title, longer_title = mapped(str.title, base=str.upper)
    write_ranges("kToLower", lower, "CaseRange")
    write_ranges("kToUpper", upper, "CaseRange")
    write_ranges("kToTitle", title, "CaseRange")
    write_sequences("kToUpperSequences", longer_upper)
    write_sequences("kToTitleSequences", longer_title)
    print("\n}  // namespace\n")
    for name in ("kAlphaRanges", "kDecimalRanges", "kDigitRanges", "kNumericRanges",
                 "kUnprintableRanges", "kLowerRanges", "kUpperRanges"):
        print(f"constinit const std::span<const CodePointRange> {name} = {name}Table;")
    for name in ("kToLower", "kToUpper", "kToTitle"):
        print(f"constinit const std::span<const CaseRange> {name} = {name}Table;")
    for name in ("kToUpperSequences", "kToTitleSequences"):
        print(f"constinit const std::span<const CaseSequence> {name} = {name}Table;")
    print("\n}  // namespace ridgeline::jinja")


main()
