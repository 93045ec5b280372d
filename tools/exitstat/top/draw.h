/* SPDX-License-Identifier: GPL-2.0 */
/* All of the screen. */
#ifndef TOP_DRAW_H
#define TOP_DRAW_H

#include "top/state.h"

void top_draw(struct top *top);

#endif
