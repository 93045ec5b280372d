// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "model/time.h"

const char *const exit_phase_names[NR_PHASES] = {
	[PHASE_GUEST] = "guest",	 [PHASE_HANDLE] = "handle",
	[PHASE_USER] = "user",		 [PHASE_WAIT] = "wait",
	[PHASE_PREEMPTED] = "preempted",
};

enum exit_counter phase_counter(enum exit_phase phase)
{
	static const enum exit_counter counters[NR_PHASES] = {
		[PHASE_HANDLE] = COUNT_HANDLE_CYCLES,
		[PHASE_USER] = COUNT_USER_CYCLES,
		[PHASE_WAIT] = COUNT_WAIT_CYCLES,
		[PHASE_PREEMPTED] = COUNT_PREEMPTED_CYCLES,
	};

	return counters[phase];
}

double exit_time_lost(const struct exit_time *time)
{
	return time->phases[PHASE_HANDLE] + time->phases[PHASE_USER] +
	       time->phases[PHASE_PREEMPTED];
}

uint64_t exit_time_lost_cycles(const struct exit_time *time)
{
	const double lost = exit_time_lost(time), wrap = 0x1p64;

	return lost - wrap * (uint64_t)(lost / wrap);
}

double exit_time_wanted(const struct exit_time *time)
{
	return exit_time_lost(time) + time->phases[PHASE_GUEST];
}

double exit_time_all(const struct exit_time *time)
{
	return time->phases[PHASE_GUEST] + time->phases[PHASE_WAIT] +
	       exit_time_lost(time);
}

#define NS_PER_MS 1000000

static const char *const clock_names[] = { "tsc", "ns" };

const char *clock_name(const struct exit_clock *clock)
{
	return clock_names[clock->ns];
}

bool clock_parse_name(const char *name, struct exit_clock *clock)
{
	clock->ns = !strcmp(name, clock_names[true]);
	return clock->ns || !strcmp(name, clock_names[false]);
}

void clock_label(const struct exit_clock *clock, char *label)
{
	if (clock->ns && !clock->tsc_khz)
		snprintf(label, CLOCK_LABEL_SIZE, "times in ns");
	else
		snprintf(label, CLOCK_LABEL_SIZE,
			 "TSC %" PRIu32 ".%03" PRIu32 " MHz",
			 clock->tsc_khz / 1000, clock->tsc_khz % 1000);
}

uint32_t clock_per_ms(const struct exit_clock *clock)
{
	return clock->ns ? NS_PER_MS : clock->tsc_khz;
}

bool clock_tells(const struct exit_clock *clock, bool ns)
{
	return clock->ns == ns || clock->tsc_khz;
}

static struct exit_clock other_clock(const struct exit_clock *clock)
{
	return (struct exit_clock){ .tsc_khz = clock->tsc_khz,
				    .ns = !clock->ns };
}

double clock_scale(const struct exit_clock *clock, bool ns)
{
	const struct exit_clock other = other_clock(clock);

	if (clock->ns == ns)
		return 1;
	return clock->tsc_khz ?
		       (double)clock_per_ms(&other) / clock_per_ms(clock) :
		       0;
}

uint64_t clock_convert(const struct exit_clock *clock, uint64_t time, bool ns)
{
	const struct exit_clock other = other_clock(clock);

	if (clock->ns == ns)
		return time;
	return clock->tsc_khz ? clock_translate(clock, time, &other) : 0;
}

uint64_t clock_translate(const struct exit_clock *from, uint64_t time,
			 const struct exit_clock *to)
{
	return (unsigned __int128)time * clock_per_ms(to) / clock_per_ms(from);
}

bool clock_is_same(const struct exit_clock *a, const struct exit_clock *b)
{
	const double x = clock_per_ms(a), y = clock_per_ms(b);

	return a->ns == b->ns && fabs(x - y) <= 0.01 * (x > y ? x : y);
}
