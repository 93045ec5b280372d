/* SPDX-License-Identifier: GPL-2.0 */
/* A comparison as JSON, see schema/. */
#ifndef DIFF_JSON_H
#define DIFF_JSON_H

#include <stdio.h>

#include "diff/compare.h"

void diff_print_json(FILE *out, const struct diff *diff);

#endif
