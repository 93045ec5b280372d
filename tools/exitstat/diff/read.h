/* SPDX-License-Identifier: GPL-2.0 */
/* The two files: recordings, or what 'exitstat show --json' printed. */
#ifndef DIFF_READ_H
#define DIFF_READ_H

#include "diff/side.h"
#include "source/select.h"

/*
 * Read what @sel selects of a file.  STATUS_OK, or the program's status after a
 * message.  Free it in any case.
 */
int diff_read(struct diff_side *side, const char *path,
	      const struct exit_selection *sel);
void diff_free(struct diff_side *side);

#endif
