/* SPDX-License-Identifier: GPL-2.0 */
/* What is printed, in each of the formats for programs. */
#ifndef FUZZ_OUTPUT_CHECK_H
#define FUZZ_OUTPUT_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* A document to each line, or one in several lines. */
void check_json(const char *text, size_t len);
/* Records with the same number of fields. */
void check_csv(const char *text);
/* OpenMetrics, or Prometheus's own format.  Overwrites the text. */
void check_metrics(char *text, bool prometheus);

#endif
