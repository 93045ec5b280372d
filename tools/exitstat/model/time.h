/* SPDX-License-Identifier: GPL-2.0 */
/* Where the time of vCPUs goes. */
#ifndef MODEL_TIME_H
#define MODEL_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "model/counts.h"

#define CLOCK_LABEL_SIZE 32

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

/* By what times were counted. */
struct exit_clock {
	/* the frequency of the host's TSC, or 0 if that is unknown */
	uint32_t tsc_khz;
	/* They are in ns, not in cycles of the TSC. */
	bool ns;
};

/* tsc, or ns: what JSON and recordings call it. */
const char *clock_name(const struct exit_clock *clock);
/* False if it is none of these names. */
bool clock_parse_name(const char *name, struct exit_clock *clock);
/* What people read of it: TSC 2893.202 MHz; into CLOCK_LABEL_SIZE bytes. */
void clock_label(const struct exit_clock *clock, char *label);
/* How many of its units a ms has, or 0 if that is unknown. */
uint32_t clock_per_ms(const struct exit_clock *clock);
/* Can its times be told in ns, or else in cycles? */
bool clock_tells(const struct exit_clock *clock, bool ns);
/* By what its times are multiplied for that, or 0. */
double clock_scale(const struct exit_clock *clock, bool ns);
/* A time in ns, or else in cycles, rounded down; 0 if it cannot be told. */
uint64_t clock_convert(const struct exit_clock *clock, uint64_t time, bool ns);
/* A time of one in the units of another, both of which are known. */
uint64_t clock_translate(const struct exit_clock *from, uint64_t time,
			 const struct exit_clock *to);
/*
 * Can their times be added and compared as they are?  Two that measured the
 * frequency of one TSC differ by less than 1 %.
 */
bool clock_is_same(const struct exit_clock *a, const struct exit_clock *b);

#endif
