/* SPDX-License-Identifier: GPL-2.0 */
/* How long exits took. */
#ifndef TOP_HIST_H
#define TOP_HIST_H

#include "top/state.h"

void top_draw_histogram(struct top *top, int y, int height);

#endif
