/* SPDX-License-Identifier: GPL-2.0 */
/* A table's lines as comma-separated values. */
#ifndef VIEW_CSV_H
#define VIEW_CSV_H

#include <stddef.h>
#include <stdio.h>

#include "view/table.h"

void csv_print_head(FILE *out, const struct layout *layout);
void csv_print_lines(FILE *out, const struct layout *layout, const void *lines,
		     size_t nr, size_t size);

#endif
