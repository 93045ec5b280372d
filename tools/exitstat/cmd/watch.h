/* SPDX-License-Identifier: GPL-2.0 */
/* Since the counters began, in intervals, or while a command runs. */
#ifndef CMD_WATCH_H
#define CMD_WATCH_H

#include "cmd/options.h"

/*
 * Print what @sel selects as the arguments say, until that is done, from a
 * source that can do all of @want.  The program's status, or with -- COMMAND
 * the command's.
 */
int watch(const struct arguments *args, const struct format *format,
	  const struct exit_selection *sel, unsigned int want);

/*
 * Run a command to its end, and into *@status what a shell says of it.  STATUS_OK, or
 * STATUS_ERROR after a message.
 */
int run_command(char **command, int *status);

/* Tell the user if nothing is being counted. */
void note_if_off(const struct exit_scan *scan);

#endif
