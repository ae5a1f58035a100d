#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace ridgeline {

/// The floating-point state that all arithmetic of the engine runs under: round to
/// nearest, denormals kept (no FTZ, no DAZ), exceptions masked. A host program may
/// have set another one (-ffast-math links code that sets FTZ in the main thread), and
/// then one row of a batch would depend on the thread that computed it.
class FixedFpState {
 public:
  FixedFpState() : saved_(read()) {
    if ((saved_ & kControlMask) != kControl) write(kControl);
  }
  ~FixedFpState() {
    if ((saved_ & kControlMask) != kControl) write(saved_);
  }
  FixedFpState(const FixedFpState&) = delete;
  FixedFpState& operator=(const FixedFpState&) = delete;

 private:
#if defined(__x86_64__) || defined(__i386__)
  // MXCSR: the lowest six bits only record what happened.
  using Word = std::uint32_t;
  static constexpr Word kControl = 0x1F80;
  static constexpr Word kControlMask = 0xFFC0;
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static constexpr Word kControl = 0;
  static constexpr Word kControlMask = ~Word{0};
  static Word read() {
    Word word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = std::uint32_t;
  static constexpr Word kControl = 0;
  static constexpr Word kControlMask = 0;
  static Word read() { return 0; }
  static void write(Word) {}
#endif

  Word saved_;
};

}  // namespace ridgeline
