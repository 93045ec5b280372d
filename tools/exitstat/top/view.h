/* SPDX-License-Identifier: GPL-2.0 */
/* What a view shows, and the ways between views. */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include "top/state.h"

void top_init_views(struct top *top);
/* There are new numbers soon, and then in each interval. */
void top_hurry(struct top *top);
bool top_has_reasons(const struct top *top);
/* What the view is about, in a scan; NULL if it is not there. */
struct exit_scope *top_scope(const struct top *top,
			     const struct exit_scan *scan);
/* Make the view's lines anew. */
void top_update_lines(struct top *top);
/* The line at the cursor, or NULL. */
struct exit_line *top_line(const struct top *top);
void top_move(struct top *top, long lines);
void top_open(struct top *top, enum top_view view, enum top_view parent);
/* Open what the line at the cursor is about. */
void top_enter(struct top *top);
/* The vCPUs of the VM that is shown, or at the cursor. */
void top_open_vcpus(struct top *top);
/* Leave the view. */
void top_back(struct top *top);
/* Leave it if what it is about has ended. */
void top_check_ended(struct top *top);
void top_show_histogram(struct top *top, bool show);
/* Sort by the next column, or the one before. */
void top_move_sort(struct top *top, int step);
void top_say(struct top *top, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
