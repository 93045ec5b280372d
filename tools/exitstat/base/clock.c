// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

uint64_t clock_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void time_format(uint64_t realtime, char *text)
{
	const time_t seconds = realtime / 1000000000;
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, TIME_SIZE - len, ".%03uZ",
		 (unsigned int)(realtime / 1000000 % 1000));
}

uint64_t time_parse(const char *text)
{
	struct tm tm = {};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	double fraction = 0;
	time_t seconds;

	if (!end)
		return 0;
	if (*end == '.')
		fraction = strtod(end, NULL);
	seconds = timegm(&tm);
	if (seconds < 0 || seconds > MAX_SECONDS || !(fraction >= 0) ||
	    fraction >= 1)
		return 0;
	return seconds * 1000000000ULL + (uint64_t)(fraction * 1e9 + 0.5);
}
