/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recordings: a line of JSON for each moment at which the counters were read
 *
 * See exitstat-recording(5).  A file has a section for each run of 'exitstat
 * record' that appended to it: a header, samples, and if it ended in order an
 * end.
 */
#ifndef RECORDING_FORMAT_H
#define RECORDING_FORMAT_H

#include <stddef.h>

#define RECORDING_SCHEMA "exitstat.recording"
#define RECORDING_VERSION 1

/* What is known of the host, of what 'exitstat doctor' tells: parameters.halt_poll_ns */
#define RECORDING_MAX_FACTS 64
#define RECORDING_FACT_NAME 64
#define RECORDING_FACT_VALUE 192

struct recording_fact {
	char name[RECORDING_FACT_NAME];
	char value[RECORDING_FACT_VALUE];
};

struct recording_facts {
	struct recording_fact facts[RECORDING_MAX_FACTS];
	size_t nr;
};

/* Nothing longer is written, and readers skip what is. */
#define RECORDING_MAX_LINE (16 << 20)

#endif
