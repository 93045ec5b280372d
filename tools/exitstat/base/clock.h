/* SPDX-License-Identifier: GPL-2.0 */
/* The time of day, and that which nobody sets; in ns. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* 285 years, whose ns fit in 64 bits */
#define MAX_SECONDS 9e9

/* 2026-11-24T20:00:00.123Z */
#define TIME_SIZE 32

uint64_t clock_now(clockid_t clock);
/* What CLOCK_REALTIME says, into TIME_SIZE bytes, and back; or 0. */
void time_format(uint64_t realtime, char *text);
uint64_t time_parse(const char *text);

#endif
