/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's exit_latency: a line for each bucket that is not empty. */
#ifndef SOURCE_KVMLATENCY_H
#define SOURCE_KVMLATENCY_H

#include <stddef.h>

#include "model/latency.h"

/* As kvmstats_parse(), for exit_latency. */
int kvmlatency_parse(struct exit_latency *latency, const char *path,
		     const char *scope, char *text, size_t len);

#endif
