/* SPDX-License-Identifier: GPL-2.0 */
/* 'exitstat top': top.c, or where the program is static plain.c. */
#ifndef TOP_TOP_H
#define TOP_TOP_H

#include <stdint.h>

#include "source/source.h"
#include "view/format.h"

struct top_options {
	/* VMs, vCPUs and reasons that the user named */
	const struct exit_selection *sel;
	struct format format;
	/* ns, or 0 */
	uint64_t interval;
	/* how many intervals, or 0 for without end */
	uint64_t count;
};

/*
 * Watch the host and its VMs, or in a guest this VM, until the user quits.  The
 * program's status.  With ncurses, or in the static program a plain view that
 * has the basics.
 */
int top_run(struct source *source, const struct top_options *options);

#endif
