/* SPDX-License-Identifier: GPL-2.0 */
/* The table of a view. */
#ifndef TOP_TABLE_H
#define TOP_TABLE_H

#include "top/state.h"

void top_draw_table(struct top *top, int y, int height);

#endif
