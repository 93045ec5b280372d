/* SPDX-License-Identifier: GPL-2.0 */
/* A comparison as a table, or as comma-separated values. */
#ifndef DIFF_TABLE_H
#define DIFF_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "diff/compare.h"
#include "view/table.h"

/* Its columns, of lines that are struct diff_line. */
extern const struct table diff_table;

/* False if memory runs out. */
bool diff_print_table(FILE *out, const struct diff *diff,
		      const struct format *format);
void diff_print_csv(FILE *out, const struct diff *diff,
		    const struct format *format);

#endif
