// SPDX-License-Identifier: GPL-2.0
#include <stddef.h>

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

uint64_t cycles_to_ns(uint64_t cycles, uint32_t tsc_khz)
{
	return tsc_khz ? (unsigned __int128)cycles * 1000000 / tsc_khz : 0;
}
