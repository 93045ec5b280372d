// SPDX-License-Identifier: GPL-2.0
/* All that it takes to add a source: this one counts in ns, in a text file. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/message.h"
#include "source/list.h"

static const struct source_ops text_source;
static char path[PATH_MAX];

static unsigned int probe(const struct source_setup *setup, char *why,
			  size_t size)
{
	snprintf(path, sizeof(path), "%s/counts", setup->debugfs);
	snprintf(why, size, "no file");
	return access(path, R_OK) ? 0 : text_source.abilities;
}

/* A line for each reason: VM or -, its name, reason, exits, ns. */
static int read_text(struct source *source, const struct exit_selection *sel,
		     struct exit_scan *scan)
{
	struct exit_scope key = {}, *scope = NULL;
	FILE *in = fopen(path, "r");
	struct exit_row row = {};

	if (!in)
		return fail(STATUS_ERROR, "%s: no %s", source->ops->name, path);
	strcpy(key.snap.isa, "vmx");
	key.snap.enabled = key.snap.clock.ns = true;
	key.snap.has[COUNT_EXITS] = key.snap.has[COUNT_HANDLE_CYCLES] = true;
	while (fscanf(in, "%31s %127s %u %lu %lu", key.vm, key.name,
		      &row.reason, &row.counts[COUNT_EXITS],
		      &row.counts[COUNT_HANDLE_CYCLES]) == 5) {
		key.kind = strcmp(key.vm, "-") ? SCOPE_VM : SCOPE_HOST;
		if (key.kind == SCOPE_HOST)
			*key.vm = *key.name = '\0';
		if (!selection_has(sel, &key))
			continue;
		if (!scope || strcmp(scope->vm, key.vm))
			*(scope = scan_add(scan)) = key;
		sprintf(row.name, "R%u", row.reason);
		*snapshot_add_row(&scope->snap) = row;
		snapshot_finish(&scope->snap);
	}
	fclose(in);
	return STATUS_OK;
}

static const struct source_ops text_source = {
	.name = "text",
	.abilities = SOURCE_HOST | SOURCE_VMS | SOURCE_SINCE_LOAD |
		     SOURCE_COUNTED,
	.probe = probe,
	.read = read_text,
};

const struct source_ops *const sources[] = { &text_source, NULL };
