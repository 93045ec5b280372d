/* SPDX-License-Identifier: GPL-2.0 */
/* Where the time of vCPUs goes. */
#ifndef MODEL_TIME_H
#define MODEL_TIME_H

#include <stdint.h>

#include "model/counts.h"

/* A vCPU is in one of these from its first entry on. */
enum exit_phase {
	PHASE_GUEST,
	PHASE_HANDLE,
	PHASE_USER,
	PHASE_WAIT,
	PHASE_PREEMPTED,
	NR_PHASES,
};

extern const char *const exit_phase_names[NR_PHASES];

/* What counts a phase for each reason; no reason has PHASE_GUEST. */
enum exit_counter phase_counter(enum exit_phase phase);

struct exit_time {
	double phases[NR_PHASES];
};

/*
 * What a vCPU that wanted to run did not have: handle, user and preempted.  Wait
 * is idle, not lost.
 */
double exit_time_lost(const struct exit_time *time);
/* The same as a counter, which wraps as the kernel's do. */
uint64_t exit_time_lost_cycles(const struct exit_time *time);
/* Lost, and what it had: of this it is a share. */
double exit_time_wanted(const struct exit_time *time);
double exit_time_all(const struct exit_time *time);

/* From counters of @tsc_khz to ns, rounded down.  0 if that is unknown. */
uint64_t cycles_to_ns(uint64_t cycles, uint32_t tsc_khz);

#endif
