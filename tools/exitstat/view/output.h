/* SPDX-License-Identifier: GPL-2.0 */
/* A scan in each of the formats. */
#ifndef VIEW_OUTPUT_H
#define VIEW_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cmd/options.h"

struct json_object;

struct output {
	const struct arguments *args;
	/* a line for a whole VM instead of one for each reason */
	bool vms;
	/* what has been printed so far */
	uint64_t nr_printed;
	/* The title of a table, instead of what the scope is called. */
	const char *title;
};

/*
 * Print a scan as the arguments say, to stdout or into --textfile.  Rows that --reason leaves out are taken out of @scan.
 */
int output_scan(struct output *output, struct exit_scan *scan);

/* The formats.  False if memory runs out. */
bool print_scan_table(FILE *out, struct output *output,
		      const struct exit_scan *scan);
bool print_scan_csv(FILE *out, struct output *output,
		    const struct exit_scan *scan);
bool print_scan_json(FILE *out, struct output *output,
		     const struct exit_scan *scan);
/*
 * With @prometheus in the text format of Prometheus, else OpenMetrics.  See the
 * comment in openmetrics.c for the difference.
 */
bool print_scan_metrics(FILE *out, struct output *output,
			const struct exit_scan *scan, bool prometheus);

/* JSON that never turns a lack of memory into a null.  @value may be NULL. */
bool json_add(struct json_object *object, const char *key,
	      struct json_object *value);
bool json_add_null(struct json_object *object, const char *key);
bool json_add_string(struct json_object *object, const char *key,
		     const char *value);
bool json_add_u64(struct json_object *object, const char *key, uint64_t value);
bool json_add_double(struct json_object *object, const char *key, double value,
		     int decimals);

#endif
