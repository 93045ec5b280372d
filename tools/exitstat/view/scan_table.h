/* SPDX-License-Identifier: GPL-2.0 */
/* A scan as tables, for people. */
#ifndef VIEW_SCAN_TABLE_H
#define VIEW_SCAN_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "model/scan.h"
#include "view/format.h"

/*
 * False if memory runs out.  *@begun says whether one was printed before, and
 * then that this one was.
 */
bool print_scan_table(FILE *out, const struct format *format,
		      const struct exit_scan *scan, bool *begun);

#endif
