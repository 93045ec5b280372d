/* SPDX-License-Identifier: GPL-2.0 */
/* One scan or several, to where the user wants them. */
#ifndef VIEW_OUTPUT_H
#define VIEW_OUTPUT_H

#include <stdbool.h>

#include "model/scan.h"
#include "view/format.h"

struct output {
	const struct format *format;
	/* the file to write Prometheus's text to, or NULL for stdout */
	const char *textfile;
	/* Something has been printed. */
	bool begun;
	/* The last times were in ns. */
	bool ns;
};

/*
 * Print a scan, to stdout or into the file.  VMs are put in order in it.
 * STATUS_OK, or the program's status after a message; errors of stdout are left
 * to main().
 */
int output_scan(struct output *output, struct exit_scan *scan);

#endif
