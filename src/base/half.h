/* IEEE 754 binary16 to and from single precision; round to nearest, ties to even. Pure. */
#ifndef MR_BASE_HALF_H
#define MR_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float mr_half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, frac = h & 0x3FFu, bits;
    float f;
    if (exp == 31) {
        bits = sign | 0x7F800000u | frac << 13;
    } else if (exp) {
        bits = sign | (exp + 112) << 23 | frac << 13;
    } else { /* subnormal: frac * 2^-24 is exact in a float */
        f = (float)frac * 0x1p-24f;
        return sign ? -f : f;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Too large becomes infinity. */
static inline uint16_t mr_half_from_float(float f) {
    uint32_t bits, half;
    memcpy(&bits, &f, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7FFFFFFFu;
    if (bits > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u); /* NaN */
    if (bits >= 0x477FF000u)
        return (uint16_t)(sign | 0x7C00u); /* rounds to 65536 or more */
    if (bits < 0x38800000u) {              /* below 2^-14: subnormal or zero */
        if (bits < 0x33000000u)
            return (uint16_t)sign;
        uint32_t shift = 126 - (bits >> 23), frac = (bits & 0x7FFFFFu) | 0x800000u;
        uint32_t rest = frac & ((1u << shift) - 1), middle = 1u << (shift - 1);
        half = frac >> shift;
        half += rest > middle || (rest == middle && (half & 1));
        return (uint16_t)(sign | half);
    }
    half = (bits - 0x38000000u) >> 13;
    uint32_t rest = bits & 0x1FFFu;
    half += rest > 0x1000u || (rest == 0x1000u && (half & 1));
    return (uint16_t)(sign | half);
}

#endif
