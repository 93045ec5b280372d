/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOP_TOP_H
#define TOP_TOP_H

#include "cmd/options.h"

/*
 * Watch the host and its VMs, or with @args->source.guest this VM, until the
 * user quits.  The program's status.  With ncurses, or in the static program a
 * plain view that has the basics.
 */
int top_run(struct arguments *args);

#endif
