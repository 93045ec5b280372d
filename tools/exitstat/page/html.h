/* SPDX-License-Identifier: GPL-2.0 */
/* The page that shows a recording: html.c, or where it is static static.c. */
#ifndef PAGE_HTML_H
#define PAGE_HTML_H

#include "source/select.h"

/*
 * Write the page of what @sel selects of recording @path to the file @html.
 * STATUS_OK, or the program's status after a message.
 */
int report_html(const char *path, const char *html,
		const struct exit_selection *sel);

#endif
