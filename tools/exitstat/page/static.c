// SPDX-License-Identifier: GPL-2.0
/* The static program, which is for guests, in place of html.c. */
#include "base/message.h"
#include "source/select.h"

int report_html(const char *path, const char *html,
		const struct exit_selection *sel)
{
	(void)path;
	(void)html;
	(void)sel;
	return fail(
		STATUS_ERROR,
		"exitstat-static has no pages: use exitstat report --html, on any machine");
}
