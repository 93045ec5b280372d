/* SPDX-License-Identifier: GPL-2.0 */
/* The counters as the host reads them, from debugfs. */
#ifndef SOURCE_DEBUGFS_H
#define SOURCE_DEBUGFS_H

#include "source/source.h"

extern const struct source_ops debugfs_source;

#endif
