/* SPDX-License-Identifier: GPL-2.0 */
/* The sources of this program.  Tests link a list of their own. */
#ifndef SOURCE_LIST_H
#define SOURCE_LIST_H

#include "source/source.h"

/* The best ones first, and NULL behind the last one. */
extern const struct source_ops *const sources[];

#endif
