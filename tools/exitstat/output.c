// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>

#include "exitstat.h"
#include "output.h"

const struct output_format *const output_formats[] = {
	[OUTPUT_TABLE] = &table_format,
	[OUTPUT_JSON] = &json_format,
};

int output_snapshot(const struct output_format *format,
		    const struct exit_snapshot *snap)
{
	char *text = NULL;
	size_t len;
	/* All of it or nothing is written, even if memory runs out. */
	FILE *out = open_memstream(&text, &len);
	int status = STATUS_OK;
	bool ok = false;

	if (out) {
		ok = format->print(out, snap) && !ferror(out);
		ok = !fclose(out) && ok;
	}

	if (!ok)
		status = fail(STATUS_ERROR, "out of memory");
	else
		fputs(text, stdout); /* main() looks for errors */

	free(text);
	return status;
}
