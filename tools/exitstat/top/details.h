/* SPDX-License-Identifier: GPL-2.0 */
/* What the exits of the reason at the cursor are for, while somebody looks. */
#ifndef TOP_DETAILS_H
#define TOP_DETAILS_H

#include "top/state.h"

/* Begin to look; what cannot be done is told in the status line. */
void top_open_details(struct top *top);
/* End that.  Nothing if it has not begun. */
void top_close_details(struct top *top);
/* Read what came since the last time. */
void top_update_details(struct top *top);
void top_draw_details(const struct top *top, int y, int height);

#endif
