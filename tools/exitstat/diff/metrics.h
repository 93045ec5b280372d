/* SPDX-License-Identifier: GPL-2.0 */
/* A comparison as OpenMetrics. */
#ifndef DIFF_METRICS_H
#define DIFF_METRICS_H

#include <stdio.h>

#include "diff/compare.h"

void diff_print_metrics(FILE *out, const struct diff *diff);

#endif
