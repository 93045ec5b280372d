// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>

#include "view/metrics.h"

void metrics_print_family(FILE *out, const char *name, const char *type,
			  const char *help)
{
	if (type)
		fprintf(out, "# TYPE %s %s\n", name, type);
	fprintf(out, "# HELP %s %s.\n", name, help);
}

void metrics_print_gauge(FILE *out, const char *name, const char *help,
			 double value)
{
	metrics_print_family(out, name, "gauge", help);
	fprintf(out, "%s %.15g\n", name, value);
}

void metrics_print_label(FILE *out, const char *name, const char *value,
			 bool first)
{
	fprintf(out, "%s%s=\"", first ? "" : ",", name);
	/* Other characters that need an escape are in no name here. */
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
	fputc('"', out);
}

void metrics_print_reason(FILE *out, const struct exit_row *row)
{
	char number[16] = "other";

	if (!row->other)
		snprintf(number, sizeof(number), "%" PRIu32, row->reason);
	metrics_print_label(out, "reason", number, false);
	metrics_print_label(out, "name", row->name, false);
}

void metrics_print_end(FILE *out)
{
	fputs("# EOF\n", out);
}
