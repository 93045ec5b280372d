/* SPDX-License-Identifier: GPL-2.0 */
/* A scan as JSON, see schema/. */
#ifndef VIEW_SCAN_JSON_H
#define VIEW_SCAN_JSON_H

#include <stdbool.h>
#include <stdio.h>

#include "model/scan.h"
#include "view/format.h"

/* False if memory runs out. */
bool print_scan_json(FILE *out, const struct format *format,
		     const struct exit_scan *scan);

#endif
