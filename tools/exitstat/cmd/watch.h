/* SPDX-License-Identifier: GPL-2.0 */
/* Since the counters began, in intervals, or while a command runs. */
#ifndef EXITSTAT_WATCH_H
#define EXITSTAT_WATCH_H

#include "model/scan.h"
#include "view/output.h"

/*
 * Print what @sel selects as the arguments say, until that is done.  The
 * program's status, or with -- COMMAND the command's.
 */
int watch(struct output *output, struct exit_source *source,
	  const struct exit_selection *sel);

/* Tell the user if nothing is being counted. */
void note_if_off(const struct exit_scan *scan);

/* Wait until CLOCK_MONOTONIC is @ns.  False if a signal came. */
bool sleep_until(uint64_t ns);

#endif
