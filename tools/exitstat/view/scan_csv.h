/* SPDX-License-Identifier: GPL-2.0 */
/* A scan as comma-separated values. */
#ifndef VIEW_SCAN_CSV_H
#define VIEW_SCAN_CSV_H

#include <stdbool.h>
#include <stdio.h>

#include "model/scan.h"
#include "view/format.h"

/*
 * False if memory runs out.  *@begun says whether one was printed before, and
 * then that this one was.
 */
bool print_scan_csv(FILE *out, const struct format *format,
		    const struct exit_scan *scan, bool *begun);

#endif
