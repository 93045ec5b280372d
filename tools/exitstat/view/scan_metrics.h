/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A scan as metrics, for Prometheus and what understands its texts
 *
 * Two formats that are nearly the same.  In Prometheus's own a counter's family
 * has the name of its samples, "..._total".  In OpenMetrics it has not, but
 * "promtool check metrics" then takes the samples for metrics without a help
 * text.  So in OpenMetrics our counters have no type ("unknown"), which both
 * accept, and the text ends in "# EOF".
 *
 * A family for the host and others for VMs and vCPUs, so that a sum over one
 * counts nothing twice.  A difference is not a counter but a gauge.
 */
#ifndef VIEW_SCAN_METRICS_H
#define VIEW_SCAN_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "model/scan.h"
#include "view/format.h"

/* With @prometheus in Prometheus's own format, else OpenMetrics. */
void print_scan_metrics(FILE *out, const struct format *format,
			const struct exit_scan *scan, bool prometheus);

#endif
