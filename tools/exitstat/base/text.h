/* SPDX-License-Identifier: GPL-2.0 */
/* Text in the columns of a terminal, some of whose characters take two. */
#ifndef EXITSTAT_TOP_TEXT_H
#define EXITSTAT_TOP_TEXT_H

#include <stddef.h>

/*
 * Copy as much of @text as fits into @width columns and @size bytes, and mark
 * with the last character if something is missing.  How many columns it takes.
 */
int text_fit(char *copy, size_t size, const char *text, int width);
int text_width(const char *text);
/* How many bytes of @text fit into @width columns. */
size_t text_bytes(const char *text, int width);

#endif
