// SPDX-License-Identifier: GPL-2.0
/* In the place of attach.c, in a program that was built without eBPF. */
#include "base/message.h"
#include "details/attach.h"

int details_attach(struct details **details,
		   const struct details_wanted *wanted)
{
	(void)wanted;
	*details = NULL;
	return fail(STATUS_UNSUPPORTED,
		    "this exitstat was built without eBPF, which details need");
}

bool details_read(const struct details *details, struct details_rows *rows)
{
	(void)details;
	*rows = (struct details_rows){};
	return true;
}

void details_detach(struct details *details)
{
	(void)details;
}
