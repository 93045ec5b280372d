// SPDX-License-Identifier: GPL-2.0
/* The static program, which is for guests, in place of report_html.c. */
#include "base/message.h"
#include "cmd/options.h"

int report_html(const struct arguments *args)
{
	(void)args;
	return fail(
		STATUS_ERROR,
		"exitstat-static has no pages: use exitstat report --html, on any machine");
}
