/* SPDX-License-Identifier: GPL-2.0 */
/* A line on a terminal that tells how far it is, and goes away. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;
	/* of how many parts, and which */
	unsigned int parts, part;
	/* CLOCK_MONOTONIC, ns: when the line is due */
	uint64_t next;
	bool shown;
};

/* Nothing is shown in the first second, or where stderr is no terminal. */
void progress_begin(struct progress *progress, const char *what,
		    unsigned int parts);
/* @done of the part, 0 to 1, or -1 if that is not known.  @progress may be NULL. */
void progress_update(struct progress *progress, double done);
/* The next part begins. */
void progress_next(struct progress *progress);
/* Take the line away, before anything else is written there. */
void progress_end(struct progress *progress);

#endif
