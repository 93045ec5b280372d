/* SPDX-License-Identifier: GPL-2.0 */
/* Pieces of the text that Prometheus understands. */
#ifndef VIEW_METRICS_H
#define VIEW_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "model/snapshot.h"

/* What a family of samples is; with @type NULL that is not said. */
void metrics_print_family(FILE *out, const char *name, const char *type,
			  const char *help);
/* One sample without labels, and its family, a gauge. */
void metrics_print_gauge(FILE *out, const char *name, const char *help,
			 double value);
/* name="value", with a comma before it unless it is the first */
void metrics_print_label(FILE *out, const char *name, const char *value,
			 bool first);
/* Which reason, in two labels. */
void metrics_print_reason(FILE *out, const struct exit_row *row);
/* What OpenMetrics ends with. */
void metrics_print_end(FILE *out);

#endif
