#pragma once

// The SIMD vocabulary: what kernels written once for every ISA are written in.
//
// A translation unit below kernels/<isa>/ is compiled with that ISA's flags and
// with RIDGELINE_ISA=<isa> (kernels/CMakeLists.txt). Everything it includes from
// kernels/ lives in the unnamed namespace inside ridgeline::<isa>, so that the
// linker can never merge code of one ISA into another; for the same reason it
// calls no inline function of std:: (std::min, std::bit_cast, ...), which would be
// emitted once per ISA under one name. tests/kernels/isa_symbols.sh holds the
// object files against this.
//
// VecF and VecI hold kLanes floats and 32-bit integers. Memory is never assumed
// to be aligned. add, mul, ... are one instruction each; fma(a, b, c) is a b + c
// rounded once, except in generic, where it is a product and a sum (SSE2 has no
// FMA and a call to fmaf costs fifty times as much; each ISA has its own bits).

#if !defined(RIDGELINE_ISA)
#error "only files below kernels/<isa>/ may include this"
#elif defined(__AVX512F__)
#include "ridgeline/kernels/impl/simd_avx512.h"
#elif defined(__AVX2__)
#include "ridgeline/kernels/impl/simd_avx2.h"
#else
#include "ridgeline/kernels/impl/simd_generic.h"
#endif
