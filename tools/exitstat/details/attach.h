/* SPDX-License-Identifier: GPL-2.0 */
/* Looking at the exits of one reason by eBPF, for as long as somebody looks. */
#ifndef DETAILS_ATTACH_H
#define DETAILS_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "details/rows.h"

struct details_wanted {
	/* enum details_from */
	unsigned int from;
	/* the exit number; of DETAILS_FROM_USERSPACE all */
	uint32_t reason;
	bool is_svm;
	/* guest addresses of instructions, too */
	bool rip;
	/* of these processes, or if there are none, of all */
	const uint32_t *processes;
	size_t nr_processes;
};

struct details_row {
	struct details_key key;
	struct details_count count;
	/* all that had no room of its own */
	bool other;
};

struct details_rows {
	struct details_row *rows;
	size_t nr;
	/* exits that could not be followed */
	uint64_t nr_missed;
};

struct details;

/* Begin.  STATUS_OK and *@details, or the program's status after a message. */
int details_attach(struct details **details,
		   const struct details_wanted *wanted);
/* What was counted so far.  False and errno on an error.  Free @rows. */
bool details_read(const struct details *details, struct details_rows *rows);
/* NULL is nothing. */
void details_detach(struct details *details);

#endif
