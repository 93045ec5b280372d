/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text that a terminal shows: without what would move its cursor, and in its
 * columns, of which some characters take two
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/*
 * Copy @len bytes that anybody may have chosen into @room bytes: valid UTF-8 without
 * characters that control a terminal, or how text is laid out in it.
 */
void text_printable(char *copy, size_t room, const char *text, size_t len);
/*
 * Copy as much of @text as fits into @width columns and @size bytes, and mark
 * with the last character if something is missing.  How many columns it takes.
 */
int text_fit(char *copy, size_t size, const char *text, int width);
int text_width(const char *text);
/* How many bytes of @text fit into @width columns. */
size_t text_bytes(const char *text, int width);
/*
 * How many bytes of @text go into a line of @width columns, up to a blank if there is
 * one; the next line begins behind that.
 */
size_t text_wrap(const char *text, int width);
/*
 * Put @word behind what is in @list, which has room for @size bytes, and
 * @separator between them.  What has no room is cut.
 */
void text_append(char *list, size_t size, const char *separator,
		 const char *word);

#endif
