/* SPDX-License-Identifier: GPL-2.0 */
/* The lines above the table. */
#ifndef TOP_HEADER_H
#define TOP_HEADER_H

#include "top/state.h"

void top_draw_header(const struct top *top, bool has_phases, bool bar);

#endif
